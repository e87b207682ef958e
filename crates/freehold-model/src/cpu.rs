//! Inference on the processor: flat rows, ragged batches without padding, caches that share a prefix.

use std::sync::Arc;

use rayon::prelude::*;

use crate::error::Result;
use crate::kernels::{axpy, dot, exp, matmul_t};
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
    /// Per layer: keys and values, `[positions, kv heads · head size]`.
    layers: Vec<(Vec<f32>, Vec<f32>)>,
}

impl KvCache {
    pub fn new(layers: usize) -> Self {
        Self { prefix: None, layers: vec![Default::default(); layers] }
    }

    /// A sequence that continues another.
    pub fn continuing(prefix: &Arc<KvCache>) -> Self {
        Self { prefix: Some(Arc::clone(prefix)), layers: vec![Default::default(); prefix.layers.len()] }
    }
}

pub struct Cpu;

impl Ops for Cpu {
    type Tensor = Matrix;
    type Cache = KvCache;

    fn tensor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Matrix> {
        Ok(Matrix::new(data, rows, cols))
    }

    fn values(&self, x: &Matrix) -> Result<Vec<f32>> {
        Ok(x.data.to_vec())
    }

    fn linear(&self, x: &Matrix, w: &Linear<Matrix>) -> Result<Matrix> {
        let (m, k, n) = (x.rows, x.cols, w.weight.rows);
        let mut out = w.weight.forward(&x.data, m);
        if let Some(bias) = &w.bias {
            for row in out.chunks_mut(n) {
                axpy(row, 1.0, &bias.data);
            }
        }
        if let Some(lora) = &w.lora {
            let mut low = vec![0.0; m * lora.rank];
            matmul_t(&mut low, &x.data, &lora.a.data, (m, k, lora.rank), lora.scale, false);
            matmul_t(&mut out, &low, &lora.b.data, (m, lora.rank, n), 1.0, true);
        }
        Ok(Matrix::new(out, m, n))
    }

    fn rms_norm(&self, x: &Matrix, weight: &Matrix, eps: f32) -> Result<Matrix> {
        let mut out = vec![0.0; x.data.len()];
        out.chunks_mut(x.cols).zip(x.data.chunks(x.cols)).for_each(|(out, row)| {
            let scale = 1.0 / (dot(row, row) / x.cols as f32 + eps).sqrt();
            for ((o, v), w) in out.iter_mut().zip(row).zip(weight.data.iter()) {
                *o = v * scale * w;
            }
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
            let (keys, values) = &mut caches[s.cache].layers[layer];
            keys.extend_from_slice(&k.data[rows.clone()]);
            values.extend_from_slice(&v.data[rows]);
        }
        let mut owner = vec![0; layout.rows()];
        for s in &layout.spans {
            owner[s.first..s.first + s.rows].fill(s.cache);
        }
        let cols = q.cols;
        let mut out = vec![0.0; q.data.len()];
        let caches: &[KvCache] = caches;
        out.par_chunks_mut(cols).enumerate().for_each(|(row, out)| {
            attend(
                out,
                &q.data[row * cols..(row + 1) * cols],
                heads,
                layout.positions[row] + 1,
                &caches[owner[row]],
                layer,
            );
        });
        Ok(Matrix::new(out, q.rows, cols))
    }

    fn silu_mul(&self, gate: &Matrix, up: &Matrix) -> Result<Matrix> {
        let mut out = vec![0.0; gate.data.len()];
        out.par_chunks_mut(1 << 14)
            .zip(gate.data.par_chunks(1 << 14))
            .zip(up.data.par_chunks(1 << 14))
            .for_each(|((out, gate), up)| {
                for ((o, &g), &u) in out.iter_mut().zip(gate).zip(up) {
                    *o = g / (1.0 + exp(-g)) * u;
                }
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

/// One row of attention over the first `len` positions of its sequence.
fn attend(out: &mut [f32], q: &[f32], heads: Heads, len: usize, cache: &KvCache, layer: usize) {
    let (dim, group) = (heads.dim, heads.query / heads.kv);
    let kv_cols = heads.kv * dim;
    let mut chain = Vec::new();
    let mut at = Some(cache);
    while let Some(c) = at {
        chain.push(&c.layers[layer]);
        at = c.prefix.as_deref();
    }
    chain.reverse();
    let scale = 1.0 / (dim as f32).sqrt();
    let mut scores = vec![0.0; len];
    for h in 0..heads.query {
        let query = &q[h * dim..(h + 1) * dim];
        let column = (h / group) * dim;
        let mut i = 0;
        for (keys, _) in &chain {
            for key in keys.chunks_exact(kv_cols).take(len - i) {
                scores[i] = dot(query, &key[column..column + dim]) * scale;
                i += 1;
            }
        }
        debug_assert_eq!(i, len);
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for s in scores.iter_mut() {
            *s = exp(*s - max);
            sum += *s;
        }
        let out = &mut out[h * dim..(h + 1) * dim];
        let mut i = 0;
        for (_, values) in &chain {
            for value in values.chunks_exact(kv_cols).take(len - i) {
                axpy(out, scores[i] / sum, &value[column..column + dim]);
                i += 1;
            }
        }
    }
}
