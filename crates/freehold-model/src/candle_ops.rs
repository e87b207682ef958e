//! The decoder's operations on candle tensors, with gradients: oracle for [`crate::cpu`], and what training runs on.
//!
//! Candle's fused operations (`rms_norm`, `rope`, `softmax_last_dim`, `QMatMul`) have no backward and cut gradients silently,
//! and its matmul allocates gradients for frozen weights too. The operations here have their own backward, checked by finite
//! differences; frozen weights are no tensors at all, so that none can get a gradient.

use std::sync::{Arc, Mutex};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, DType, Device, Layout as Strides, Shape, Tensor,
};
use rayon::prelude::*;

use crate::error::Result;
use crate::kernels::{axpy, dot, exp, log_sum_exp, matmul, matmul_from_t, matmul_t};
use crate::ops::{Heads, Layout, Linear, Ops, Panel, rotate};

type Candle1 = candle_core::Result<(CpuStorage, Shape)>;

fn slice<'a>(storage: &'a CpuStorage, strides: &Strides) -> candle_core::Result<&'a [f32]> {
    let (start, end) = strides.contiguous_offsets().ok_or_else(|| {
        candle_core::Error::Msg("internal: an operation was given a tensor that is not contiguous".into())
    })?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The values of a contiguous f32 tensor on the processor, without a copy.
fn with_values<T>(t: &Tensor, f: impl FnOnce(&[f32]) -> T) -> candle_core::Result<T> {
    let t = t.contiguous()?;
    let (storage, strides) = t.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(s) => Ok(f(slice(s, strides)?)),
        _ => Err(candle_core::Error::Msg("this operation runs on the processor only".into())),
    }
}

struct FrozenLinear(Panel);

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Strides) -> Candle1 {
        let (m, _) = l.shape().dims2()?;
        Ok((CpuStorage::F32(self.0.forward(slice(s, l)?, m)), (m, self.0.rows).into()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (m, k) = arg.dims2()?;
        let out = with_values(grad, |g| self.0.backward(g, m))?;
        Tensor::from_vec(out, (m, k), arg.device()).map(Some)
    }
}

/// `y = x·Wᵀ + bias + scale · (x·Aᵀ)·Bᵀ` in one operation: W and bias frozen, gradients for x, A and B.
struct LoraLinear {
    weight: Panel,
    bias: Option<Vec<f32>>,
    scale: f32,
    rank: usize,
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "lora-linear"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Strides,
        s2: &CpuStorage,
        l2: &Strides,
        s3: &CpuStorage,
        l3: &Strides,
    ) -> Candle1 {
        let (m, k) = l1.shape().dims2()?;
        let (x, a, b) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let n = self.weight.rows;
        let mut y = self.weight.forward(x, m);
        if let Some(bias) = &self.bias {
            y.chunks_mut(n).for_each(|row| axpy(row, 1.0, bias));
        }
        let mut low = vec![0.0; m * self.rank];
        matmul_t(&mut low, x, a, (m, k, self.rank), self.scale, false);
        matmul_t(&mut y, &low, b, (m, self.rank, n), 1.0, true);
        Ok((CpuStorage::F32(y), (m, n).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((m, k), n, r) = (x.dims2()?, self.weight.rows, self.rank);
        let (mut low, mut low_grad) = (vec![0.0; m * r], vec![0.0; m * r]);
        let (mut da, mut db) = (vec![0.0; r * k], vec![0.0; n * r]);
        let mut dx = Vec::new();
        with_values(x, |xs| {
            with_values(a, |a| {
                with_values(b, |b| {
                    with_values(grad, |g| {
                        matmul_t(&mut low, xs, a, (m, k, r), self.scale, false);
                        matmul_from_t(&mut db, g, &low, (m, n, r));
                        matmul(&mut low_grad, g, b, (m, n, r), self.scale, false);
                        matmul_from_t(&mut da, &low_grad, xs, (m, r, k));
                        // Where nothing below is trained, nobody asks for the gradient of x.
                        if x.track_op() {
                            dx = self.weight.backward(g, m);
                            matmul(&mut dx, &low_grad, a, (m, r, k), 1.0, true);
                        }
                    })
                })
            })
        })????;
        let device = x.device();
        let dx = if x.track_op() { Some(Tensor::from_vec(dx, (m, k), device)?) } else { None };
        Ok((dx, Some(Tensor::from_vec(da, (r, k), device)?), Some(Tensor::from_vec(db, (n, r), device)?)))
    }
}

struct RmsNorm {
    weight: Vec<f32>,
    eps: f32,
}

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Strides) -> Candle1 {
        let cols = self.weight.len();
        let x = slice(s, l)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(cols).zip(x.par_chunks(cols)).for_each(|(out, x)| {
            let scale = 1.0 / (dot(x, x) / cols as f32 + self.eps).sqrt();
            for ((o, v), w) in out.iter_mut().zip(x).zip(&self.weight) {
                *o = v * scale * w;
            }
        });
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    /// With r = 1/rms: dx = r·(w·g) − x·r³·mean(x·w·g).
    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let cols = self.weight.len();
        let mut out = vec![0.0; arg.elem_count()];
        with_values(arg, |x| {
            with_values(grad, |g| {
                out.par_chunks_mut(cols).zip(x.par_chunks(cols)).zip(g.par_chunks(cols)).for_each(
                    |((out, x), g)| {
                        let r = 1.0 / (dot(x, x) / cols as f32 + self.eps).sqrt();
                        for ((o, g), w) in out.iter_mut().zip(g).zip(&self.weight) {
                            *o = g * w;
                        }
                        let mean = dot(x, out) / cols as f32;
                        for (o, x) in out.iter_mut().zip(x) {
                            *o = r * *o - x * r * r * r * mean;
                        }
                    },
                );
            })
        })??;
        Tensor::from_vec(out, arg.shape(), arg.device()).map(Some)
    }
}

