//! Supervised fine-tuning: reference answers by cross-entropy, the model's own answers by KL to itself, early stopping on `dev`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use freehold_engine::{Engine as _, LocalEngine, Reply};
use freehold_model::adapter::{Adapter, write_whole};
use freehold_model::candle_ops::Target;
use freehold_model::kernels::weight::Products;
use freehold_model::kernels::{axpy, pool};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::checkpoint::{self, State};
use crate::error::{Result, TreatError};
use crate::examples::{Example, Kind, TrainingSet};
use crate::lora::{Sequence, Trainable, initial};
use crate::optim::{AdamW, clip};
use crate::recipe::Recipe;

/// One point of the loss curves, in nats per token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub step: usize,
    pub train: Option<f64>,
    /// What early stopping minimises: negative log-likelihood of `dev` replies plus weighted KL on `dev` anchors.
    pub dev: Option<f64>,
    pub dev_kl: Option<f64>,
}

/// `training.json`: what was done and what it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Training {
    pub recipe: Recipe,
    pub examples: std::collections::BTreeMap<String, usize>,
    pub left_out: std::collections::BTreeMap<String, usize>,
    pub steps_planned: usize,
    pub steps: usize,
    pub best_step: usize,
    pub curve: Vec<CurvePoint>,
    pub parameters: usize,
    pub tokens: u64,
    pub seconds: f64,
    pub flops: f64,
    pub fingerprint: String,
    pub adapter_digest: String,
}

/// What a person sees while it runs.
pub trait Watch {
    fn start(&mut self, steps: usize, done: usize);
    fn step(&mut self, step: usize, loss: f64);
    fn dev(&mut self, step: usize, nll: f64, kl: f64, best: bool);
    fn note(&mut self, text: &str);
}

/// Order of the examples: every kind as often as the recipe says, shuffled with its seed.
fn schedule(set: &TrainingSet, recipe: &Recipe) -> Vec<usize> {
    let mut state = recipe.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut order = Vec::new();
    let mut pass = 0;
    // A pass at a time, so that no example comes a second time before the others of its kind came once.
    loop {
        let mut this: Vec<usize> = Vec::new();
        for (i, e) in set.train.iter().enumerate() {
            let epochs = match e.kind {
                Kind::Reference => recipe.epochs,
                Kind::Unknown => recipe.unknown_epochs,
                Kind::OpenBook => recipe.open_book_epochs,
                Kind::Anchor | Kind::Refusal | Kind::Script => recipe.anchor_epochs,
            };
            let left = epochs - pass as f64;
            if left >= 1.0 || (left > 0.0 && (next() % 10_000) as f64 / 10_000.0 < left) {
                this.push(i);
            }
        }
        if this.is_empty() {
            return order;
        }
        for i in (1..this.len()).rev() {
            this.swap(i, (next() % (i as u64 + 1)) as usize);
        }
        order.extend(this);
        pass += 1;
    }
}

/// The training set as sequences, anchors with the base model's distributions.
fn sequences(engine: &LocalEngine, set: &TrainingSet, recipe: &Recipe) -> Result<Vec<Sequence>> {
    let is_anchor = |e: &Example| e.kind == Kind::Anchor;
    let replies: Vec<Reply> = set
        .train
        .iter()
        .filter(|e| is_anchor(e))
        .map(|e| Reply { prompt: e.prompt.clone(), reply: e.reply.clone() })
        .collect();
    let mut tops = engine.top_tokens(&replies, recipe.anchor_top)?.into_iter();
    let mut out = Vec::with_capacity(set.train.len());
    for e in &set.train {
        let mut ids = e.prompt.clone();
        ids.extend(&e.reply[..e.reply.len().saturating_sub(1)]);
        let first = e.prompt.len() - 1;
        let targets = if is_anchor(e) {
            let top = tops.next().unwrap_or_default();
            let w = recipe.anchor_weight as f32;
            top.into_iter()
                .enumerate()
                .map(|(i, t)| (first + i, Target::Distribution(Arc::new(t)), w))
                .collect()
        } else {
            e.reply.iter().enumerate().map(|(i, &t)| (first + i, Target::Token(t), 1.0)).collect()
        };
        out.push(Sequence { ids, targets });
    }
    Ok(out)
}

