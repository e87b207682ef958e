//! Continuous batching: a finished sequence leaves, a waiting one enters, no row is padding.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use freehold_model::cpu::{Cpu, KvCache};
use freehold_model::decoder::Decoder;
use freehold_model::ops::{Layout, Ops as _};
use freehold_model::tokenizer::{TextStream, Tokenizer};
use rayon::prelude::*;

use crate::sample::choose;
use crate::{Event, Finish, Generation, Result, Sampling};

/// Sequences that run at once. Many rows share the cost of reading the weights; beyond this they gain little, and every one takes memory for its keys and values.
const MAX_RUNNING: usize = 128;
/// Prompt rows that may join one step; bounds the memory of a step.
const PREFILL_ROWS: usize = 512;
/// A common beginning shorter than this is not worth a cache of its own.
const MIN_PREFIX: usize = 8;

/// Length of the longest common beginning of all prompts, leaving each at least one token of its own.
pub fn common_prefix<'a>(mut prompts: impl Iterator<Item = &'a [u32]>) -> usize {
    let Some(first) = prompts.next() else { return 0 };
    let mut n = first.len().saturating_sub(1);
    for p in prompts {
        let same = first.iter().zip(p).take_while(|(a, b)| a == b).count();
        n = n.min(same).min(p.len().saturating_sub(1));
    }
    if n < MIN_PREFIX { 0 } else { n }
}

/// Runs `ids` through the decoder into a cache that others can continue.
pub fn prefix_cache(
    decoder: &Decoder<Cpu>,
    ids: &[u32],
    parent: Option<&Arc<KvCache>>,
    position: usize,
) -> Result<Arc<KvCache>> {
    let mut cache = parent.map_or_else(|| KvCache::new(decoder.spec().layers), KvCache::continuing);
    for (i, chunk) in ids.chunks(PREFILL_ROWS).enumerate() {
        let mut layout = Layout::default();
        layout.push(chunk.len(), position + i * PREFILL_ROWS, 0);
        decoder.forward(chunk, &layout, std::slice::from_mut(&mut cache))?;
    }
    Ok(Arc::new(cache))
}

struct Running {
    request: usize,
    /// Tokens that have not been through the decoder yet.
    pending: Vec<u32>,
    position: usize,
    ids: Vec<u32>,
    text: String,
    stream: TextStream,
    logprob: f64,
}

/// A sequence to be continued.
pub struct Sequence {
    pub ids: Vec<u32>,
    pub max_new_tokens: usize,
    pub sampling: Sampling,
    /// Whether it ends where the model says so; a measurement goes on.
    pub stops: bool,
}

pub fn run(
    decoder: &Decoder<Cpu>,
    tokenizer: &Tokenizer,
    requests: &[Sequence],
    on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let shared =
        if requests.len() > 1 { common_prefix(requests.iter().map(|r| r.ids.as_slice())) } else { 0 };
    let prefix = match shared {
        0 => None,
        n => Some(prefix_cache(decoder, &requests[0].ids[..n], None, 0)?),
    };
    let mut waiting: VecDeque<usize> = (0..requests.len()).collect();
    let mut running: Vec<Running> = Vec::new();
    let mut caches: Vec<KvCache> = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        let mut rows = 0;
        while running.len() < MAX_RUNNING
            && let Some(&next) = waiting.front()
        {
            let pending = requests[next].ids[shared..].to_vec();
            if rows > 0 && rows + pending.len() > PREFILL_ROWS {
                break;
            }
            rows += pending.len();
            waiting.pop_front();
            caches.push(
                prefix.as_ref().map_or_else(|| KvCache::new(decoder.spec().layers), KvCache::continuing),
            );
            running.push(Running {
                request: next,
                pending,
                position: shared,
                ids: Vec::new(),
                text: String::new(),
                stream: TextStream::default(),
                logprob: 0.0,
            });
        }
        let (mut ids, mut layout, mut last) = (Vec::new(), Layout::default(), Vec::new());
        for (i, r) in running.iter_mut().enumerate() {
            layout.push(r.pending.len(), r.position, i);
            r.position += r.pending.len();
            ids.append(&mut r.pending);
            last.push(ids.len() - 1);
        }
        let hidden = decoder.forward(&ids, &layout, &mut caches)?;
        let logits = decoder.logits(&hidden, &last)?;
        let vocab = decoder.spec().vocab;
        let chosen: Vec<(u32, f64)> = logits
            .data
            .par_chunks(vocab)
            .zip(&running)
            .map(|(row, r)| choose(row, requests[r.request].sampling, r.ids.len()))
            .collect();
        let mut i = 0;
        for (token, logprob) in chosen {
            let r = &mut running[i];
            r.logprob += logprob;
            let stop = requests[r.request].stops && tokenizer.stops.contains(&token);
            if !stop {
                r.ids.push(token);
                r.pending.push(token);
                let piece = r.stream.push(tokenizer, token);
                if !piece.is_empty() {
                    r.text.push_str(&piece);
                    if on(Event::Text(r.request, &piece)).is_break() {
                        return Ok(());
                    }
                }
            }
            if !stop && r.ids.len() < requests[r.request].max_new_tokens {
                i += 1;
                continue;
            }
            // Order within the batch does not matter, and `chosen` is walked in step with it.
            let done = running.remove(i);
            caches.remove(i);
            let finish = if stop { Finish::Stop } else { Finish::Length };
            let generation = Generation {
                new_tokens: done.ids.len(),
                prompt_tokens: requests[done.request].ids.len(),
                ids: done.ids,
                text: done.text,
                reasoning: String::new(),
                finish,
                logprob: Some(done.logprob),
            };
            if on(Event::Done(done.request, generation)).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Values of a tensor without a copy where it can be had.
pub fn logits_of(
    decoder: &Decoder<Cpu>,
    hidden: &<Cpu as freehold_model::ops::Ops>::Tensor,
    rows: &[usize],
) -> Result<Vec<f32>> {
    Ok(decoder.ops.values(&decoder.logits(hidden, rows)?)?)
}
