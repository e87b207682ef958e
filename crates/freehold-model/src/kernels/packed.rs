//! Frozen weights, packed once for products with few or many rows.
//!
//! A general matrix product packs its operands on every call; for a batch of 64 rows that is two fifths of its time. Weights
//! never change here, so they are packed when they are expanded: blocks of [`BLOCK`] output columns, `[block][k][BLOCK]`. One layout serves
//! both directions: forward it is read as rows of `BLOCK` columns, backward as dot products over a block.
//!
//! The instruction set is chosen at run time; the plain tiles serve everywhere else.

// Index loops over tiles show what is multiplied with what.
#![allow(clippy::needless_range_loop)]

use std::sync::OnceLock;

use rayon::prelude::*;

use super::dot;

/// Output columns in a block: two AVX-512 registers, four AVX2 ones, eight NEON ones.
pub const BLOCK: usize = 32;
/// Depth of a block that is worked on at once: 512 · 32 floats are 64 KB, which stay in the second-level cache.
const DEPTH: usize = 512;
/// Backward: blocks whose contribution is summed before it is written, and rows that pass over them together. 32 blocks of gradient for 60
/// rows are 245 KB, as many of weights for 60 columns: both stay in the second-level cache.
const CHUNK: usize = 32;
const ROWS: usize = 60;

/// A `[rows, cols]` matrix (`[out, in]`), packed.
pub struct Packed {
    pub rows: usize,
    pub cols: usize,
    data: Vec<f32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

fn target() -> Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("fma")
            {
                return Target::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Target::Avx2;
            }
        }
        Target::Portable
    })
}

/// Name of the instruction set that the kernels use on this machine.
pub fn instruction_set() -> &'static str {
    match target() {
        Target::Portable => "portable",
        #[cfg(target_arch = "x86_64")]
        Target::Avx2 => "AVX2",
        #[cfg(target_arch = "x86_64")]
        Target::Avx512 => "AVX-512",
    }
}

/// The inner tiles for one instruction set. `R` rows at once; backward `C` columns of k.
trait Tiles {
    /// `out[i][..32] += Σ_k x[i][k] · w[k][..32]`
    fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]);

    /// `out[i][c] += Σ_blocks g[i][block] · w[block][k0 + c]`
    fn backward<const R: usize, const C: usize>(
        out: &mut [&mut [f32]; R],
        g: &[&[f32]; R],
        w: &[f32],
        at: (usize, usize),
    );
}

struct Plain;

impl Tiles for Plain {
    #[inline(always)]
    fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
        let mut acc = [[0f32; BLOCK]; R];
        for (k, w) in w.as_chunks::<BLOCK>().0.iter().enumerate() {
            for i in 0..R {
                let v = x[i][k];
                for j in 0..BLOCK {
                    acc[i][j] += v * w[j];
                }
            }
        }
        for i in 0..R {
            for (o, a) in out[i].iter_mut().zip(&acc[i]) {
                *o += a;
            }
        }
    }

    #[inline(always)]
    fn backward<const R: usize, const C: usize>(
        out: &mut [&mut [f32]; R],
        g: &[&[f32]; R],
        w: &[f32],
        (k, k0): (usize, usize),
    ) {
        for i in 0..R {
            for (b, g) in g[i].as_chunks::<BLOCK>().0.iter().enumerate() {
                for c in 0..C {
                    out[i][c] += dot(g, &w[(b * k + k0 + c) * BLOCK..][..BLOCK]);
                }
            }
        }
    }
}

/// All rows of one block of columns; `out` is `[m, BLOCK]`.
#[inline(always)]
fn forward_block<T: Tiles, const R: usize>(out: &mut [f32], x: &[f32], w: &[f32], (m, k): (usize, usize)) {
    for (d, w) in w.chunks(DEPTH * BLOCK).enumerate() {
        let depth = w.len() / BLOCK;
        let from = d * DEPTH;
        let row_of = |row: usize| &x[row * k + from..][..depth];
        let mut row = 0;
        while row < m {
            let mut rows = out[row * BLOCK..].chunks_mut(BLOCK);
            let mut next = || rows.next().unwrap_or_default();
            if row + R <= m {
                T::forward::<R>(
                    &mut std::array::from_fn(|_| next()),
                    &std::array::from_fn(|i| row_of(row + i)),
                    w,
                );
                row += R;
            } else if row + 2 <= m {
                T::forward::<2>(
                    &mut std::array::from_fn(|_| next()),
                    &std::array::from_fn(|i| row_of(row + i)),
                    w,
                );
                row += 2;
            } else {
                T::forward::<1>(&mut [next()], &[row_of(row)], w);
                row += 1;
            }
        }
    }
}

