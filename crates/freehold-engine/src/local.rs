//! Weights in this process.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use freehold_model::adapter::Adapter;
use freehold_model::cpu::{Cpu, KvCache};
use freehold_model::decoder::{Decoder, Panels};
use freehold_model::kernels::weight::Products;
use freehold_model::kernels::{exp, log_sum_exp};
use freehold_model::ops::{Layout, Ops as _};
use freehold_model::template::{Message, Role};
use freehold_model::{Model, ModelError};
use rayon::prelude::*;

use crate::batch::{self, common_prefix, prefix_cache};
use crate::{Engine, Event, Identity, Prompt, Request, Result, Score, ScoreRequest};

/// Rows whose logits are held at once.
const LOGIT_ROWS: usize = 64;
/// Rows that run together.
const BATCH_ROWS: usize = 384;

/// Likely next tokens at one position, with their probabilities.
pub type TopTokens = Vec<(u32, f32)>;

/// A prompt with a reply to it, as token ids.
#[derive(Debug, Clone)]
pub struct Reply {
    pub prompt: Vec<u32>,
    pub reply: Vec<u32>,
}

pub struct LocalEngine {
    pub model: Arc<Model>,
    panels: Arc<Panels>,
    pub(crate) decoder: Decoder<Cpu>,
    identity: Identity,
    /// Put before every conversation that has no system prompt of its own.
    pub system: Option<String>,
}

impl LocalEngine {
    /// Expands a model's weights. `digest` is the SHA-256 of its file, as the cache knows it.
    pub fn new(model: Arc<Model>, name: &str, digest: &str) -> Result<Self> {
        let panels = Arc::new(Panels::load(Arc::clone(&model.weights), model.spec.clone())?);
        let decoder = Decoder::new(Cpu::default(), Arc::clone(&panels), None)?;
        let identity = Identity {
            model: name.into(),
            model_digest: digest.into(),
            architecture: model.spec.architecture.clone(),
            adapter: None,
            adapter_digest: None,
            verifiable: true,
        };
        Ok(Self { model, panels, decoder, identity, system: None })
    }

    /// The same weights with an adapter from a PEFT folder; the expanded weights are shared.
    pub fn with_adapter(&self, dir: &Path) -> Result<Self> {
        let adapter = Adapter::load(dir, &self.model.spec)?;
        let mut engine = self.with_matrices(&adapter)?;
        engine.identity.adapter = Some(dir.display().to_string());
        engine.identity.adapter_digest = Some(Adapter::digest(dir)?);
        Ok(engine)
    }

    /// The same weights with an adapter in memory, which has no digest: not for runs that are kept.
    pub fn with_matrices(&self, adapter: &Adapter) -> Result<Self> {
        Ok(Self {
            model: Arc::clone(&self.model),
            panels: Arc::clone(&self.panels),
            decoder: Decoder::new(self.decoder.ops, Arc::clone(&self.panels), Some(adapter))?,
            identity: self.identity.clone(),
            system: self.system.clone(),
        })
    }

    /// From here on products may be rounded as is fastest for the number of rows: for conversations, where nobody compares two answers. Without it a prompt
    /// gets the same greedy answer whatever is asked beside it.
    pub fn set_products(&mut self, products: Products) {
        self.decoder.ops.products = products;
    }

    pub fn panels(&self) -> &Arc<Panels> {
        &self.panels
    }

