//! The decoder's operations on candle tensors, with gradients: oracle for [`crate::cpu`], and what training runs on.
//!
//! Candle's fused operations (`rms_norm`, `rope`, `softmax_last_dim`, `QMatMul`) have no backward and cut gradients silently,
//! and its matmul allocates gradients for frozen weights too. The operations here have their own backward, checked by finite
//! differences; frozen weights are no tensors at all, so that none can get a gradient.

use std::sync::{Arc, Mutex};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout as Strides, Shape, Tensor,
};

use crate::cpu::{SHARE, gated, normed, share, sum};
use crate::error::Result;
use crate::kernels::weight::Products;
use crate::kernels::{axpy, dot, exp, log_sum_exp, matmul, matmul_from_t, matmul_t, pool, softmax, versions};
use crate::ops::{Heads, Layout, Linear, Ops, Panel, Span, rotate};

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

struct FrozenLinear(Panel, Products);

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Strides) -> Candle1 {
        let (m, _) = l.shape().dims2()?;
        Ok((CpuStorage::F32(self.0.forward(slice(s, l)?, m, self.1)), (m, self.0.rows).into()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (m, k) = arg.dims2()?;
        let out = with_values(grad, |g| self.0.backward(g, m, self.1))?;
        Tensor::from_vec(out, (m, k), arg.device()).map(Some)
    }
}

/// `y = x·Wᵀ + bias + scale · (x·Aᵀ)·Bᵀ` in one operation: W and bias frozen, gradients for x, A and B.
struct LoraLinear {
    weight: Panel,
    products: Products,
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
        let mut y = self.weight.forward(x, m, self.products);
        if let Some(bias) = &self.bias {
            pool::chunks(&mut y, n, |_, row| axpy(row, 1.0, bias));
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
                            dx = self.weight.backward(g, m, self.products);
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

versions! {
    fn rms_norm_backward(out: &mut [f32], x: &[f32], g: &[f32], weight: &[f32], eps: f32) {
        let cols = weight.len();
        for ((out, x), g) in out.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).zip(g.chunks_exact(cols)) {
            let r = 1.0 / (dot(x, x) / cols as f32 + eps).sqrt();
            for ((o, g), w) in out.iter_mut().zip(g).zip(weight) {
                *o = g * w;
            }
            let mean = dot(x, out) / cols as f32;
            for (o, x) in out.iter_mut().zip(x) {
                *o = r * *o - x * r * r * r * mean;
            }
        }
    }
}

versions! {
    /// Gradients of `silu(gate) · up` for a gradient `r` of the product.
    fn silu_mul_backward(dg: &mut [f32], du: &mut [f32], gate: &[f32], up: &[f32], r: &[f32]) {
        let gradients = dg.iter_mut().zip(du);
        for (((dg, du), (g, u)), r) in gradients.zip(gate.iter().zip(up)).zip(r) {
            let s = 1.0 / (1.0 + exp(-g));
            *du = r * g * s;
            *dg = r * u * s * (1.0 + g * (1.0 - s));
        }
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
        Ok((CpuStorage::F32(normed(slice(s, l)?, &self.weight, self.eps)), l.shape().clone()))
    }

    /// With r = 1/rms: dx = r·(w·g) − x·r³·mean(x·w·g).
    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut out = vec![0.0; arg.elem_count()];
        let share = share(self.weight.len());
        with_values(arg, |x| {
            with_values(grad, |g| {
                pool::chunks(&mut out, share, |i, out| {
                    let range = i * share..i * share + out.len();
                    rms_norm_backward(out, &x[range.clone()], &g[range], &self.weight, self.eps);
                });
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

/// Causal attention of whole sequences. The probabilities are computed again for the gradient: cheaper than keeping them.
struct Attention {
    heads: Heads,
    spans: Vec<Span>,
}

/// One head of one sequence: where its numbers are in rows of `query` and of `kv` columns.
struct Head {
    first: usize,
    rows: usize,
    q: usize,
    kv: usize,
    dim: usize,
    columns: (usize, usize),
}

impl Attention {
    fn heads(&self) -> Vec<Head> {
        let h = self.heads;
        let of = |s: &Span, i: usize| Head {
            first: s.first,
            rows: s.rows,
            q: i * h.dim,
            kv: i / (h.query / h.kv) * h.dim,
            dim: h.dim,
            columns: (h.query * h.dim, h.kv * h.dim),
        };
        self.spans.iter().flat_map(|s| (0..h.query).map(move |i| of(s, i))).collect()
    }
}

impl Head {
    /// `[rows, dim]` of this head out of a matrix.
    fn gather(&self, x: &[f32], column: usize, columns: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.rows * self.dim);
        for r in 0..self.rows {
            out.extend_from_slice(&x[(self.first + r) * columns + column..][..self.dim]);
        }
        out
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// Causal probabilities `[rows, rows]`.
    fn probabilities(&self, q: &[f32], k: &[f32]) -> Vec<f32> {
        let t = self.rows;
        let mut p = vec![0.0; t * t];
        matmul_t(&mut p, q, k, (t, self.dim, t), self.scale(), false);
        causal_softmax(&mut p, t);
        p
    }
}

versions! {
    /// Row i of `[t, t]` scores becomes probabilities of the columns 0..=i.
    fn causal_softmax(p: &mut [f32], t: usize) {
        for (i, row) in p.chunks_exact_mut(t).enumerate() {
            let (seen, later) = row.split_at_mut(i + 1);
            softmax(seen);
            later.fill(0.0);
        }
    }
}

versions! {
    /// `g` (gradient of probabilities) becomes the gradient of the scores: p · (g − Σ p · g).
    fn softmax_backward(g: &mut [f32], p: &[f32], t: usize) {
        for (g, p) in g.chunks_exact_mut(t).zip(p.chunks_exact(t)) {
            let mean = dot(g, p);
            for (g, p) in g.iter_mut().zip(p) {
                *g = p * (*g - mean);
            }
        }
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        let (q, k, v) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let heads = self.heads();
        let mut parts: Vec<Vec<f32>> = vec![Vec::new(); heads.len()];
        pool::chunks(&mut parts, 1, |i, part| {
            let (h, (qc, kc)) = (&heads[i], heads[i].columns);
            let (q, k, v) = (h.gather(q, h.q, qc), h.gather(k, h.kv, kc), h.gather(v, h.kv, kc));
            let p = h.probabilities(&q, &k);
            let mut out = vec![0.0; h.rows * h.dim];
            matmul(&mut out, &p, &v, (h.rows, h.rows, h.dim), 1.0, false);
            part[0] = out;
        });
        let mut out = vec![0.0; q.len()];
        for (h, part) in heads.iter().zip(&parts) {
            scatter(&mut out, part, h.first, h.q, h.dim, h.columns.0);
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let heads = self.heads();
        let mut parts: Vec<[Vec<f32>; 3]> = vec![Default::default(); heads.len()];
        let each = |q: &[f32], k: &[f32], v: &[f32], g: &[f32], parts: &mut [[Vec<f32>; 3]]| {
            pool::chunks(parts, 1, |i, part| {
                let (h, (qc, kc)) = (&heads[i], heads[i].columns);
                let (t, d) = (h.rows, h.dim);
                let (q, k, v) = (h.gather(q, h.q, qc), h.gather(k, h.kv, kc), h.gather(v, h.kv, kc));
                let g = h.gather(g, h.q, qc);
                let p = h.probabilities(&q, &k);
                let mut scores = vec![0.0; t * t];
                let [mut dq, mut dk, mut dv] = std::array::from_fn(|_| vec![0.0; t * d]);
                matmul_from_t(&mut dv, &p, &g, (t, t, d));
                matmul_t(&mut scores, &g, &v, (t, d, t), 1.0, false);
                softmax_backward(&mut scores, &p, t);
                matmul(&mut dq, &scores, &k, (t, t, d), h.scale(), false);
                matmul_from_t(&mut dk, &scores, &q, (t, t, d));
                dk.iter_mut().for_each(|v| *v *= h.scale());
                part[0] = [dq, dk, dv];
            });
        };
        let grad = grad.contiguous()?;
        with_values(q, |q| {
            with_values(k, |k| with_values(v, |v| with_values(&grad, |g| each(q, k, v, g, &mut parts))))
        })????;
        let (mut dq, mut dk, mut dv) =
            (vec![0.0; q.elem_count()], vec![0.0; k.elem_count()], vec![0.0; v.elem_count()]);
        for (h, [pq, pk, pv]) in heads.iter().zip(&parts) {
            scatter(&mut dq, pq, h.first, h.q, h.dim, h.columns.0);
            // Query heads that share a key head add up.
            scatter(&mut dk, pk, h.first, h.kv, h.dim, h.columns.1);
            scatter(&mut dv, pv, h.first, h.kv, h.dim, h.columns.1);
        }
        let device = q.device();
        Ok((
            Some(Tensor::from_vec(dq, q.shape(), device)?),
            Some(Tensor::from_vec(dk, k.shape(), device)?),
            Some(Tensor::from_vec(dv, v.shape(), device)?),
        ))
    }
}

/// Adds `[rows, dim]` to the columns from `column` on of the rows from `first` on.
fn scatter(out: &mut [f32], part: &[f32], first: usize, column: usize, dim: usize, columns: usize) {
    for (r, values) in part.chunks_exact(dim).enumerate() {
        axpy(&mut out[(first + r) * columns + column..][..dim], 1.0, values);
    }
}

/// Keeps candle from starting threads of its own, which would wait awake beside ours. To be called before candle is used, and before the
/// program has a second thread.
pub fn quiet() {
    // SAFETY: nobody else reads or writes the environment yet (the caller's promise; `main` calls this first).
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
}

/// Candle's own addition is one thread's.
struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Strides, s2: &CpuStorage, l2: &Strides) -> Candle1 {
        Ok((CpuStorage::F32(sum(slice(s1, l1)?, slice(s2, l2)?)), l1.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Strides, s2: &CpuStorage, l2: &Strides) -> Candle1 {
        Ok((CpuStorage::F32(gated(slice(s1, l1)?, slice(s2, l2)?)), l1.shape().clone()))
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
        let mut pairs: Vec<(&mut [f32], &mut [f32])> =
            dg.chunks_mut(SHARE).zip(du.chunks_mut(SHARE)).collect();
        with_values(gate, |gate| {
            with_values(up, |up| {
                with_values(grad, |grad| {
                    pool::chunks(&mut pairs, 1, |i, pair| {
                        let (dg, du) = &mut pair[0];
                        let range = i * SHARE..i * SHARE + dg.len();
                        silu_mul_backward(dg, du, &gate[range.clone()], &up[range.clone()], &grad[range]);
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
    products: Products,
    targets: Vec<(Target, f32)>,
    gradient: Mutex<Vec<f32>>,
}

/// Rows whose logits are held at once: 256 rows of 152,000 tokens are 156 MB.
const LOSS_ROWS: usize = 256;

versions! {
    /// Every logit becomes `scale` times its probability.
    fn softmax_scaled(logits: &mut [f32], lse: f32, scale: f32) {
        logits.iter_mut().for_each(|v| *v = scale * exp(*v - lse));
    }
}

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
            softmax_scaled(logits, lse, weight);
            logits[*t as usize] -= weight;
        }
        Target::Distribution(p) => {
            // dKL/dlogit = q_i − p_i for kept tokens; the remaining class spreads its share over the others by q.
            let kept_p: f32 = p.iter().map(|x| x.1).sum();
            let kept_q: f32 = p.iter().map(|x| exp(logits[x.0 as usize] - lse)).sum();
            let keep: Vec<f32> = p.iter().map(|x| exp(logits[x.0 as usize] - lse) - x.1).collect();
            let ratio = 1.0 - (1.0 - kept_p).max(0.0) / (1.0 - kept_q).max(1e-9);
            softmax_scaled(logits, lse, weight * ratio);
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
            let mut logits = self.head.forward(&x[start * hidden..], n, self.products);
            let losses: Vec<Mutex<f64>> = (0..n).map(|_| Mutex::default()).collect();
            pool::chunks(&mut logits, vocab, |i, row| {
                let (target, weight) = &self.targets[start + i];
                let loss = row_loss(row, target, *weight) * f64::from(*weight);
                *losses[i].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = loss;
            });
            total += losses.into_iter().map(|l| l.into_inner().unwrap_or_default()).sum::<f64>();
            gradient.extend(self.head.backward(&logits, n, self.products));
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
pub fn head_loss(
    normed: &Tensor,
    head: &Panel,
    targets: Vec<(Target, f32)>,
    products: Products,
) -> Result<Tensor> {
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
    let op = HeadLoss { head: head.clone(), products, targets, gradient: Mutex::default() };
    Ok(normed.contiguous()?.apply_op1(op)?)
}

/// The candle backend. Attention needs whole sequences (it keeps no cache).
pub struct Candle {
    pub device: Device,
    pub products: Products,
}

impl Default for Candle {
    fn default() -> Self {
        Self { device: Device::Cpu, products: Products::default() }
    }
}

impl Ops for Candle {
    type Tensor = Tensor;
    type Factor = Tensor;
    type Cache = ();

    fn tensor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Tensor> {
        Ok(Tensor::from_vec(data, (rows, cols), &self.device)?)
    }

    fn factor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Tensor> {
        self.tensor(data, rows, cols)
    }

    fn values(&self, x: &Tensor) -> Result<Vec<f32>> {
        Ok(x.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
    }

    fn linear(&self, x: &Tensor, w: &Linear<Self>) -> Result<Tensor> {
        let x = x.contiguous()?;
        if let Some(lora) = &w.lora {
            let bias = w.bias.as_ref().map(|b| b.flatten_all()?.to_vec1()).transpose()?;
            let op = LoraLinear {
                weight: w.weight.clone(),
                products: self.products,
                bias,
                scale: lora.scale,
                rank: lora.rank,
            };
            return Ok(x.apply_op3(&lora.a.contiguous()?, &lora.b.contiguous()?, op)?);
        }
        let mut y = x.apply_op1(FrozenLinear(w.weight.clone(), self.products))?;
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
        if layout.spans.iter().any(|s| s.position != 0) {
            return Err(candle_core::Error::Msg("the candle backend needs whole sequences".into()).into());
        }
        let op = Attention { heads, spans: layout.spans.clone() };
        Ok(q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)?)
    }

    fn silu_mul(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        Ok(gate.contiguous()?.apply_op2(&up.contiguous()?, SiluMul)?)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(a.contiguous()?.apply_op2(&b.contiguous()?, Add)?)
    }

    fn select(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let index: Vec<u32> = rows.iter().map(|&r| r as u32).collect();
        Ok(x.index_select(&Tensor::from_vec(index, rows.len(), &self.device)?, 0)?)
    }
}
