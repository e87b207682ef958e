//! Products with weights as floats: exact, for training, for tests, and for models that are stored so.
//!
//! A general matrix product packs its operands on every call; weights never change here. Those that are floats in the file are packed once, in
//! blocks of [`BLOCK`] output columns, `[block][k][BLOCK]`; quantised ones are expanded a piece at a time and the piece is used for all rows. Every
//! output is one sum over k in order (in pieces of [`DEPTH`]), whatever the number of rows.

// Index loops over tiles show what is multiplied with what.
#![allow(clippy::needless_range_loop)]

use std::cell::RefCell;

use half::{bf16, f16};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::amx;
use super::pool::{self, Places};
use super::target::{Target, target};
use super::tiled::{self, Tiled};

/// Output columns in a block: two AVX-512 registers, four AVX2 ones, eight NEON ones.
pub const BLOCK: usize = 32;
/// Depth of a block that is worked on at once: 512 · 32 floats are 64 KB, which stay in the second-level cache.
const DEPTH: usize = 512;

/// A frozen `[rows, cols]` matrix (`[out, in]`).
pub struct Weight {
    pub rows: usize,
    pub cols: usize,
    store: Store,
}

enum Store {
    /// Packed; columns of a last, incomplete block are zero.
    Full(Vec<f32>),
    /// Packed, two bytes each.
    Half(Vec<u16>, fn(u16) -> f32),
    Blocks(Tiled),
}

/// How weights and activations are rounded before they are multiplied, and whether that may depend on how many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Products {
    /// All in floats.
    Exact,
    /// The same for every number of rows, so that a row's result does not depend on its neighbours: tiles of bfloat16 where the processor has them,
    /// otherwise quantised weights meet activations rounded to 8 bits (see [`super::tiled`]).
    #[default]
    Same,
    /// The fastest for the number of rows: few rows go by 8 bits everywhere.
    Fast,
}

/// Fewer rows than this are faster without tiles of bfloat16.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const TILES_FROM: usize = 24;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
impl Products {
    /// Whether `m` rows go by tiles of bfloat16.
    fn in_tiles(self, m: usize, target: Target) -> bool {
        target.has_tiles() && (self == Products::Same || self == Products::Fast && m >= TILES_FROM)
    }
}

/// The inner tile for one instruction set. `R` rows at once.
trait Tiles {
    /// `out[i][..32] += Σ_k x[i][k] · w[k][..32]`
    fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]);
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
}

/// All rows of one piece: `out[m, BLOCK] += x[m, from..from + depth] · w[depth, BLOCK]`; rows of `x` are `stride` apart.
#[inline(always)]
fn piece<T: Tiles, const R: usize>(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    (m, stride, from): (usize, usize, usize),
) {
    let depth = w.len() / BLOCK;
    let row_of = |row: usize| &x[row * stride + from..][..depth];
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

type Piece = fn(&mut [f32], &[f32], &[f32], (usize, usize, usize));

#[cfg(target_arch = "x86_64")]
mod wide {
    //! The tiles of [`super::super::x86`].
    #![allow(unsafe_code)]
    use super::super::x86;
    use super::Tiles;

    pub struct Avx2;
    pub struct Avx512;

    // SAFETY (both): [`super::kernel`] hands these out only for a processor that was seen to have the features.
    impl Tiles for Avx2 {
        #[inline(always)]
        fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
            unsafe { x86::forward_avx2(out, x, w) }
        }
    }

    impl Tiles for Avx512 {
        #[inline(always)]
        fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
            unsafe { x86::forward_avx512(out, x, w) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod wide {
    //! The tile of [`super::super::arm`].
    use super::super::arm;
    use super::Tiles;

    pub struct Neon;

    impl Tiles for Neon {
        #[inline(always)]
        fn forward<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
            // SAFETY: every such processor has NEON.
            #[allow(unsafe_code)]
            unsafe {
                arm::forward_neon(out, x, w)
            }
        }
    }
}

fn kernel(target: Target) -> Piece {
    match target {
        Target::Portable => piece::<Plain, 3>,
        #[cfg(target_arch = "aarch64")]
        Target::Neon => piece::<wide::Neon, 3>,
        #[cfg(target_arch = "x86_64")]
        Target::Avx2 => piece::<wide::Avx2, 3>,
        #[cfg(target_arch = "x86_64")]
        _ => piece::<wide::Avx512, 12>,
    }
}

/// A buffer that threads write disjoint columns of.
struct Columns(Places, usize);

impl Columns {
    /// Copies the first `width` columns of `tile[m, BLOCK]` to the columns from `column` on.
    ///
    /// # Safety
    /// The buffer has m rows, `column + width` is at most its width, and no other thread writes these columns.
    #[allow(unsafe_code)]
    unsafe fn write(&self, tile: &[f32], column: usize, width: usize) {
        for (row, values) in tile.as_chunks::<BLOCK>().0.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let to = self.0.at(row * self.1 + column);
                if width == BLOCK {
                    to.cast::<[f32; BLOCK]>().write_unaligned(*values);
                } else {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), to, width);
                }
            }
        }
    }
}