/// Mean negative log-likelihood of the dev replies and mean KL on the dev anchors, per token.
fn evaluate(engine: &LocalEngine, adapter: &Adapter, set: &TrainingSet) -> Result<(f64, f64)> {
    let treated = engine.with_matrices(adapter)?;
    let replies = |examples: &[Example]| -> Vec<Reply> {
        examples.iter().map(|e| Reply { prompt: e.prompt.clone(), reply: e.reply.clone() }).collect()
    };
    let (dev, anchors) = (replies(&set.dev), replies(&set.dev_anchors));
    let scores = treated.score_replies(&dev)?;
    let per_token = scores.iter().zip(&dev).map(|(s, r)| -s / r.reply.len().max(1) as f64);
    let nll = per_token.sum::<f64>() / dev.len().max(1) as f64;
    let kl = engine.kl_to(&treated, &anchors)?;
    Ok((nll, kl.iter().sum::<f64>() / kl.len().max(1) as f64))
}

fn fingerprint(engine: &LocalEngine, set: &TrainingSet, recipe: &Recipe) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(&engine.identity().model_digest);
    hash.update(serde_json::to_vec(recipe).map_err(|e| candle_core::Error::Msg(e.to_string()))?);
    for e in set.train.iter().chain(&set.dev).chain(&set.dev_anchors) {
        for id in e.prompt.iter().chain(&e.reply) {
            hash.update(id.to_le_bytes());
        }
        hash.update([e.kind as u8]);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Trains an adapter into `out` (PEFT layout, `training.json`); goes on from a checkpoint in it. The engine must have no adapter.
pub fn train(
    engine: &LocalEngine,
    set: &TrainingSet,
    recipe: &Recipe,
    out: &Path,
    watch: &mut dyn Watch,
) -> Result<Training> {
    let spec = &engine.model.spec;
    let from_layer = ((recipe.from_layer * spec.layers as f64).round() as usize).min(spec.layers - 1);
    let fingerprint = fingerprint(engine, set, recipe)?;
    match finished(out) {
        Some(done)
            if done.fingerprint == fingerprint
                && Adapter::digest(out).ok().as_ref() == Some(&done.adapter_digest) =>
        {
            watch.note(&format!("{} holds this very treatment already", out.display()));
            return Ok(done);
        }
        Some(_) => return Err(TreatError::OtherAdapter(out.into())),
        None => {}
    }
    let scale = (recipe.alpha / recipe.rank.max(1) as f64) as f32;
    let start = initial(engine.panels(), &recipe.targets, from_layer, recipe.rank.max(1), scale, recipe.seed);
    if start.parameters() == 0 {
        return Err(TreatError::Empty(format!("none of {:?} is a projection", recipe.targets)));
    }
    let mut model = Trainable::new(Arc::clone(engine.panels()), &start, Products::Same)?;
    let order = schedule(set, recipe);
    let steps = order.len().div_ceil(recipe.batch.max(1));
    let dir = out.join("checkpoint");
    let mut state = match checkpoint::load(&dir, &fingerprint, &mut model.parameters)? {
        Some(state) => {
            watch.note(&format!("going on from step {} of {steps}", state.step));
            state
        }
        None => State {
            fingerprint: fingerprint.clone(),
            step: 0,
            curve: Vec::new(),
            best: None,
            seconds: 0.0,
            tokens: 0,
            flops: 0.0,
        },
    };
    let mut clock = Instant::now();
    let sequences = sequences(engine, set, recipe)?;
    let optimizer = AdamW::new(recipe.weight_decay);
    let mut last_save = Instant::now();
    if state.step == 0 && state.curve.is_empty() {
        let (nll, kl) = evaluate(engine, &start, set)?;
        state.curve.push(CurvePoint {
            step: 0,
            train: None,
            dev: Some(nll + recipe.dev_kl_weight * kl),
            dev_kl: Some(kl),
        });
        watch.dev(0, nll, kl, false);
    }
    watch.start(steps, state.step);
    while state.step < steps && !stopped(&state, recipe) {
        model.publish()?;
        let batch: Vec<&Sequence> =
            order[state.step * recipe.batch..].iter().take(recipe.batch).map(|&i| &sequences[i]).collect();
        let total: f32 = batch.iter().flat_map(|s| &s.targets).map(|t| t.2).sum();
        let mut sums: Vec<Vec<f32>> = model.parameters.iter().map(|p| vec![0.0; p.value.len()]).collect();
        let mut loss = 0.0;
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let mut n = 1;
            let mut tokens = rest[0].ids.len();
            while n < rest.len() && tokens + rest[n].ids.len() <= recipe.micro_tokens {
                tokens += rest[n].ids.len();
                n += 1;
            }
            let (value, gradients) = model.gradients(&rest[..n])?;
            loss += value / f64::from(total);
            pool::chunks(&mut sums, 1, |i, sum| axpy(&mut sum[0], 1.0 / total, &gradients[i]));
            let labels: usize = rest[..n].iter().map(|s| s.targets.len()).sum();
            let trained = (spec.layers - from_layer) as f64 / spec.layers as f64;
            state.tokens += tokens as u64;
            state.flops += 2.0 * trained * spec.flops_per_token(false) * tokens as f64
                + 4.0 * (spec.vocab * spec.hidden) as f64 * labels as f64;
            rest = &rest[n..];
        }
        if !loss.is_finite() {
            return Err(TreatError::Diverged(loss, state.step + 1));
        }
        clip(&mut sums, recipe.clip);
        let rate = recipe.rate(state.step, steps);
        state.step += 1;
        pool::chunks(&mut model.parameters, 1, |i, p| {
            optimizer.update(&mut p[0], &sums[i], rate, state.step)
        });
        let mut point = CurvePoint { step: state.step, train: Some(loss), dev: None, dev_kl: None };
        watch.step(state.step, loss);
        if state.step % recipe.eval_every.max(1) == 0 || state.step == steps {
            let adapter = model.adapter();
            let (nll, kl) = evaluate(engine, &adapter, set)?;
            let value = nll + recipe.dev_kl_weight * kl;
            let better = state.best.is_none_or(|(_, b)| value < b);
            if better {
                adapter.save(out, &engine.identity().model)?;
                state.best = Some((state.step, value));
            }
            watch.dev(state.step, nll, kl, better);
            (point.dev, point.dev_kl) = (Some(value), Some(kl));
        }
        state.curve.push(point);
        if point.dev.is_some() || last_save.elapsed().as_secs() >= 60 {
            state.seconds += clock.elapsed().as_secs_f64();
            clock = Instant::now();
            checkpoint::save(&dir, &state, &model.parameters)?;
            last_save = Instant::now();
        }
    }
    let training = Training {
        recipe: recipe.clone(),
        examples: set.counts(),
        left_out: set.left_out.clone(),
        steps_planned: steps,
        steps: state.step,
        best_step: state.best.map_or(0, |b| b.0),
        parameters: start.parameters(),
        tokens: state.tokens,
        seconds: state.seconds + clock.elapsed().as_secs_f64(),
        flops: state.flops,
        curve: state.curve,
        fingerprint,
        adapter_digest: Adapter::digest(out)?,
    };
    let json = serde_json::to_vec_pretty(&training).map_err(|e| candle_core::Error::Msg(e.to_string()))?;
    write_whole(&out.join("training.json"), &json)?;
    let _ = std::fs::remove_dir_all(&dir);
    Ok(training)
}

/// Early stopping: `patience` evaluations went by without a better one.
fn stopped(state: &State, recipe: &Recipe) -> bool {
    let Some((best, _)) = state.best else { return false };
    state.curve.iter().filter(|p| p.step > best && p.dev.is_some()).count() >= recipe.patience.max(1)
}

/// The record of a finished treatment in `dir`.
fn finished(dir: &Path) -> Option<Training> {
    serde_json::from_slice(&std::fs::read(dir.join("training.json")).ok()?).ok()
}
