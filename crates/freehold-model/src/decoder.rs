//! ONE decoder, described by a [`DecoderSpec`] and written against [`Ops`].

use std::sync::Arc;

use rayon::prelude::*;

use crate::adapter::Adapter;
use crate::error::Result;
use crate::kernels::weight::Weight;
use crate::ops::{Heads, Layout, Linear, Lora, Ops, Panel};
use crate::spec::DecoderSpec;
use crate::weights::Weights;

/// The seven linear layers of a block, by their Hugging Face names; adapters name them so.
pub const PROJECTIONS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const GGUF_NAMES: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/// `[out, in]` of each projection.
pub fn projection_shape(spec: &DecoderSpec, projection: usize) -> (usize, usize) {
    let (h, q, kv, f) =
        (spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim, spec.feed_forward);
    [(q, h), (kv, h), (kv, h), (h, q), (f, h), (f, h), (h, f)][projection]
}

/// The frozen weights, shared by every decoder made from them.
pub struct Panels {
    pub spec: DecoderSpec,
    embedding: Embedding,
    layers: Vec<LayerPanels>,
    output_norm: Vec<f32>,
    head: Panel,
}

/// Where embeddings come from: read from the file a row at a time, unless the head holds the same table anyway.
enum Embedding {
    Head,
    File(Arc<Weights>),
    Table(Vec<f32>),
}

struct LayerPanels {
    attention_norm: Vec<f32>,
    feed_forward_norm: Vec<f32>,
    projections: Vec<Panel>,
    biases: [Option<Vec<f32>>; 3],
}

/// Where the file has a row of q or k. `llama` GGUFs interleave the two halves of every head.
fn interleaved(row: usize, head_dim: usize) -> usize {
    let (head, r) = (row / head_dim, row % head_dim);
    let (half, i) = (r / (head_dim / 2), r % (head_dim / 2));
    head * head_dim + i * 2 + half
}