fn pack<T: Copy + Default>(data: &[T], rows: usize, cols: usize) -> Vec<T> {
    assert_eq!(data.len(), rows * cols, "Weight: the data do not fit the shape");
    let mut packed = vec![T::default(); rows.div_ceil(BLOCK) * cols * BLOCK];
    for (block, out) in packed.chunks_mut(cols * BLOCK).enumerate() {
        for j in 0..BLOCK.min(rows - block * BLOCK) {
            let row = &data[(block * BLOCK + j) * cols..][..cols];
            for (k, v) in row.iter().enumerate() {
                out[k * BLOCK + j] = *v;
            }
        }
    }
    packed
}

thread_local! {
    /// A piece of expanded weights, and a block of results.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// [`pool::each`] with two buffers that a thread keeps.
fn scratch_each(tasks: usize, body: impl Fn(usize, &mut Vec<f32>, &mut Vec<f32>) + Sync) {
    pool::each(tasks, |task| SCRATCH.with_borrow_mut(|(a, b)| body(task, a, b)));
}

impl Weight {
    /// From row-major floats.
    pub fn new(data: &[f32], rows: usize, cols: usize) -> Self {
        Self { rows, cols, store: Store::Full(pack(data, rows, cols)) }
    }

    /// From row-major half-precision numbers' bits: IEEE's (`false`) or bfloat16 (`true`).
    pub fn half(bits: &[u16], brain: bool, rows: usize, cols: usize) -> Self {
        let widen: fn(u16) -> f32 =
            if brain { |b| bf16::from_bits(b).to_f32() } else { |b| f16::from_bits(b).to_f32() };
        Self { rows, cols, store: Store::Half(pack(bits, rows, cols), widen) }
    }

    pub fn quantized(tiled: Tiled) -> Self {
        Self { rows: tiled.rows, cols: tiled.cols, store: Store::Blocks(tiled) }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Full(d) => 4 * d.len(),
            Store::Half(d, _) => 2 * d.len(),
            Store::Blocks(t) => t.bytes(),
        }
    }

    /// One row of the matrix (an embedding).
    pub fn row(&self, row: usize) -> Vec<f32> {
        let (block, j) = (row / BLOCK, row % BLOCK);
        let at = |k: usize| (block * self.cols + k) * BLOCK + j;
        match &self.store {
            Store::Full(d) => (0..self.cols).map(|k| d[at(k)]).collect(),
            Store::Half(d, widen) => (0..self.cols).map(|k| widen(d[at(k)])).collect(),
            Store::Blocks(t) => t.row(row),
        }
    }

    /// Weights `k0..k0 + depth` of one block of columns, `[depth][BLOCK]`, as they are or expanded into `scratch`.
    fn panel<'a>(&'a self, block: usize, k0: usize, depth: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        let range = (block * self.cols + k0) * BLOCK..(block * self.cols + k0 + depth) * BLOCK;
        match &self.store {
            Store::Full(d) => return &d[range],
            Store::Half(d, widen) => {
                scratch.clear();
                scratch.extend(d[range].iter().map(|&b| widen(b)));
            }
            Store::Blocks(t) => {
                scratch.clear();
                scratch.resize(depth * BLOCK, 0.0);
                t.panel(block, k0, scratch);
            }
        }
        scratch
    }

    /// Weights of the outputs `n0..n0 + depth` in `width` columns from `k0` on, `[depth][BLOCK]`.
    fn transposed(&self, n0: usize, depth: usize, k0: usize, width: usize, scratch: &mut Vec<f32>) {
        scratch.clear();
        scratch.resize(depth * BLOCK, 0.0);
        if let Store::Blocks(t) = &self.store {
            return t.transposed(n0, k0, scratch);
        }
        for (i, out) in scratch.chunks_exact_mut(BLOCK).enumerate() {
            let (block, j) = ((n0 + i) / BLOCK, (n0 + i) % BLOCK);
            for (k, out) in out.iter_mut().take(width).enumerate() {
                let at = (block * self.cols + k0 + k) * BLOCK + j;
                *out = match &self.store {
                    Store::Full(d) => d[at],
                    Store::Half(d, widen) => widen(d[at]),
                    Store::Blocks(_) => 0.0,
                };
            }
        }
    }

    /// `x[m, cols] · Wᵀ → [m, rows]`
    pub fn forward(&self, x: &[f32], m: usize, products: Products) -> Vec<f32> {
        forward(&[self], x, m, products).remove(0)
    }

    /// Panels of Wᵀ in bfloat16.
    ///
    /// # Safety
    /// [`Target::Amx`] is available.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[allow(unsafe_code)]
    unsafe fn panels(&self) -> amx::Factor<'_> {
        if let Store::Blocks(t) = &self.store {
            // SAFETY: the caller's promise.
            return unsafe { t.panels() };
        }
        let fill = |p: usize, from: usize, steps: usize, panel: &mut [u16]| {
            let (from, depth) = (from * amx::STEP, (steps * amx::STEP).min(self.cols - from * amx::STEP));
            SCRATCH.with_borrow_mut(|(scratch, _)| {
                // SAFETY: the caller's promise.
                unsafe { amx::round_panel(self.panel(p, from, depth, scratch), panel) };
            });
        };
        amx::Factor { n: self.rows, scale: 1.0, fill: Box::new(fill) }
    }

    fn forward_on(&self, x: &[f32], m: usize, target: Target) -> Vec<f32> {
        let (n, k) = (self.rows, self.cols);
        assert!(x.len() >= m * k, "Weight::forward: fewer values than rows");
        let mut out = vec![0.0; m * n];
        let base = Columns(Places(out.as_mut_ptr()), n);
        let piece = kernel(target);
        let base = &base;
        scratch_each(n.div_ceil(BLOCK), |block, scratch, tile| {
            tile.clear();
            tile.resize(m * BLOCK, 0.0);
            for from in (0..k).step_by(DEPTH) {
                let w = self.panel(block, from, DEPTH.min(k - from), scratch);
                piece(tile, x, w, (m, k, from));
            }
            // SAFETY: the columns of a block end at n, and no other task has them.
            #[allow(unsafe_code)]
            unsafe {
                base.write(tile, block * BLOCK, BLOCK.min(n - block * BLOCK));
            }
        });
        out
    }

    /// `g[m, rows] · W → [m, cols]`: the gradient with respect to `forward`'s input. In floats, but for quantised weights where there are tiles.
    #[cfg_attr(not(all(target_arch = "x86_64", target_os = "linux")), allow(unused_variables))]
    pub fn backward(&self, g: &[f32], m: usize, products: Products) -> Vec<f32> {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Store::Blocks(t) = &self.store
            && products.in_tiles(m, target())
        {
            // SAFETY (all): the target has tiles.
            #[allow(unsafe_code)]
            return unsafe { amx::products(&amx::Rows::new(g, m, self.rows), &[t.transposed_panels()]) }
                .remove(0);
        }
        self.backward_on(g, m, target())
    }

    fn backward_on(&self, g: &[f32], m: usize, target: Target) -> Vec<f32> {
        let (n, k) = (self.rows, self.cols);
        assert!(g.len() >= m * n, "Weight::backward: fewer values than rows");
        let mut out = vec![0.0; m * k];
        let base = Columns(Places(out.as_mut_ptr()), k);
        let piece = kernel(target);
        let base = &base;
        scratch_each(k.div_ceil(BLOCK), |block, scratch, tile| {
            let width = BLOCK.min(k - block * BLOCK);
            tile.clear();
            tile.resize(m * BLOCK, 0.0);
            for from in (0..n).step_by(DEPTH) {
                self.transposed(from, DEPTH.min(n - from), block * BLOCK, width, scratch);
                piece(tile, g, scratch, (m, n, from));
            }
            // SAFETY: the columns of a block end at k, and no other task has them.
            #[allow(unsafe_code)]
            unsafe {
                base.write(tile, block * BLOCK, width);
            }
        });
        out
    }
}

