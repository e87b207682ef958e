//! Inference on the processor: flat rows, ragged batches without padding, caches that share a prefix.

use std::sync::Arc;

use crate::error::Result;
use crate::kernels::attention::{self, Piece, Run, Shape, attend};
use crate::kernels::weight::{Products, Weight, forward};
use crate::kernels::{axpy, dot, exp, pool, versions};
use crate::ops::{Heads, Layout, Linear, Ops, rotate};

/// A row-major matrix.
#[derive(Clone)]
pub struct Matrix {
    pub data: Arc<Vec<f32>>,
    pub rows: usize,
    pub cols: usize,
}

impl Matrix {
    fn new(data: Vec<f32>, rows: usize, cols: usize) -> Self {
        debug_assert_eq!(data.len(), rows * cols);
        Self { data: Arc::new(data), rows, cols }
    }
}

/// Keys and values of one sequence. What it has in common with others lies in a shared prefix and is computed once.
#[derive(Clone, Default)]
pub struct KvCache {
    prefix: Option<Arc<KvCache>>,
    layers: Vec<Run>,
}

impl KvCache {
    pub fn new(layers: usize) -> Self {
        Self { prefix: None, layers: vec![Default::default(); layers] }
    }

    /// A sequence that continues another.
    pub fn continuing(prefix: &Arc<KvCache>) -> Self {
        Self { prefix: Some(Arc::clone(prefix)), layers: vec![Default::default(); prefix.layers.len()] }
    }

    /// One layer's positions from the first on.
    fn runs(&self, layer: usize) -> Vec<&Run> {
        let mut runs = Vec::new();
        let mut at = Some(self);
        while let Some(cache) = at {
            runs.push(&cache.layers[layer]);
            at = cache.prefix.as_deref();
        }
        runs.reverse();
        runs
    }
}

/// Numbers that are worth a task of their own.
pub(crate) const SHARE: usize = 1 << 13;

/// The same in whole rows of so many columns.
pub(crate) fn share(cols: usize) -> usize {
    cols * (SHARE / cols).max(1)
}

/// [`rms_norm`] on all threads.
pub(crate) fn normed(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let share = share(weight.len());
    pool::chunks(&mut out, share, |i, out| rms_norm(out, &x[i * share..][..out.len()], weight, eps));
    out
}

/// [`silu_mul`] on all threads.
pub(crate) fn gated(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; gate.len()];
    pool::chunks(&mut out, SHARE, |i, out| {
        let range = i * SHARE..i * SHARE + out.len();
        silu_mul(out, &gate[range.clone()], &up[range]);
    });
    out
}

/// `a + b` on all threads.
pub(crate) fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    let mut out = a.to_vec();
    pool::chunks(&mut out, SHARE, |i, out| axpy(out, 1.0, &b[i * SHARE..][..out.len()]));
    out
}

/// The processor.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    pub products: Products,
}

impl Ops for Cpu {
    type Tensor = Matrix;
    type Factor = Arc<Weight>;
    type Cache = KvCache;

    fn tensor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Matrix> {
        Ok(Matrix::new(data, rows, cols))
    }

    fn factor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Arc<Weight>> {
        Ok(Arc::new(Weight::new(&data, rows, cols)))
    }

    fn values(&self, x: &Matrix) -> Result<Vec<f32>> {
        Ok(x.data.to_vec())
    }

    fn linear(&self, x: &Matrix, w: &Linear<Self>) -> Result<Matrix> {
        Ok(self.linears(x, std::slice::from_ref(w))?.remove(0))
    }

