//! The operations a decoder is made of. [`crate::cpu::Cpu`] is ours; [`crate::candle_ops::Candle`] has our gradients, for training;
//! [`crate::primitives::Primitives`] is made of candle's own operations only: the oracle of both, and the way to other devices.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::cpu::share;
use crate::error::Result;
use crate::kernels::pool;
use crate::kernels::weight::Weight;

/// A frozen weight matrix `[rows, cols]` = `[out, in]`, shared between backends.
pub type Panel = Arc<Weight>;

/// A low-rank update `scale · B·A` of one linear layer (Hu et al., 2021): `a` is `[rank, in]`, `b` is `[out, rank]`.
#[derive(Clone)]
pub struct Lora<T> {
    pub a: T,
    pub b: T,
    pub scale: f32,
    pub rank: usize,
}

/// `y = x·Wᵀ + bias + scale · (x·Aᵀ)·Bᵀ`
pub struct Linear<O: Ops + ?Sized> {
    pub weight: Panel,
    pub bias: Option<O::Tensor>,
    pub lora: Option<Lora<O::Factor>>,
}

/// Rows of a batch that belong to one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// First row in the batch, and how many.
    pub first: usize,
    pub rows: usize,
    /// Position of the first row in its sequence; earlier positions are in the cache.
    pub position: usize,
    /// Which cache belongs to it.
    pub cache: usize,
}

/// How the rows of a batch divide into sequences: no padding, lengths as they come.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub spans: Vec<Span>,
    /// Position of every row.
    pub positions: Vec<usize>,
}

impl Layout {
    /// Adds `rows` rows that continue a sequence at `position`.
    pub fn push(&mut self, rows: usize, position: usize, cache: usize) {
        self.spans.push(Span { first: self.positions.len(), rows, position, cache });
        self.positions.extend(position..position + rows);
    }

    pub fn rows(&self) -> usize {
        self.positions.len()
    }
}

/// Head counts and sizes of an attention layer.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    pub query: usize,
    pub kv: usize,
    pub dim: usize,
}

pub trait Ops {
    /// A `[rows, cols]` matrix or a vector.
    type Tensor: Clone;
    /// A matrix that others are multiplied with: A or B of an adapter.
    type Factor: Clone;
    /// Keys and values of one sequence, over all layers.
    type Cache;

    /// From row-major values.
    fn tensor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Self::Tensor>;
    fn factor(&self, data: Vec<f32>, rows: usize, cols: usize) -> Result<Self::Factor>;
    fn values(&self, x: &Self::Tensor) -> Result<Vec<f32>>;
    fn linear(&self, x: &Self::Tensor, w: &Linear<Self>) -> Result<Self::Tensor>;
    /// Several layers that read the same rows.
    fn linears(&self, x: &Self::Tensor, w: &[Linear<Self>]) -> Result<Vec<Self::Tensor>> {
        w.iter().map(|w| self.linear(x, w)).collect()
    }
    /// `x / sqrt(mean(x²) + eps) · weight`, row by row.
    fn rms_norm(&self, x: &Self::Tensor, weight: &Self::Tensor, eps: f32) -> Result<Self::Tensor>;
    /// Rotary position embedding over halves of each head (Su et al., 2021; the layout of the Hugging Face checkpoints).
    fn rope(&self, x: &Self::Tensor, heads: usize, base: f32, layout: &Layout) -> Result<Self::Tensor>;
    /// Causal grouped-query attention of every span over its cache and itself; keys and values join the cache.
    fn attention(
        &self,
        qkv: [&Self::Tensor; 3],
        heads: Heads,
        layer: usize,
        layout: &Layout,
        caches: &mut [Self::Cache],
    ) -> Result<Self::Tensor>;
    /// `silu(gate) · up`
    fn silu_mul(&self, gate: &Self::Tensor, up: &Self::Tensor) -> Result<Self::Tensor>;
    fn add(&self, a: &Self::Tensor, b: &Self::Tensor) -> Result<Self::Tensor>;
    /// Some rows of a matrix.
    fn select(&self, x: &Self::Tensor, rows: &[usize]) -> Result<Self::Tensor>;
}

/// Cosines and sines of the rotation at one position: `dim / 2` each.
pub(crate) fn rotation(position: usize, dim: usize, base: f32) -> (Vec<f32>, Vec<f32>) {
    (0..dim / 2)
        .map(|i| {
            let angle = position as f64 / f64::from(base).powf(2.0 * i as f64 / dim as f64);
            (angle.cos() as f32, angle.sin() as f32)
        })
        .unzip()
}

/// Cosines and sines of the positions up to some power of two, `[positions, dim / 2]` each.
struct Rotations {
    positions: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// Tables are made once for every head size and base, and again when a longer sequence comes.
fn rotations(dim: usize, base: f32, positions: usize) -> Arc<Rotations> {
    type Tables = BTreeMap<(usize, u32), Arc<Rotations>>;
    static TABLES: Mutex<Tables> = Mutex::new(BTreeMap::new());
    let mut tables = TABLES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let table = tables
        .entry((dim, base.to_bits()))
        .or_insert_with(|| Arc::new(Rotations { positions: 0, cos: Vec::new(), sin: Vec::new() }));
    if table.positions < positions {
        let positions = positions.next_power_of_two().max(512);
        let rows: Vec<(Vec<f32>, Vec<f32>)> = (0..positions).map(|p| rotation(p, dim, base)).collect();
        let (cos, sin): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        *table = Arc::new(Rotations { positions, cos: cos.concat(), sin: sin.concat() });
    }
    Arc::clone(table)
}

/// Cosines and sines of some positions, `[positions, dim / 2]` each.
pub(crate) fn rotation_rows(dim: usize, base: f32, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let half = dim / 2;
    let table = rotations(dim, base, positions.iter().max().map_or(0, |p| p + 1));
    let rows = |from: &[f32]| positions.iter().flat_map(|p| &from[p * half..][..half]).copied().collect();
    (rows(&table.cos), rows(&table.sin))
}

/// Rotates every head of every row; `sign` is −1 for the inverse (the gradient).
pub(crate) fn rotate(x: &mut [f32], cols: usize, heads: usize, base: f32, positions: &[usize], sign: f32) {
    let dim = cols / heads;
    let half = dim / 2;
    let table = rotations(dim, base, positions.iter().max().map_or(0, |p| p + 1));
    let share = share(cols);
    pool::chunks(x, share, |i, rows| {
        for (row, &p) in rows.chunks_mut(cols).zip(&positions[i * share / cols..]) {
            let (cos, sin) = (&table.cos[p * half..][..half], &table.sin[p * half..][..half]);
            for head in row.chunks_mut(dim) {
                let (lo, hi) = head.split_at_mut(half);
                for (((lo, hi), cos), sin) in lo.iter_mut().zip(hi).zip(cos).zip(sin) {
                    let (a, b) = (*lo, *hi);
                    *lo = a * cos - sign * b * sin;
                    *hi = b * cos + sign * a * sin;
                }
            }
        }
    });
}