/// `x[m, cols] · Wᵀ → [m, rows]` for matrices that read the same rows; faster than one after the other.
pub fn forward(weights: &[&Weight], x: &[f32], m: usize, products: Products) -> Vec<Vec<f32>> {
    let target = target();
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if products.in_tiles(m, target)
        && let Some(k) = weights.first().map(|w| w.cols)
    {
        assert!(weights.iter().all(|w| w.cols == k), "forward: matrices of different widths");
        // SAFETY (all): the target has tiles.
        #[allow(unsafe_code)]
        return unsafe {
            let factors: Vec<amx::Factor<'_>> = weights.iter().map(|w| w.panels()).collect();
            amx::products(&amx::Rows::new(x, m, k), &factors)
        };
    }
    let blocks: Vec<&Tiled> = weights
        .iter()
        .filter_map(|w| match &w.store {
            Store::Blocks(t) if products != Products::Exact => Some(t),
            _ => None,
        })
        .collect();
    let mut together = tiled::forward(&blocks, x, m).into_iter();
    let each = weights.iter().map(|w| match &w.store {
        Store::Blocks(_) if products != Products::Exact => together.next().unwrap_or_default(),
        _ => w.forward_on(x, m, target),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::super::target::available;
    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, seed: u64) -> Vec<f32> {
        (0..n as u64)
            .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) % 2003) as f32 / 1001.0) - 1.0)
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_target_equals_the_plain_loops(m in 0usize..20, n in 1usize..150, k in 1usize..700, brain in 0usize..3, seed in 0u64..1000) {
            let (x, mut w, g) = (values(m * k, seed), values(n * k, seed + 1), values(m * n, seed + 2));
            let weight = match brain {
                0 => Weight::new(&w, n, k),
                b => {
                    let bits = |v: &f32| if b == 1 { f16::from_f32(*v).to_bits() } else { bf16::from_f32(*v).to_bits() };
                    let bits: Vec<u16> = w.iter().map(bits).collect();
                    let widen = |b2: &u16| if b == 1 { f16::from_bits(*b2).to_f32() } else { bf16::from_bits(*b2).to_f32() };
                    w = bits.iter().map(widen).collect();
                    Weight::half(&bits, b == 2, n, k)
                }
            };
            prop_assert_eq!(weight.row(n - 1), w[(n - 1) * k..].to_vec());
            // Other roundings: bfloat16 where there are tiles, and two matrices together.
            let rounded = forward(&[&weight, &weight], &x, m, Products::Same);
            prop_assert_eq!(&rounded[0], &rounded[1]);
            for (i, got) in rounded[0].iter().enumerate() {
                let (i, j) = (i / n, i % n);
                let pairs = (0..k).map(|l| f64::from(x[i * k + l]) * f64::from(w[j * k + l]));
                let (want, size) = pairs.fold((0.0, 0.0), |(sum, size), v: f64| (sum + v, size + v.abs()));
                prop_assert!((f64::from(*got) - want).abs() < size * 1.01 / 128.0 + 1e-5, "rounded {} {}", i, j);
            }
            for t in available() {
                let (y, b) = (weight.forward_on(&x, m, t), weight.backward_on(&g, m, t));
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