struct Rope {
    heads: usize,
    base: f32,
    positions: Vec<usize>,
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Strides) -> Candle1 {
        let (_, cols) = l.shape().dims2()?;
        let mut out = slice(s, l)?.to_vec();
        rotate(&mut out, cols, self.heads, self.base, &self.positions, 1.0);
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, cols) = arg.dims2()?;
        let mut out = with_values(grad, <[f32]>::to_vec)?;
        rotate(&mut out, cols, self.heads, self.base, &self.positions, -1.0);
        Tensor::from_vec(out, arg.shape(), arg.device()).map(Some)
    }
}

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Strides, s2: &CpuStorage, l2: &Strides) -> Candle1 {
        let (gate, up) = (slice(s1, l1)?, slice(s2, l2)?);
        let mut out = vec![0.0; gate.len()];
        const N: usize = 1 << 14;
        out.par_chunks_mut(N).zip(gate.par_chunks(N)).zip(up.par_chunks(N)).for_each(|((o, g), u)| {
            for ((o, &g), &u) in o.iter_mut().zip(g).zip(u) {
                *o = g / (1.0 + exp(-g)) * u;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let n = gate.elem_count();
        let (mut dg, mut du) = (vec![0.0; n], vec![0.0; n]);
        const N: usize = 1 << 14;
        with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(grad, |grad| {
                    dg.par_chunks_mut(N)
                        .zip(du.par_chunks_mut(N))
                        .zip(gate.par_chunks(N))
                        .zip(up.par_chunks(N))
                        .zip(grad.par_chunks(N))
                        .for_each(|((((dg, du), g), u), r)| {
                            for i in 0..g.len() {
                                let s = 1.0 / (1.0 + exp(-g[i]));
                                du[i] = r[i] * g[i] * s;
                                dg[i] = r[i] * u[i] * s * (1.0 + g[i] * (1.0 - s));
                            }
                        });
                })
            })
        })???;
        let dg = Tensor::from_vec(dg, gate.shape(), gate.device())?;
        Ok((Some(dg), Some(Tensor::from_vec(du, up.shape(), up.device())?)))
    }
}

/// What each row of hidden states should predict.
#[derive(Clone)]
pub enum Target {
    /// One token: cross-entropy.
    Token(u32),
    /// A distribution over some tokens (the base model's most likely ones); the rest of its mass is taken as one class.
    /// The loss is the KL divergence of the model from it.
    Distribution(Arc<Vec<(u32, f32)>>),
}