    /// Token ids of a raw text, in which control tokens count.
    pub fn tokenize_raw(&self, text: &str) -> Result<Vec<u32>> {
        let t = &self.model.tokenizer;
        let mut ids = t.encode_with_control(text)?;
        if t.add_bos
            && let Some(bos) = t.bos
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    fn check(&self, prompt: usize, new: usize) -> Result<()> {
        let context = self.model.spec.context;
        if prompt == 0 || prompt + new > context {
            return Err(ModelError::Context { prompt, new, context }.into());
        }
        Ok(())
    }

    /// Calls `each(reply, token index, logits)` for the logits that predict every token of every reply. Logits may be overwritten.
    pub fn reply_logits(
        &self,
        replies: &[Reply],
        each: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) -> Result<()> {
        for r in replies {
            self.check(r.prompt.len(), r.reply.len())?;
        }
        let shared = common_prefix(replies.iter().map(|r| r.prompt.as_slice()));
        let prefix = match shared {
            0 => None,
            n => Some(prefix_cache(&self.decoder, &replies[0].prompt[..n], None, 0)?),
        };
        // Replies to the same prompt go together, so that it is computed once.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known = HashMap::new();
        for (i, r) in replies.iter().enumerate() {
            let group = *known.entry(r.prompt.as_slice()).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(i);
        }
        let mut groups = groups.iter().peekable();
        while groups.peek().is_some() {
            let (mut batch, mut rows) = (Vec::new(), 0);
            while rows < BATCH_ROWS
                && let Some(group) = groups.next()
            {
                rows += replies[group[0]].prompt.len() - shared;
                rows += group.iter().map(|&i| replies[i].reply.len()).sum::<usize>();
                batch.push(group.as_slice());
            }
            self.batch_logits(replies, &batch, (shared, prefix.as_ref()), each)?;
        }
        Ok(())
    }

    /// [`LocalEngine::reply_logits`] for some groups of replies with a prompt in common. The first `shared` tokens of all prompts are in `prefix`.
    fn batch_logits(
        &self,
        replies: &[Reply],
        groups: &[&[usize]],
        (shared, prefix): (usize, Option<&Arc<KvCache>>),
        each: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) -> Result<()> {
        let start = |parent: Option<&Arc<KvCache>>| {
            parent.map_or_else(|| KvCache::new(self.model.spec.layers), KvCache::continuing)
        };
        // The last token of a prompt predicts the first of a reply, and goes with the replies.
        let (mut ids, mut layout, mut caches) = (Vec::new(), Layout::default(), Vec::new());
        for group in groups {
            let prompt = &replies[group[0]].prompt;
            let own = &prompt[shared..prompt.len() - 1];
            layout.push(own.len(), shared, caches.len());
            ids.extend(own);
            caches.push(start(prefix));
        }
        if !ids.is_empty() {
            self.decoder.forward(&ids, &layout, &mut caches)?;
        }
        let prompts: Vec<Arc<KvCache>> = caches.into_iter().map(Arc::new).collect();
        let (mut ids, mut layout, mut caches, mut rows) =
            (Vec::new(), Layout::default(), Vec::new(), Vec::new());
        for (group, prompt) in groups.iter().zip(&prompts) {
            for &i in *group {
                let r = &replies[i];
                let first = ids.len();
                ids.extend(r.prompt.last());
                ids.extend(r.reply.iter().take(r.reply.len().saturating_sub(1)));
                layout.push(ids.len() - first, r.prompt.len() - 1, caches.len());
                caches.push(start(Some(prompt)));
                rows.extend((0..r.reply.len()).map(|token| (first + token, i, token)));
            }
        }
        let hidden = self.decoder.forward(&ids, &layout, &mut caches)?;
        for chunk in rows.chunks(LOGIT_ROWS) {
            let index: Vec<usize> = chunk.iter().map(|r| r.0).collect();
            let mut logits = batch::logits_of(&self.decoder, &hidden, &index)?;
            logits
                .par_chunks_mut(self.model.spec.vocab)
                .zip(chunk)
                .for_each(|(l, &(_, reply, i))| each(reply, i, l));
        }
        Ok(())
    }

    /// The `k` most likely tokens, with their probabilities, at every position of every reply.
    pub fn top_tokens(&self, replies: &[Reply], k: usize) -> Result<Vec<Vec<TopTokens>>> {
        let out: Vec<Vec<Mutex<TopTokens>>> =
            replies.iter().map(|r| r.reply.iter().map(|_| Default::default()).collect()).collect();
        self.reply_logits(replies, &|reply, i, logits| {
            let lse = log_sum_exp(logits);
            let mut order: Vec<u32> = (0..logits.len() as u32).collect();
            let k = k.min(order.len());
            let by = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]);
            order.select_nth_unstable_by(k - 1, by);
            let top = order[..k].iter().map(|&t| (t, exp(logits[t as usize] - lse))).collect();
            if let Ok(mut slot) = out[reply][i].lock() {
                *slot = top;
            }
        })?;
        let inner = |m: Mutex<Vec<(u32, f32)>>| m.into_inner().unwrap_or_default();
        Ok(out.into_iter().map(|r| r.into_iter().map(inner).collect()).collect())
    }

    /// Mean KL divergence per token (nats) of `other` from this engine, for each reply: KL(self ‖ other) over the whole vocabulary.
    pub fn kl_to(&self, other: &LocalEngine, replies: &[Reply]) -> Result<Vec<f64>> {
        let mut means = Vec::with_capacity(replies.len());
        for r in replies {
            let one = std::slice::from_ref(r);
            let mine: Vec<Mutex<Vec<f32>>> = r.reply.iter().map(|_| Default::default()).collect();
            self.reply_logits(one, &|_, i, logits| {
                if let Ok(mut m) = mine[i].lock() {
                    *m = logits.to_vec();
                }
            })?;
            let sums: Vec<Mutex<f64>> = r.reply.iter().map(|_| Default::default()).collect();
            other.reply_logits(one, &|_, i, q| {
                let (Ok(p), Ok(mut sum)) = (mine[i].lock(), sums[i].lock()) else { return };
                let (lp, lq) = (log_sum_exp(&p), log_sum_exp(q));
                *sum = p
                    .iter()
                    .zip(q.iter())
                    .map(|(&a, &b)| f64::from(exp(a - lp)) * f64::from((a - lp) - (b - lq)))
                    .sum();
            })?;
            let total: f64 = sums.into_iter().map(|s| s.into_inner().unwrap_or_default()).sum();
            means.push(total.max(0.0) / r.reply.len().max(1) as f64);
        }
        Ok(means)
    }

    /// Token ids of a conversation up to where the assistant's turn begins.
    pub fn prompt_ids(&self, messages: &[Message]) -> Result<Vec<u32>> {
        let mut all = Vec::with_capacity(messages.len() + 1);
        if let Some(system) = &self.system
            && messages.first().is_none_or(|m| m.role != Role::System)
        {
            all.push(Message::new(Role::System, system.clone()));
        }
        all.extend_from_slice(messages);
        Ok(self.model.template.encode(&self.model.tokenizer, &all, true)?)
    }

    /// Token ids of plain text.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.model.tokenizer.encode(text)?)
    }

    /// Sum of log-probabilities (nats) of each reply's tokens.
    pub fn score_replies(&self, replies: &[Reply]) -> Result<Vec<f64>> {
        let sums: Vec<Vec<Mutex<f64>>> =
            replies.iter().map(|r| r.reply.iter().map(|_| Default::default()).collect()).collect();
        self.reply_logits(replies, &|reply, i, logits| {
            let token = replies[reply].reply[i] as usize;
            if let Ok(mut s) = sums[reply][i].lock() {
                *s = logits.get(token).map_or(f64::NEG_INFINITY, |v| f64::from(v - log_sum_exp(logits)));
            }
        })?;
        let sum =
            |tokens: Vec<Mutex<f64>>| tokens.into_iter().map(|m| m.into_inner().unwrap_or_default()).sum();
        Ok(sums.into_iter().map(sum).collect())
    }

    /// The residual stream after every block at the last token of `ids`: `layers` vectors of the model's width.
    pub fn activations(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.check(ids.len(), 0)?;
        let mut layout = Layout::default();
        layout.push(ids.len(), 0, 0);
        let mut caches = [KvCache::new(self.model.spec.layers)];
        let mut seen = Vec::with_capacity(self.model.spec.layers);
        let x = self.decoder.embed(ids)?;
        self.decoder.blocks(x, 0..self.model.spec.layers, &layout, &mut caches, |_, x| {
            let row = self.decoder.ops.select(x, &[ids.len() - 1])?;
            seen.push(self.decoder.ops.values(&row)?);
            Ok(())
        })?;
        Ok(seen)
    }

    /// What this engine takes as a prompt, as token ids.
    fn ids_of(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        match prompt {
            Prompt::Ids(ids) => Ok(ids.clone()),
            Prompt::Chat(messages) => self.prompt_ids(messages),
            Prompt::Text(text) => self.tokenize_raw(text),
        }
    }
}