/// Columns `k0..k0 + columns` of `out[m, k] += g · w` over a chunk of blocks.
#[inline(always)]
fn backward_columns<T: Tiles, const R: usize, const C: usize>(
    out: &mut [f32],
    g: &[f32],
    w: &[f32],
    (m, n, from, blocks): (usize, usize, usize, usize),
    (k, k0, columns): (usize, usize, usize),
) {
    let row_of = |i: usize| &g[i * n + from * BLOCK..][..blocks * BLOCK];
    let mut c = 0;
    while c < columns {
        let wide = c + C <= columns;
        let at = (k, k0 + c);
        let mut row = 0;
        while row < m {
            let tall = row + R <= m;
            let mut rows = out[row * columns + c..].chunks_mut(columns);
            let mut next = || rows.next().unwrap_or_default();
            match (tall, wide) {
                (true, true) => {
                    T::backward::<R, C>(
                        &mut std::array::from_fn(|_| next()),
                        &std::array::from_fn(|i| row_of(row + i)),
                        w,
                        at,
                    );
                }
                (true, false) => {
                    T::backward::<R, 1>(
                        &mut std::array::from_fn(|_| next()),
                        &std::array::from_fn(|i| row_of(row + i)),
                        w,
                        at,
                    );
                }
                (false, true) => T::backward::<1, C>(&mut [next()], &[row_of(row)], w, at),
                (false, false) => T::backward::<1, 1>(&mut [next()], &[row_of(row)], w, at),
            }
            row += if tall { R } else { 1 };
        }
        c += if wide { C } else { 1 };
    }
}

type Forward = fn(&mut [f32], &[f32], &[f32], (usize, usize));
type Backward = fn(&mut [f32], &[f32], &[f32], (usize, usize, usize, usize), (usize, usize, usize));

#[cfg(target_arch = "x86_64")]
mod wide {
    //! The tiles of [`super::super::x86`].
    #![allow(unsafe_code)]
    use super::super::x86;
    use super::Tiles;

    pub struct Avx2;
    pub struct Avx512;

    // SAFETY (all four): [`super::kernels`] hands these out only for a processor that was seen to have the features.
    impl Tiles for Avx2 {
        #[inline(always)]
        fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
            unsafe { x86::forward_avx2(out, x, w) }
        }
        #[inline(always)]
        fn backward<const R: usize, const C: usize>(
            o: &mut [&mut [f32]; R],
            g: &[&[f32]; R],
            w: &[f32],
            at: (usize, usize),
        ) {
            unsafe { x86::backward_avx2::<R, C>(o, g, w, at) }
        }
    }

    impl Tiles for Avx512 {
        #[inline(always)]
        fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
            unsafe { x86::forward_avx512(out, x, w) }
        }
        #[inline(always)]
        fn backward<const R: usize, const C: usize>(
            o: &mut [&mut [f32]; R],
            g: &[&[f32]; R],
            w: &[f32],
            at: (usize, usize),
        ) {
            unsafe { x86::backward_avx512::<R, C>(o, g, w, at) }
        }
    }
}

fn kernels(target: Target) -> (Forward, Backward) {
    match target {
        Target::Portable => (forward_block::<Plain, 3>, backward_columns::<Plain, 2, 2>),
        #[cfg(target_arch = "x86_64")]
        Target::Avx2 => (forward_block::<wide::Avx2, 3>, backward_columns::<wide::Avx2, 3, 3>),
        #[cfg(target_arch = "x86_64")]
        Target::Avx512 => (forward_block::<wide::Avx512, 12>, backward_columns::<wide::Avx512, 5, 5>),
    }
}

/// A buffer that threads write disjoint columns of.
struct Columns(*mut f32, usize);
// SAFETY: every task writes other columns (see `Packed::forward`).
#[allow(unsafe_code)]
unsafe impl Sync for Columns {}

impl Packed {
    /// Packs a row-major `[rows, cols]` matrix. Columns of a last, incomplete block are zero.
    pub fn new(data: &[f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "Packed::new: the data do not fit the shape");
        let mut packed = vec![0.0; rows.div_ceil(BLOCK) * cols * BLOCK];
        for (block, out) in packed.chunks_mut(cols * BLOCK).enumerate() {
            for j in 0..BLOCK.min(rows - block * BLOCK) {
                let row = &data[(block * BLOCK + j) * cols..][..cols];
                for (k, v) in row.iter().enumerate() {
                    out[k * BLOCK + j] = *v;
                }
            }
        }
        Self { rows, cols, data: packed }
    }

    /// One row of the matrix (an embedding).
    pub fn row(&self, row: usize) -> Vec<f32> {
        let (block, j) = (row / BLOCK, row % BLOCK);
        self.data[block * self.cols * BLOCK..][..self.cols * BLOCK]
            .iter()
            .skip(j)
            .step_by(BLOCK)
            .copied()
            .collect()
    }

