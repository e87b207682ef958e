//! How fast a model runs on this machine.

use std::ops::ControlFlow;
use std::time::Instant;

use freehold_model::cpu::KvCache;
use freehold_model::kernels::argmax;
use freehold_model::kernels::pool::{chunks, threads};
use freehold_model::kernels::target::{instruction_set, target};
use freehold_model::kernels::weight::Products;
use freehold_model::ops::Layout;
use serde::Serialize;

use crate::batch::{self, Sequence};
use crate::{Endpoint, Engine as _, EngineError, Event, LocalEngine, Prompt, Request, Result, Sampling};

/// Tokens a second, medians.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// A prompt of 512 tokens, logits of the last one.
    pub prefill_512: f64,
    /// New tokens of 1, 16 and 32 sequences that run together, all sequences counted.
    pub decode_1: f64,
    pub decode_16: f64,
    pub decode_32: f64,
}

/// What `freehold bench` measures; see its help.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// As `chat` and `complete` run: whatever is fastest for the number of rows.
    #[serde(flatten)]
    pub rates: Rates,
    /// As audits run, where that differs on this processor: every prompt gets the same answer whatever is asked beside it.
    pub same: Option<Rates>,
    pub threads: usize,
    pub instruction_set: &'static str,
    /// Most memory that the process had at once, less the size of the model's file, in MiB, after 16 prompts of 512 tokens were continued together; where
    /// the system tells (Linux).
    pub memory_beyond_file: Option<i64>,
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

/// Measures every figure `repetitions` times in turn; `each` hears of every round that is done. Leaves the engine with [`Products::Same`].
pub fn measure(engine: &mut LocalEngine, repetitions: usize, mut each: impl FnMut(usize)) -> Result<Figures> {
    let mut seconds: [[Vec<f64>; 4]; 2] = Default::default();
    let kinds: &[Products] =
        if target().has_tiles() { &[Products::Fast, Products::Same] } else { &[Products::Same] };
    for round in 0..=repetitions {
        for (products, seconds) in kinds.iter().zip(&mut seconds) {
            engine.set_products(*products);
            let once = [prefill(engine)?, decode(engine, 1)?, decode(engine, 16)?, decode(engine, 32)?];
            // The first round warms up.
            if round > 0 {
                seconds.iter_mut().zip(once).for_each(|(all, s)| all.push(s));
            }
        }
        if round > 0 {
            each(round);
        }
    }
    let [rates, same] = seconds.map(|seconds| {
        let [prefill, one, sixteen, thirty_two] = seconds.map(median);
        Rates {
            prefill_512: PROMPT as f64 / prefill,
            decode_1: NEW as f64 / one,
            decode_16: (16 * NEW) as f64 / sixteen,
            decode_32: (32 * NEW) as f64 / thirty_two,
        }
    });
    Ok(Figures {
        rates,
        same: (kinds.len() > 1).then_some(same),
        threads: threads(),
        instruction_set: instruction_set(),
        memory_beyond_file: memory(engine)?,
    })
}

/// New tokens a second of 64 prompts of 16 to 128 tokens that are continued by 64 each, prompts read meanwhile: the median of some rounds after one
/// to warm up. As audits run.
pub fn measure_many(engine: &LocalEngine, repetitions: usize, mut each: impl FnMut(usize)) -> Result<f64> {
    const MANY: usize = 64;
    let vocab = engine.model.spec.vocab;
    let sequence = |i: usize| Sequence {
        ids: ids(16 + i * 37 % 113, i, vocab),
        max_new_tokens: MANY,
        sampling: Sampling::GREEDY,
        stops: false,
    };
    let sequences: Vec<Sequence> = (0..MANY).map(sequence).collect();
    let mut seconds = Vec::new();
    for round in 0..=repetitions {
        let clock = Instant::now();
        batch::run(&engine.decoder, &engine.model.tokenizer, &sequences, &mut |_| ControlFlow::Continue(()))?;
        if round > 0 {
            seconds.push(clock.elapsed().as_secs_f64());
            each(round);
        }
    }
    Ok((MANY * MANY) as f64 / median(seconds))
}

/// Continues 16 prompts of 512 tokens together, then asks the system for the process's peak.
fn memory(engine: &LocalEngine) -> Result<Option<i64>> {
    let spec = &engine.model.spec;
    let room = PROMPT.min(spec.context.saturating_sub(2));
    let request = |i| Request {
        prompt: Prompt::Ids(ids(room, i, spec.vocab)),
        max_new_tokens: 2,
        sampling: Sampling::GREEDY,
    };
    engine.generate(&(0..16).map(request).collect::<Vec<_>>(), &mut |_| ControlFlow::Continue(()))?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    let file = engine.model.weights.bytes() as i64;
    Ok(peak.map(|kib| kib / 1024 - file / (1 << 20)))
}

/// The figures of a server that serves the same model: the same numbers of tokens, as text. Servers keep what they have read, so every prompt is a new one.
///
/// # Errors
/// As [`Engine::generate`]; and when the server does not say how many tokens it made.
pub fn measure_server(
    engine: &LocalEngine,
    server: &Endpoint,
    repetitions: usize,
    mut each: impl FnMut(usize),
) -> Result<Rates> {
    let mut rates: [Vec<f64>; 4] = Default::default();
    let mut salt = 0;
    for round in 0..=repetitions {
        for (i, sequences) in [0, 1, 16, 32].into_iter().enumerate() {
            let rate = ask_server(engine, server, sequences, &mut salt)?;
            if round > 0 {
                rates[i].push(rate);
            }
        }
        if round > 0 {
            each(round);
        }
    }
    let [prefill_512, decode_1, decode_16, decode_32] = rates.map(median);
    Ok(Rates { prefill_512, decode_1, decode_16, decode_32 })
}

/// Tokens a second of one prompt (`sequences` 0) or of so many sequences together.
fn ask_server(engine: &LocalEngine, server: &Endpoint, sequences: usize, salt: &mut usize) -> Result<f64> {
    let (tokens, new) = if sequences == 0 { (PROMPT, 1) } else { (BEGINNING, NEW) };
    let mut requests = Vec::new();
    for _ in 0..sequences.max(1) {
        *salt += 1;
        requests.push(Request {
            prompt: Prompt::Text(words(engine, tokens, *salt)?),
            max_new_tokens: new,
            sampling: Sampling::GREEDY,
        });
    }
    let (mut read, mut made) = (0, 0);
    let clock = Instant::now();
    server.generate(&requests, &mut |event| {
        if let Event::Done(_, g) = event {
            read += g.prompt_tokens;
            made += g.new_tokens;
        }
        ControlFlow::Continue(())
    })?;
    let seconds = clock.elapsed().as_secs_f64();
    let counted = if sequences == 0 { read } else { made };
    if counted == 0 {
        return Err(EngineError::Unsupported(
            "the server does not say how many tokens it read and made (`usage`)",
        ));
    }
    Ok(counted as f64 / seconds)
}

/// Numbers in words, which every model reads as about so many tokens, and which no two prompts begin alike.
fn words(engine: &LocalEngine, tokens: usize, salt: usize) -> Result<String> {
    let mut text = format!("{}:", salt * 7919 % 99_991);
    let mut i = salt;
    while engine.tokenize(&text)?.len() < tokens {
        i = i * 31 % 9973 + 1;
        text.push_str(&format!(" {i}"));
    }
    Ok(text)
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
        chunks(&mut next, 1, |i, next| {
            next[0] = argmax(&logits.data[i * spec.vocab..(i + 1) * spec.vocab]) as u32;
        });
    }
    Ok(clock.elapsed().as_secs_f64())
}
