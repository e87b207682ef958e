//! What a decoder looks like, read from a model's metadata.

use crate::error::{ModelError, Result};
use crate::weights::Weights;

/// Everything that tells one supported decoder from another.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderSpec {
    pub architecture: String,
    pub layers: usize,
    pub hidden: usize,
    pub feed_forward: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub context: usize,
    pub vocab: usize,
    pub rope_base: f32,
    pub rms_eps: f32,
    /// q, k and v have biases (Qwen2).
    pub qkv_bias: bool,
    /// Rotation pairs neighbouring elements (`llama` GGUFs store q and k rows permuted so) instead of halves.
    pub rope_interleaved: bool,
    /// The output head is the embedding table.
    pub tied_head: bool,
}

impl DecoderSpec {
    pub fn from_weights(w: &Weights) -> Result<Self> {
        let text = |key: &str| w.metadata.get(key).and_then(|v| v.as_str());
        let architecture = text("general.architecture")
            .ok_or_else(|| w.metadata_error("general.architecture", "is missing"))?
            .to_string();
        let (qkv_bias, rope_interleaved) = match architecture.as_str() {
            "qwen2" => (true, false),
            "llama" => (false, true),
            _ => return Err(ModelError::Architecture(architecture)),
        };
        let number = |suffix: &str, most: usize| -> Result<usize> {
            let key = format!("{architecture}.{suffix}");
            let value = w.metadata.get(&key).ok_or_else(|| w.metadata_error(&key, "is missing"))?;
            let n = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=most).contains(n));
            n.ok_or_else(|| w.metadata_error(&key, format!("is not a whole number between 1 and {most}")))
        };
        let real = |suffix: &str, default: Option<f64>| -> Result<f32> {
            let key = format!("{architecture}.{suffix}");
            let value = match w.metadata.get(&key) {
                Some(v) => v.as_f64(),
                None => default,
            };
            let v = value.filter(|v| v.is_finite() && *v > 0.0);
            v.map(|v| v as f32).ok_or_else(|| w.metadata_error(&key, "is missing or not a positive number"))
        };
        let hidden = number("embedding_length", 1 << 17)?;
        let heads = number("attention.head_count", 1 << 12)?;
        let kv_key = format!("{architecture}.attention.head_count_kv");
        let kv_heads =
            if w.metadata.contains_key(&kv_key) { number("attention.head_count_kv", heads)? } else { heads };
        if hidden % heads != 0 || heads % kv_heads != 0 {
            let reason =
                format!("{heads} heads and {kv_heads} key/value heads do not divide a width of {hidden}");
            return Err(w.metadata_error(&kv_key, reason));
        }
        let key_length = format!("{architecture}.attention.key_length");
        let head_dim = if w.metadata.contains_key(&key_length) {
            number("attention.key_length", 1 << 12)?
        } else {
            hidden / heads
        };
        let rotated = format!("{architecture}.rope.dimension_count");
        if let Some(n) = w.metadata.get(&rotated).and_then(|v| v.as_u64())
            && n != head_dim as u64
        {
            return Err(w.metadata_error(
                &rotated,
                format!("is {n}; only whole heads ({head_dim}) can be rotated yet"),
            ));
        }
        if head_dim % 2 != 0 {
            return Err(w.metadata_error(&key_length, "gives an odd head size, which cannot be rotated"));
        }
        let scaling = format!("{architecture}.rope.scaling.type");
        if let Some(kind) = text(&scaling).filter(|k| *k != "none") {
            return Err(w.metadata_error(&scaling, format!("is `{kind}`, which is not supported yet")));
        }
        if w.has("rope_freqs.weight") {
            return Err(
                w.metadata_error("rope_freqs.weight", "(scaled rotation frequencies) is not supported yet")
            );
        }
        let vocab = w
            .rows("token_embd.weight")
            .ok_or_else(|| w.metadata_error("token_embd.weight", "(the embedding table) is missing"))?;
        Ok(Self {
            layers: number("block_count", 1 << 10)?,
            hidden,
            feed_forward: number("feed_forward_length", 1 << 19)?,
            heads,
            kv_heads,
            head_dim,
            context: number("context_length", 1 << 24)?,
            vocab,
            rope_base: real("rope.freq_base", Some(10_000.0))?,
            rms_eps: real("attention.layer_norm_rms_epsilon", None)?,
            qkv_bias,
            rope_interleaved,
            tied_head: !w.has("output.weight"),
            architecture,
        })
    }

    /// Weights of the seven projections of every layer.
    pub fn body_parameters(&self) -> usize {
        let q = self.heads * self.head_dim;
        let kv = self.kv_heads * self.head_dim;
        self.layers * (self.hidden * (2 * q + 2 * kv) + 3 * self.hidden * self.feed_forward)
    }

    /// Floating-point operations of a forward pass over one token; with the output head or without.
    pub fn flops_per_token(&self, head: bool) -> f64 {
        2.0 * (self.body_parameters() + if head { self.vocab * self.hidden } else { 0 }) as f64
    }
}