impl Panels {
    pub fn load(weights: Arc<Weights>, spec: DecoderSpec) -> Result<Self> {
        let w = &weights;
        let panel = |name: &str, shape, from: &(dyn Fn(usize) -> usize + Sync)| {
            w.matrix(name, shape, from).map(Arc::new)
        };
        let layers = (0..spec.layers)
            .into_par_iter()
            .map(|l| {
                let mut projections = Vec::with_capacity(7);
                for (p, name) in GGUF_NAMES.iter().enumerate() {
                    let shape = projection_shape(&spec, p);
                    let name = format!("blk.{l}.{name}.weight");
                    projections.push(if p < 2 && spec.rope_interleaved {
                        panel(&name, shape, &|row| interleaved(row, spec.head_dim))?
                    } else {
                        panel(&name, shape, &|row| row)?
                    });
                }
                let bias = |p: usize| -> Result<Option<Vec<f32>>> {
                    let rows = projection_shape(&spec, p).0;
                    let name = format!("blk.{l}.{}.bias", GGUF_NAMES[p]);
                    spec.qkv_bias.then(|| w.dequantize(&name, &[rows])).transpose()
                };
                Ok(LayerPanels {
                    attention_norm: w.dequantize(&format!("blk.{l}.attn_norm.weight"), &[spec.hidden])?,
                    feed_forward_norm: w.dequantize(&format!("blk.{l}.ffn_norm.weight"), &[spec.hidden])?,
                    projections,
                    biases: [bias(0)?, bias(1)?, bias(2)?],
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let output_norm = w.dequantize("output_norm.weight", &[spec.hidden])?;
        let head_name = if spec.tied_head { "token_embd.weight" } else { "output.weight" };
        let head = panel(head_name, (spec.vocab, spec.hidden), &|row| row)?;
        let embedding = if spec.tied_head { Embedding::Head } else { Embedding::File(weights) };
        Ok(Self { spec, layers, output_norm, head, embedding })
    }

    /// A model whose tensors `values(name, rows, cols)` gives: for tests and experiments on tiny models. Norms are vectors of one row.
    pub fn from_fn(spec: DecoderSpec, mut values: impl FnMut(&str, usize, usize) -> Vec<f32>) -> Self {
        let mut layers = Vec::with_capacity(spec.layers);
        for l in 0..spec.layers {
            let projections = (0..7)
                .map(|p| {
                    let (rows, cols) = projection_shape(&spec, p);
                    Arc::new(Weight::new(&values(&format!("{l}.{}", PROJECTIONS[p]), rows, cols), rows, cols))
                })
                .collect();
            let mut bias = |p: usize| {
                let rows = projection_shape(&spec, p).0;
                spec.qkv_bias.then(|| values(&format!("{l}.{}.bias", PROJECTIONS[p]), 1, rows))
            };
            let biases = [bias(0), bias(1), bias(2)];
            layers.push(LayerPanels {
                attention_norm: values(&format!("{l}.attention_norm"), 1, spec.hidden),
                feed_forward_norm: values(&format!("{l}.feed_forward_norm"), 1, spec.hidden),
                projections,
                biases,
            });
        }
        let output_norm = values("output_norm", 1, spec.hidden);
        let head = Arc::new(Weight::new(&values("head", spec.vocab, spec.hidden), spec.vocab, spec.hidden));
        let embedding = Embedding::Table(values("embedding", spec.vocab, spec.hidden));
        Self { spec, layers, output_norm, head, embedding }
    }

    pub fn head(&self) -> &Panel {
        &self.head
    }

    /// Embeddings of token ids, `[ids, hidden]`.
    pub fn embed(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let (rows, cols) = (self.spec.vocab, self.spec.hidden);
        let mut out = Vec::with_capacity(ids.len() * cols);
        for &id in ids {
            let row = id as usize;
            if row >= rows {
                return Err(candle_core::Error::Msg(format!(
                    "token {id} is outside the vocabulary of {rows}"
                ))
                .into());
            }
            match &self.embedding {
                Embedding::Head => out.extend(self.head.row(row)),
                Embedding::File(weights) => out.extend(weights.row("token_embd.weight", rows, cols, row)?),
                Embedding::Table(table) => out.extend_from_slice(&table[row * cols..][..cols]),
            }
        }
        Ok(out)
    }
}

struct Layer<O: Ops> {
    attention_norm: O::Tensor,
    feed_forward_norm: O::Tensor,
    projections: Vec<Linear<O>>,
}

/// A decoder on a backend, with an adapter or without.
pub struct Decoder<O: Ops> {
    pub ops: O,
    pub panels: Arc<Panels>,
    layers: Vec<Layer<O>>,
    output_norm: O::Tensor,
    head: Linear<O>,
}

impl<O: Ops> Decoder<O> {
    pub fn new(ops: O, panels: Arc<Panels>, adapter: Option<&Adapter>) -> Result<Self> {
        let vector = |v: &Vec<f32>| ops.tensor(v.clone(), 1, v.len());
        let mut layers = Vec::with_capacity(panels.layers.len());
        for (l, p) in panels.layers.iter().enumerate() {
            let mut projections = Vec::with_capacity(7);
            for (i, weight) in p.projections.iter().enumerate() {
                let bias = p.biases.get(i).and_then(|b| b.as_ref()).map(vector).transpose()?;
                let lora = match adapter.and_then(|a| a.get(l, i)) {
                    Some(m) => Some(Lora {
                        a: ops.factor(m.a.clone(), m.rank, weight.cols)?,
                        b: ops.factor(m.b.clone(), weight.rows, m.rank)?,
                        scale: m.scale,
                        rank: m.rank,
                    }),
                    None => None,
                };
                projections.push(Linear { weight: weight.clone(), bias, lora });
            }
            layers.push(Layer {
                attention_norm: vector(&p.attention_norm)?,
                feed_forward_norm: vector(&p.feed_forward_norm)?,
                projections,
            });
        }
        let output_norm = vector(&panels.output_norm)?;
        let head = Linear { weight: panels.head.clone(), bias: None, lora: None };
        Ok(Self { ops, layers, output_norm, head, panels })
    }

    pub fn spec(&self) -> &DecoderSpec {
        &self.panels.spec
    }

    /// Puts trainable low-rank matrices on one projection.
    pub fn set_lora(&mut self, layer: usize, projection: usize, lora: Option<Lora<O::Factor>>) {
        self.layers[layer].projections[projection].lora = lora;
    }

    /// Embeddings of `ids` as this backend's tensor.
    pub fn embed(&self, ids: &[u32]) -> Result<O::Tensor> {
        self.ops.tensor(self.panels.embed(ids)?, ids.len(), self.spec().hidden)
    }

    /// Hidden states after the blocks `from..to`, before the final norm: `[rows, hidden]`. `watch` sees the residual stream
    /// after each block.
    pub fn blocks(
        &self,
        x: O::Tensor,
        range: std::ops::Range<usize>,
        layout: &Layout,
        caches: &mut [O::Cache],
        mut watch: impl FnMut(usize, &O::Tensor) -> Result<()>,
    ) -> Result<O::Tensor> {
        let (spec, ops) = (self.spec(), &self.ops);
        let heads = Heads { query: spec.heads, kv: spec.kv_heads, dim: spec.head_dim };
        let mut x = x;
        for l in range {
            let layer = &self.layers[l];
            let p = &layer.projections;
            let h = ops.rms_norm(&x, &layer.attention_norm, spec.rms_eps)?;
            let qkv = ops.linears(&h, &p[..3])?;
            let q = ops.rope(&qkv[0], spec.heads, spec.rope_base, layout)?;
            let k = ops.rope(&qkv[1], spec.kv_heads, spec.rope_base, layout)?;
            let attended = ops.attention([&q, &k, &qkv[2]], heads, l, layout, caches)?;
            x = ops.add(&x, &ops.linear(&attended, &p[3])?)?;
            let h = ops.rms_norm(&x, &layer.feed_forward_norm, spec.rms_eps)?;
            let both = ops.linears(&h, &p[4..6])?;
            let gated = ops.silu_mul(&both[0], &both[1])?;
            x = ops.add(&x, &ops.linear(&gated, &p[6])?)?;
            watch(l, &x)?;
        }
        Ok(x)
    }

    /// Final hidden states of `ids`, normalised: what the output head reads.
    pub fn forward(&self, ids: &[u32], layout: &Layout, caches: &mut [O::Cache]) -> Result<O::Tensor> {
        let x = self.embed(ids)?;
        self.blocks(x, 0..self.spec().layers, layout, caches, |_, _| Ok(()))
    }

    /// The final norm.
    pub fn normed(&self, x: &O::Tensor) -> Result<O::Tensor> {
        self.ops.rms_norm(x, &self.output_norm, self.spec().rms_eps)
    }

    /// Logits `[rows, vocab]` of some rows of `forward`'s result; only those that are asked for are computed.
    pub fn logits(&self, x: &O::Tensor, rows: &[usize]) -> Result<O::Tensor> {
        self.ops.linear(&self.normed(&self.ops.select(x, rows)?)?, &self.head)
    }
}
