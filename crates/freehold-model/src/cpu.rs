//! Inference on the processor: flat rows, ragged batches without padding, caches that share a prefix.

use std::sync::Arc;

use crate::error::Result;
use crate::kernels::attention::{Run, Shape, attend};
use crate::kernels::weight::Weight;
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

/// The processor. Quantised weights meet activations rounded to 8 bits, unless `exact` is asked for.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    pub exact: bool,
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
        let (m, n) = (x.rows, w.weight.rows);
        let forward = if self.exact { Weight::forward_exact } else { Weight::forward };
        let mut out = forward(&w.weight, &x.data, m);
        if let Some(bias) = &w.bias {
            for row in out.chunks_mut(n) {
                axpy(row, 1.0, &bias.data);
            }
        }
        if let Some(lora) = &w.lora {
            let up = lora.b.forward(&lora.a.forward(&x.data, m), m);
            axpy(&mut out, lora.scale, &up);
        }
        Ok(Matrix::new(out, m, n))
    }

    fn rms_norm(&self, x: &Matrix, weight: &Matrix, eps: f32) -> Result<Matrix> {
        let mut out = vec![0.0; x.data.len()];
        let share = x.cols * (1 << 13 >> x.cols.ilog2()).max(1);
        pool::chunks(&mut out, share, |i, out| {
            rms_norm(out, &x.data[i * share..][..out.len()], &weight.data, eps);
        });
        Ok(Matrix::new(out, x.rows, x.cols))
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
        let mut owner = vec![0; layout.rows()];
        for s in &layout.spans {
            owner[s.first..s.first + s.rows].fill(s.cache);
        }
        let cols = q.cols;
        let mut out = vec![0.0; q.data.len()];
        let chains: Vec<Vec<&Run>> = caches.iter().map(|c| c.runs(layer)).collect();
        let shape = Shape { group: heads.query / heads.kv, kv: heads.kv, dim: heads.dim };
        pool::chunks(&mut out, cols, |row, out| {
            let q = &q.data[row * cols..(row + 1) * cols];
            attend(out, q, shape, &chains[owner[row]], layout.positions[row] + 1);
        });
        Ok(Matrix::new(out, q.rows, cols))
    }

    fn silu_mul(&self, gate: &Matrix, up: &Matrix) -> Result<Matrix> {
        let mut out = vec![0.0; gate.data.len()];
        pool::chunks(&mut out, 1 << 13, |i, out| {
            let range = i << 13..(i << 13) + out.len();
            silu_mul(out, &gate.data[range.clone()], &up.data[range]);
        });
        Ok(Matrix::new(out, gate.rows, gate.cols))
    }

    fn add(&self, a: &Matrix, b: &Matrix) -> Result<Matrix> {
        let data = a.data.iter().zip(b.data.iter()).map(|(a, b)| a + b).collect();
        Ok(Matrix::new(data, a.rows, a.cols))
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