    fn linears(&self, x: &Matrix, w: &[Linear<Self>]) -> Result<Vec<Matrix>> {
        let m = x.rows;
        // The adapters' first halves read the same rows.
        let loras = w.iter().filter_map(|w| w.lora.as_ref());
        let all: Vec<&Weight> = w.iter().map(|w| &*w.weight).chain(loras.map(|l| &*l.a)).collect();
        let mut results = forward(&all, &x.data, m, self.products);
        let mut lows = results.split_off(w.len()).into_iter();
        let finished = w.iter().zip(results).map(|(w, mut out)| {
            let n = w.weight.rows;
            let up = w.lora.as_ref().map(|lora| {
                let low = lows.next().unwrap_or_default();
                (lora.scale, lora.b.forward(&low, m, self.products))
            });
            if w.bias.is_some() || up.is_some() {
                let share = share(n);
                pool::chunks(&mut out, share, |i, out| {
                    if let Some(bias) = &w.bias {
                        out.chunks_mut(n).for_each(|row| axpy(row, 1.0, &bias.data));
                    }
                    if let Some((scale, up)) = &up {
                        axpy(out, *scale, &up[i * share..][..out.len()]);
                    }
                });
            }
            Matrix::new(out, m, n)
        });
        Ok(finished.collect())
    }

    fn rms_norm(&self, x: &Matrix, weight: &Matrix, eps: f32) -> Result<Matrix> {
        Ok(Matrix::new(normed(&x.data, &weight.data, eps), x.rows, x.cols))
    }

    fn rope(&self, x: &Matrix, heads: usize, base: f32, layout: &Layout) -> Result<Matrix> {
        let mut out = x.data.to_vec();
        rotate(&mut out, x.cols, heads, base, &layout.positions, 1.0);
        Ok(Matrix::new(out, x.rows, x.cols))
    }

    fn attention(
        &self,
        [q, k, v]: [&Matrix; 3],
        heads: Heads,
        layer: usize,
        layout: &Layout,
        caches: &mut [KvCache],
    ) -> Result<Matrix> {
        let kv_cols = heads.kv * heads.dim;
        for s in &layout.spans {
            let rows = s.first * kv_cols..(s.first + s.rows) * kv_cols;
            caches[s.cache].layers[layer].push(&k.data[rows.clone()], &v.data[rows], kv_cols);
        }
        let chains: Vec<Vec<&Run>> = caches.iter().map(|c| c.runs(layer)).collect();
        let pieces = layout.spans.iter().flat_map(|s| {
            let runs = &chains[s.cache];
            (0..s.rows).step_by(attention::ROWS).map(move |from| Piece {
                first: s.first + from,
                rows: attention::ROWS.min(s.rows - from),
                runs,
                first_len: s.position + from + 1,
            })
        });
        let shape = Shape { group: heads.query / heads.kv, kv: heads.kv, dim: heads.dim };
        let out = attend(&q.data, shape, &pieces.collect::<Vec<_>>());
        Ok(Matrix::new(out, q.rows, q.cols))
    }

    fn silu_mul(&self, gate: &Matrix, up: &Matrix) -> Result<Matrix> {
        Ok(Matrix::new(gated(&gate.data, &up.data), gate.rows, gate.cols))
    }

    fn add(&self, a: &Matrix, b: &Matrix) -> Result<Matrix> {
        Ok(Matrix::new(sum(&a.data, &b.data), a.rows, a.cols))
    }

    fn select(&self, x: &Matrix, rows: &[usize]) -> Result<Matrix> {
        let mut data = Vec::with_capacity(rows.len() * x.cols);
        for &r in rows {
            data.extend_from_slice(&x.data[r * x.cols..(r + 1) * x.cols]);
        }
        Ok(Matrix::new(data, rows.len(), x.cols))
    }
}

versions! {
    /// `out = silu(gate) · up`
    fn silu_mul(out: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((o, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            *o = g / (1.0 + exp(-g)) * u;
        }
    }
}

versions! {
    /// Every row of `x`, as long as `weight`, over its root mean square.
    fn rms_norm(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        let cols = weight.len();
        for (out, row) in out.chunks_mut(cols).zip(x.chunks(cols)) {
            let scale = 1.0 / (dot(row, row) / cols as f32 + eps).sqrt();
            for ((o, v), w) in out.iter_mut().zip(row).zip(weight) {
                *o = v * scale * w;
            }
        }
    }
}