    /// `x[m, cols] · Wᵀ → [m, rows]`
    pub fn forward(&self, x: &[f32], m: usize) -> Vec<f32> {
        self.forward_with(x, m, target())
    }

    fn forward_with(&self, x: &[f32], m: usize, target: Target) -> Vec<f32> {
        let (n, k) = (self.rows, self.cols);
        assert!(x.len() >= m * k, "Packed::forward: fewer values than rows");
        let mut out = vec![0.0; m * n];
        let base = Columns(out.as_mut_ptr(), n);
        let forward = kernels(target).0;
        self.data.par_chunks(k * BLOCK).enumerate().with_min_len(8).for_each(|(block, w)| {
            let base = &base;
            let column = block * BLOCK;
            let width = BLOCK.min(n - column);
            let mut tile = vec![0.0; m * BLOCK];
            forward(&mut tile, x, w, (m, k));
            for (row, values) in tile.chunks(BLOCK).enumerate() {
                // SAFETY: row < m and column + width ≤ n, so this lies inside `out`; no other task has these columns.
                #[allow(unsafe_code)]
                unsafe {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), base.0.add(row * base.1 + column), width);
                }
            }
        });
        out
    }

    /// `g[m, rows] · W → [m, cols]`: the gradient with respect to `forward`'s input.
    pub fn backward(&self, g: &[f32], m: usize) -> Vec<f32> {
        self.backward_with(g, m, target())
    }

    fn backward_with(&self, g: &[f32], m: usize, target: Target) -> Vec<f32> {
        let (n, k) = (self.rows, self.cols);
        assert!(g.len() >= m * n, "Packed::backward: fewer values than rows");
        let whole = n.next_multiple_of(BLOCK);
        let padded: Vec<f32>;
        let g = if whole == n {
            g
        } else {
            let mut p = vec![0.0; m * whole];
            for (p, g) in p.chunks_mut(whole).zip(g.chunks(n)) {
                p[..n].copy_from_slice(g);
            }
            padded = p;
            &padded
        };
        let mut out = vec![0.0; m * k];
        let base = Columns(out.as_mut_ptr(), k);
        let backward = kernels(target).1;
        // Columns a task works on: a multiple of every tile's width, small enough to share out.
        const SHARE: usize = 60;
        (0..k.div_ceil(SHARE)).into_par_iter().for_each(|task| {
            let base = &base;
            let k0 = task * SHARE;
            let columns = SHARE.min(k - k0);
            let mut tile = vec![0.0; m * columns];
            for from in (0..whole / BLOCK).step_by(CHUNK) {
                let blocks = CHUNK.min(whole / BLOCK - from);
                let w = &self.data[from * k * BLOCK..];
                for row in (0..m).step_by(ROWS) {
                    let rows = ROWS.min(m - row);
                    backward(
                        &mut tile[row * columns..],
                        &g[row * whole..],
                        w,
                        (rows, whole, from, blocks),
                        (k, k0, columns),
                    );
                }
            }
            for (row, values) in tile.chunks(columns).enumerate() {
                // SAFETY: row < m and k0 + columns ≤ k, so this lies inside `out`; no other task has these columns.
                #[allow(unsafe_code)]
                unsafe {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), base.0.add(row * base.1 + k0), columns);
                }
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn targets() -> Vec<Target> {
        let mut all = vec![Target::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Target::Avx2);
            }
            if target() == Target::Avx512 {
                all.push(Target::Avx512);
            }
        }
        all
    }

    fn values(n: usize, seed: u64) -> Vec<f32> {
        (0..n as u64)
            .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) % 2003) as f32 / 1001.0) - 1.0)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_target_equals_the_plain_loops(m in 0usize..20, n in 1usize..150, k in 1usize..700, seed in 0u64..1000) {
            let (x, w, g) = (values(m * k, seed), values(n * k, seed + 1), values(m * n, seed + 2));
            let packed = Packed::new(&w, n, k);
            prop_assert_eq!(packed.row(n - 1), w[(n - 1) * k..].to_vec());
            for t in targets() {
                let (y, b) = (packed.forward_with(&x, m, t), packed.backward_with(&g, m, t));
                for i in 0..m {
                    for j in 0..n {
                        let want: f64 = (0..k).map(|l| f64::from(x[i * k + l]) * f64::from(w[j * k + l])).sum();
                        prop_assert!((f64::from(y[i * n + j]) - want).abs() < 1e-3, "{:?} forward {} {}", t, i, j);
                    }
                    for l in 0..k {
                        let want: f64 = (0..n).map(|j| f64::from(g[i * n + j]) * f64::from(w[j * k + l])).sum();
                        prop_assert!((f64::from(b[i * k + l]) - want).abs() < 1e-3, "{:?} backward {} {}", t, i, l);
                    }
                }
            }
        }
    }
}