/// Weighted loss over rows through a frozen head, `[rows, hidden] → scalar`, the sum of `weight · loss`. Logits are made a chunk of
/// rows at a time, and the gradient with them, so that no `[rows, vocab]` matrix is ever held.
struct HeadLoss {
    head: Panel,
    targets: Vec<(Target, f32)>,
    gradient: Mutex<Vec<f32>>,
}

/// Rows whose logits are held at once: 64 rows of 152,000 tokens are 39 MB.
const LOSS_ROWS: usize = 64;

/// Loss of one row and, in place of its logits, the gradient with respect to them.
fn row_loss(logits: &mut [f32], target: &Target, weight: f32) -> f64 {
    let lse = log_sum_exp(logits);
    let loss = match target {
        Target::Token(t) => f64::from(lse - logits[*t as usize]),
        Target::Distribution(p) => {
            let (mut loss, mut kept_p, mut kept_q) = (0.0f64, 0.0f64, 0.0f64);
            for &(t, p) in p.iter() {
                let log_q = f64::from(logits[t as usize] - lse);
                let p = f64::from(p);
                loss += if p > 0.0 { p * (p.ln() - log_q) } else { 0.0 };
                kept_p += p;
                kept_q += log_q.exp();
            }
            let (rest_p, rest_q) = ((1.0 - kept_p).max(0.0), (1.0 - kept_q).max(1e-9));
            loss + if rest_p > 0.0 { rest_p * (rest_p.ln() - rest_q.ln()) } else { 0.0 }
        }
    };
    match target {
        Target::Token(t) => {
            for v in logits.iter_mut() {
                *v = weight * exp(*v - lse);
            }
            logits[*t as usize] -= weight;
        }
        Target::Distribution(p) => {
            // dKL/dlogit = q_i − p_i for kept tokens; the remaining class spreads its share over the others by q.
            let kept_p: f32 = p.iter().map(|x| x.1).sum();
            let kept_q: f32 = p.iter().map(|x| exp(logits[x.0 as usize] - lse)).sum();
            let keep: Vec<f32> = p.iter().map(|x| exp(logits[x.0 as usize] - lse) - x.1).collect();
            let ratio = 1.0 - (1.0 - kept_p).max(0.0) / (1.0 - kept_q).max(1e-9);
            for v in logits.iter_mut() {
                *v = weight * ratio * exp(*v - lse);
            }
            for (x, k) in p.iter().zip(keep) {
                logits[x.0 as usize] = weight * k;
            }
        }
    }
    loss
}

impl CustomOp1 for HeadLoss {
    fn name(&self) -> &'static str {
        "head-loss"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Strides) -> Candle1 {
        let (rows, hidden) = l.shape().dims2()?;
        let x = slice(s, l)?;
        let vocab = self.head.rows;
        let mut gradient = Vec::with_capacity(rows * hidden);
        let mut total = 0.0;
        for start in (0..rows).step_by(LOSS_ROWS) {
            let n = LOSS_ROWS.min(rows - start);
            let mut logits = self.head.forward(&x[start * hidden..], n);
            total += logits
                .par_chunks_mut(vocab)
                .zip(&self.targets[start..start + n])
                .map(|(row, (target, weight))| row_loss(row, target, *weight) * f64::from(*weight))
                .sum::<f64>();
            gradient.extend(self.head.backward(&logits, n));
        }
        if let Ok(mut g) = self.gradient.lock() {
            *g = gradient;
        }
        Ok((CpuStorage::F32(vec![total as f32]), Shape::from(())))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = self.gradient.lock().map(|mut g| std::mem::take(&mut *g)).unwrap_or_default();
        Tensor::from_vec(gradient, arg.shape(), arg.device())?.broadcast_mul(grad).map(Some)
    }
}