impl Engine for LocalEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn prompt(&self, messages: &[Message]) -> Result<Prompt> {
        self.prompt_ids(messages).map(Prompt::Ids)
    }

    fn inserted_system_prompt(&self) -> Option<String> {
        self.model.template.inserted_system_prompt()
    }

    fn generate(&self, requests: &[Request], on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<()> {
        let mut sequences = Vec::with_capacity(requests.len());
        for r in requests {
            let ids = self.ids_of(&r.prompt)?;
            self.check(ids.len(), r.max_new_tokens)?;
            let (max_new_tokens, sampling) = (r.max_new_tokens, r.sampling);
            sequences.push(batch::Sequence { ids, max_new_tokens, sampling, stops: true });
        }
        batch::run(&self.decoder, &self.model.tokenizer, &sequences, on)
    }

    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>> {
        let mut replies = Vec::with_capacity(requests.len());
        for r in requests {
            replies.push(Reply { prompt: self.ids_of(&r.prompt)?, reply: self.tokenize(&r.continuation)? });
        }
        let sums = self.score_replies(&replies)?;
        Ok(sums.iter().zip(&replies).map(|(&logprob, r)| Score { logprob, tokens: r.reply.len() }).collect())
    }

    fn about(&self) -> String {
        format!("{} in this process; nothing leaves this machine", self.identity.model)
    }
}
