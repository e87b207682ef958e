//! How fast a model runs on this machine.

use std::time::Instant;

use freehold_model::cpu::KvCache;
use freehold_model::kernels::target::instruction_set;
use freehold_model::ops::Layout;
use serde::Serialize;

use crate::{LocalEngine, Result};

/// Tokens a second, medians; see `freehold bench --help`.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// A prompt of 512 tokens, logits of the last one.
    pub prefill_512: f64,
    /// New tokens of 1, 16 and 32 sequences that run together, all sequences counted.
    pub decode_1: f64,
    pub decode_16: f64,
    pub decode_32: f64,
    pub threads: usize,
    pub instruction_set: &'static str,
}

/// Tokens of the prompt, of each sequence's beginning, and new tokens of each.
const PROMPT: usize = 512;
const BEGINNING: usize = 16;
const NEW: usize = 32;

/// Any tokens will do: what they say costs nothing.
fn ids(n: usize, seed: usize, vocab: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729 + 1000) % vocab) as u32).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Measures every figure `repetitions` times in turn; `each` hears of every round that is done.
pub fn measure(engine: &LocalEngine, repetitions: usize, mut each: impl FnMut(usize)) -> Result<Figures> {
    let mut seconds: [Vec<f64>; 4] = Default::default();
    for round in 0..=repetitions {
        let once = [prefill(engine)?, decode(engine, 1)?, decode(engine, 16)?, decode(engine, 32)?];
        // The first round warms up.
        if round > 0 {
            seconds.iter_mut().zip(once).for_each(|(all, s)| all.push(s));
            each(round);
        }
    }
    let [prefill, one, sixteen, thirty_two] = seconds.map(median);
    Ok(Figures {
        prefill_512: PROMPT as f64 / prefill,
        decode_1: NEW as f64 / one,
        decode_16: (16 * NEW) as f64 / sixteen,
        decode_32: (32 * NEW) as f64 / thirty_two,
        threads: rayon::current_num_threads(),
        instruction_set: instruction_set(),
    })
}

fn prefill(engine: &LocalEngine) -> Result<f64> {
    let spec = &engine.model.spec;
    let mut layout = Layout::default();
    layout.push(PROMPT, 0, 0);
    let mut caches = [KvCache::new(spec.layers)];
    let clock = Instant::now();
    let hidden = engine.decoder.forward(&ids(PROMPT, 0, spec.vocab), &layout, &mut caches)?;
    engine.decoder.logits(&hidden, &[PROMPT - 1])?;
    Ok(clock.elapsed().as_secs_f64())
}

fn decode(engine: &LocalEngine, sequences: usize) -> Result<f64> {
    let spec = &engine.model.spec;
    let mut caches: Vec<KvCache> = (0..sequences).map(|_| KvCache::new(spec.layers)).collect();
    let (mut layout, mut all) = (Layout::default(), Vec::new());
    for i in 0..sequences {
        layout.push(BEGINNING, 0, i);
        all.extend(ids(BEGINNING, i, spec.vocab));
    }
    engine.decoder.forward(&all, &layout, &mut caches)?;
    let mut next = ids(sequences, 1, spec.vocab);
    let rows: Vec<usize> = (0..sequences).collect();
    let clock = Instant::now();
    for step in 0..NEW {
        let mut layout = Layout::default();
        rows.iter().for_each(|&i| layout.push(1, BEGINNING + step, i));
        let hidden = engine.decoder.forward(&next, &layout, &mut caches)?;
        let logits = engine.decoder.logits(&hidden, &rows)?;
        for (next, row) in next.iter_mut().zip(logits.data.chunks(spec.vocab)) {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            *next = best.map_or(0, |(i, _)| i as u32);
        }
    }
    Ok(clock.elapsed().as_secs_f64())
}