/// Sum over rows of weight × loss of the head's prediction; see [`Target`]. `normed` is what [`crate::decoder::Decoder::normed`] gives.
///
/// # Errors
/// When the targets are not one a row, or name a token outside the vocabulary.
pub fn head_loss(normed: &Tensor, head: &Panel, targets: Vec<(Target, f32)>) -> Result<Tensor> {
    let in_range = |t: &Target| match t {
        Target::Token(t) => (*t as usize) < head.rows,
        Target::Distribution(p) => p.iter().all(|x| (x.0 as usize) < head.rows),
    };
    if targets.len() != normed.dim(0)? || !targets.iter().all(|(t, _)| in_range(t)) {
        return Err(candle_core::Error::Msg(
            "head_loss: targets do not fit the rows or the vocabulary".into(),
        )
        .into());
    }
    let op = HeadLoss { head: head.clone(), targets, gradient: Mutex::default() };
    Ok(normed.contiguous()?.apply_op1(op)?)
}

/// The candle backend. Attention needs whole sequences (it keeps no cache).
pub struct Candle {
    pub device: Device,
}

impl Default for Candle {
    fn default() -> Self {
        Self { device: Device::Cpu }
    }
}

impl Ops for Candle {
    type Tensor = Tensor;
    type Cache = ();

    fn tensor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Tensor> {
        Ok(Tensor::from_vec(data, (rows, cols), &self.device)?)
    }

    fn values(&self, x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
    }

    fn linear(&self, x: &Tensor, w: &Linear<Tensor>) -> Result<Tensor> {
        let x = x.contiguous()?;
        if let Some(lora) = &w.lora {
            let bias = w.bias.as_ref().map(|b| b.flatten_all()?.to_vec1()).transpose()?;
            let op = LoraLinear { weight: w.weight.clone(), bias, scale: lora.scale, rank: lora.rank };
            return Ok(x.apply_op3(&lora.a.contiguous()?, &lora.b.contiguous()?, op)?);
        }
        let mut y = x.apply_op1(FrozenLinear(w.weight.clone()))?;
        if let Some(bias) = &w.bias {
            y = y.broadcast_add(bias)?;
        }
        Ok(y)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
        let weight = weight.flatten_all()?.to_vec1()?;
        Ok(x.contiguous()?.apply_op1(RmsNorm { weight, eps })?)
    }

    fn rope(&self, x: &Tensor, heads: usize, base: f32, layout: &Layout) -> Result<Tensor> {
        let positions = layout.positions.clone();
        Ok(x.contiguous()?.apply_op1(Rope { heads, base, positions })?)
    }

    fn attention(
        &self,
        [q, k, v]: [&Tensor; 3],
        heads: Heads,
        _: usize,
        layout: &Layout,
        _: &mut [()],
    ) -> Result<Tensor> {
        let group = heads.query / heads.kv;
        let scale = 1.0 / (heads.dim as f64).sqrt();
        let mut parts = Vec::with_capacity(layout.spans.len());
        for s in &layout.spans {
            if s.position != 0 {
                return Err(candle_core::Error::Msg("the candle backend needs whole sequences".into()).into());
            }
            let t = s.rows;
            let split = |x: &Tensor, n: usize| {
                x.narrow(0, s.first, t)?.reshape((t, n, heads.dim))?.transpose(0, 1)?.contiguous()
            };
            // [kv heads, group · t, dim] against [kv heads, t, dim]
            let query = split(q, heads.query)?.reshape((heads.kv, group * t, heads.dim))?;
            let (key, value) = (split(k, heads.kv)?, split(v, heads.kv)?);
            let scores = (query.matmul(&key.t()?)? * scale)?;
            let mask: Vec<f32> = (0..group * t * t)
                .map(|i| if i % t > (i / t) % t { f32::NEG_INFINITY } else { 0.0 })
                .collect();
            let scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, group * t, t), &self.device)?)?;
            let max = scores.max_keepdim(D::Minus1)?.detach();
            let e = scores.broadcast_sub(&max)?.exp()?;
            let p = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
            let out = p.matmul(&value)?.reshape((heads.query, t, heads.dim))?.transpose(0, 1)?;
            parts.push(out.reshape((t, heads.query * heads.dim))?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    fn silu_mul(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        Ok(gate.contiguous()?.apply_op2(&up.contiguous()?, SiluMul)?)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok((a + b)?)
    }

    fn select(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let index: Vec<u32> = rows.iter().map(|&r| r as u32).collect();
        Ok(x.index_select(&Tensor::from_vec(index, rows.len(), &self.device)?, 0)?)
    }
}
