//! Products with quantised weights.
//!
//! Weights are regrouped once, when a model is opened: tiles of 16 outputs whose codes lie side by side, as many bits each as in the file.
//! One loop serves every block type and every number of rows: activations become 8-bit codes too, codes are multiplied and added as
//! integers inside a group, and groups are added as floats in the order of the file. So a row's result does not depend on how many
//! rows come with it, on the number of threads or on the instruction set.

mod blocks;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod brain;
mod codebooks;
mod dot;
#[cfg(target_arch = "aarch64")]
mod neon;
mod rows;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::cell::RefCell;

use half::f16;
use rayon::prelude::*;

pub use self::blocks::{Block, Format};
use self::dot::{LANES, QUAD, Tile, code_bytes, pack, plain, scale_count, unpack};
use self::rows::{CHUNK, Rows};
use super::pool::{self, Places};
use super::target::{Target, target};

/// Rows that one pass over a tile serves.
const ROWS: usize = 8;
/// As many as are worth a pass of their own when fewer than that are left.
const SOME: usize = 4;
/// From so many rows on, a tile's codes are unpacked once for all of them.
const UNPACK_FROM: usize = 5 * ROWS;
/// Tiles and rows that a task works through together: unpacked codes and activations stay in the second-level cache.
const TILES: usize = 4;
const ROW_BLOCK: usize = 64;

/// A `[rows, cols]` matrix (`[out, in]`) of quantised weights.
pub struct Tiled {
    pub rows: usize,
    pub cols: usize,
    format: Format,
    /// What the scales were divided by to be held in half precision: a power of two.
    unit: f32,
    codes: Vec<u8>,
    scales: Vec<u16>,
}

type Dot<const R: usize> = unsafe fn(&mut [[f32; LANES]; R], Tile<'_>, &Rows, usize);
type Unpack = unsafe fn(&[u8], &mut [u8]);

/// One loop for one row, one for some, one for many.
type Dots = (Dot<1>, Dot<SOME>, Dot<ROWS>);

/// The loops for one format on one instruction set.
#[derive(Clone, Copy)]
struct Loops {
    packed: Dots,
    unpacked: Dots,
    unpack: Unpack,
}

fn unpack_all<const BITS: usize, const TABLED: bool>(codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.chunks_exact(code_bytes(BITS)).zip(out.chunks_exact_mut(8 * QUAD)) {
        unpack::<BITS, TABLED>(codes, out);
    }
}

fn loops(format: Format, target: Target) -> Loops {
    macro_rules! of {
        ($bits:literal, $code:literal, $group:literal, $min:literal, $table:literal) => {
            match target {
                Target::Portable => Loops {
                    packed: (
                        plain::<$bits, $group, $min, $table, 1>,
                        plain::<$bits, $group, $min, $table, SOME>,
                        plain::<$bits, $group, $min, $table, ROWS>,
                    ),
                    unpacked: (
                        plain::<8, $group, $min, false, 1>,
                        plain::<8, $group, $min, false, SOME>,
                        plain::<8, $group, $min, false, ROWS>,
                    ),
                    unpack: unpack_all::<$bits, $table>,
                },
                #[cfg(target_arch = "aarch64")]
                Target::Neon => Loops {
                    packed: (
                        neon::dot::<$bits, $code, $group, $min, $table, 1>,
                        neon::dot::<$bits, $code, $group, $min, $table, SOME>,
                        neon::dot::<$bits, $code, $group, $min, $table, ROWS>,
                    ),
                    unpacked: (
                        neon::dot::<8, $code, $group, $min, false, 1>,
                        neon::dot::<8, $code, $group, $min, false, SOME>,
                        neon::dot::<8, $code, $group, $min, false, ROWS>,
                    ),
                    unpack: neon::unpack_all::<$bits, $table>,
                },
                #[cfg(target_arch = "x86_64")]
                Target::Avx2 => Loops {
                    packed: (
                        x86::dot_256::<$bits, $code, $group, $min, $table, 1>,
                        x86::dot_256::<$bits, $code, $group, $min, $table, SOME>,
                        x86::dot_256::<$bits, $code, $group, $min, $table, ROWS>,
                    ),
                    unpacked: (
                        x86::dot_256::<8, $code, $group, $min, false, 1>,
                        x86::dot_256::<8, $code, $group, $min, false, SOME>,
                        x86::dot_256::<8, $code, $group, $min, false, ROWS>,
                    ),
                    unpack: x86::unpack_all_256::<$bits, $table>,
                },
                #[cfg(target_arch = "x86_64")]
                _ => Loops {
                    packed: (
                        x86::dot_512::<$bits, $group, $min, $table, 1>,
                        x86::dot_512::<$bits, $group, $min, $table, SOME>,
                        x86::dot_512::<$bits, $group, $min, $table, ROWS>,
                    ),
                    unpacked: (
                        x86::dot_512::<8, $group, $min, false, 1>,
                        x86::dot_512::<8, $group, $min, false, SOME>,
                        x86::dot_512::<8, $group, $min, false, ROWS>,
                    ),
                    unpack: x86::unpack_all_512::<$bits, $table>,
                },
            }
        };
    }
    match (format.bits, format.group, format.min, format.table) {
        (4, 32, false, true) => of!(4, 8, 32, false, true),
        (4, 32, false, false) => of!(4, 4, 32, false, false),
        (4, 32, true, _) => of!(4, 4, 32, true, false),
        (4, 16, false, _) => of!(4, 4, 16, false, false),
        (4, 16, true, _) => of!(4, 4, 16, true, false),
        (5, _, false, _) => of!(5, 5, 32, false, false),
        (5, _, true, _) => of!(5, 5, 32, true, false),
        (6, ..) => of!(6, 6, 16, false, false),
        (_, 16, ..) => of!(8, 8, 16, false, false),
        _ => of!(8, 8, 32, false, false),
    }
}

impl Tiled {
    /// Regroups a matrix of blocks as the file has it. Row `i` of the result is row `from(i)` of the file.
    ///
    /// # Errors
    /// When the bytes do not fit the shape, or a scale is not finite.
    pub fn new(
        block: Block,
        bytes: &[u8],
        rows: usize,
        cols: usize,
        from: &(dyn Fn(usize) -> usize + Sync),
    ) -> Result<Self, String> {
        let format = block.format();
        let (weights, size) = block.size();
        let stride = cols / weights * size;
        if cols == 0 || !cols.is_multiple_of(weights) || bytes.len() != rows * stride {
            return Err(format!(
                "has {} bytes, which do not make {rows} rows of {cols} weights",
                bytes.len()
            ));
        }
        let groups = cols / format.group;
        let (mut scales, mut mins) = (vec![0.0; rows * groups], vec![0.0; rows * groups]);
        let numbers = scales.par_chunks_mut(groups).zip(mins.par_chunks_mut(groups));
        numbers.zip(bytes.par_chunks_exact(stride)).for_each(|((s, m), row)| block.scales(row, s, m));
        let largest = scales
            .iter()
            .chain(&mins)
            .fold(0f32, |a, v| if v.is_nan() { f32::INFINITY } else { a.max(v.abs()) });
        if !largest.is_finite() {
            return Err("has values that are not finite: the file is damaged".into());
        }
        // Products of two numbers may be too small for half precision; a common factor brings the largest to 2¹⁴.
        let unit = if block.exact() || largest == 0.0 { 1.0 } else { (largest.log2().ceil() - 14.0).exp2() };
        let chunks = cols / CHUNK;
        let (code_stride, scale_stride) =
            (chunks * code_bytes(format.bits), chunks * scale_count(format.group, format.min));
        let tiles = rows.div_ceil(LANES);
        let mut tiled = Self {
            rows,
            cols,
            format,
            unit,
            codes: vec![0; tiles * code_stride],
            scales: vec![0; tiles * scale_stride],
        };
        let work = tiled.codes.par_chunks_mut(code_stride).zip(tiled.scales.par_chunks_mut(scale_stride));
        work.enumerate().for_each(|(tile, (codes_out, scales_out))| {
            let mut row_codes = vec![0; cols];
            let mut side_by_side = vec![0u8; chunks * 8 * QUAD];
            let per_chunk = CHUNK / format.group;
            for lane in 0..LANES.min(rows - tile * LANES) {
                let row = from(tile * LANES + lane);
                block.codes(&bytes[row * stride..][..stride], &mut row_codes);
                for (i, quad) in row_codes.chunks_exact(4).enumerate() {
                    side_by_side[i * QUAD + lane * 4..][..4].copy_from_slice(quad);
                }
                for g in 0..groups {
                    let at = g / per_chunk * scale_count(format.group, format.min)
                        + g % per_chunk * LANES * if format.min { 2 } else { 1 };
                    let half = |v: f32| f16::from_f32(v / unit).to_bits();
                    scales_out[at + lane] = half(scales[row * groups + g]);
                    if format.min {
                        scales_out[at + LANES + lane] = half(mins[row * groups + g]);
                    }
                }
            }
            for (codes, out) in
                side_by_side.chunks_exact(8 * QUAD).zip(codes_out.chunks_exact_mut(code_bytes(format.bits)))
            {
                pack(format.bits, codes, out);
            }
        });
        Ok(tiled)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.codes.len() + 2 * self.scales.len()
    }

    fn chunks(&self) -> usize {
        self.cols / CHUNK
    }

    fn tile(&self, tile: usize) -> Tile<'_> {
        let chunks = self.chunks();
        let (codes, scales) =
            (chunks * code_bytes(self.format.bits), chunks * scale_count(self.format.group, self.format.min));
        Tile {
            codes: &self.codes[tile * codes..][..codes],
            scales: &self.scales[tile * scales..][..scales],
            chunks,
        }
    }

    /// Weights of one tile in one run of 32 as floats, `[weight][lane]`.
    pub fn expand(&self, tile: usize, chunk: usize, out: &mut [[f32; LANES]; CHUNK]) {
        let t = self.tile(tile);
        let f = self.format;
        let codes = &t.codes[chunk * code_bytes(f.bits)..][..code_bytes(f.bits)];
        let mut w = [0u8; 8 * QUAD];
        // SAFETY: `loops` gave the version for this processor; one run goes in and one comes out.
        #[allow(unsafe_code)]
        unsafe {
            (loops(f, target()).unpack)(codes, &mut w);
        }
        let count = scale_count(f.group, f.min);
        let scales = &t.scales[chunk * count..][..count];
        for (g, scales) in scales.chunks_exact(count * f.group / CHUNK).enumerate() {
            let number = |i: usize| f16::from_bits(scales[i]).to_f32() * self.unit;
            let d: [f32; LANES] = std::array::from_fn(number);
            let min: [f32; LANES] =
                if f.min { std::array::from_fn(|i| number(LANES + i)) } else { [0.0; LANES] };
            for k in g * f.group..(g + 1) * f.group {
                let (quads, _) = w[k / 4 * QUAD..][..QUAD].as_chunks::<4>();
                for lane in 0..LANES {
                    let code = u32::from_le_bytes(quads[lane]) >> (8 * (k % 4)) & 255;
                    out[k][lane] = d[lane] * (code as i32 - f.zero) as f32 + min[lane];
                }
            }
        }
    }

    /// One row of the matrix (an embedding).
    pub fn row(&self, row: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.cols);
        let mut chunk_values = [[0.0; LANES]; CHUNK];
        for chunk in 0..self.chunks() {
            self.expand(row / LANES, chunk, &mut chunk_values);
            values.extend(chunk_values.iter().map(|v| v[row % LANES]));
        }
        values
    }

    /// Weights from `k0` on, as many as `out` holds, of 32 outputs: `[weight][32]`. What lies outside the matrix stays as it is.
    pub fn panel(&self, block: usize, k0: usize, out: &mut [f32]) {
        let mut values = [[0.0; LANES]; CHUNK];
        for half in (0..2).filter(|h| (2 * block + h) * LANES < self.rows) {
            for (i, out) in out.chunks_exact_mut(CHUNK * 2 * LANES).enumerate() {
                self.expand(2 * block + half, k0 / CHUNK + i, &mut values);
                for (out, v) in out.chunks_exact_mut(2 * LANES).zip(&values) {
                    out[half * LANES..][..LANES].copy_from_slice(v);
                }
            }
        }
    }

    /// 32 weights from `k0` on of the outputs from `n0` on (a multiple of 16), as many as `out` has rows: `[output][32]`.
    pub fn transposed(&self, n0: usize, k0: usize, out: &mut [f32]) {
        let mut values = [[0.0; LANES]; CHUNK];
        for (i, out) in out.chunks_mut(LANES * CHUNK).enumerate() {
            self.expand(n0 / LANES + i, k0 / CHUNK, &mut values);
            for (lane, out) in out.chunks_exact_mut(CHUNK).enumerate() {
                for (o, v) in out.iter_mut().zip(&values) {
                    *o = v[lane];
                }
            }
        }
    }

    /// Panels of Wᵀ in bfloat16 (without [`Tiled::unit`]), for a processor with tiles.
    ///
    /// # Safety
    /// [`Target::Amx`] is available.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[allow(unsafe_code)]
    pub unsafe fn panels(&self) -> super::amx::Factor<'_> {
        use super::amx::{Factor, TILE};
        let (tiles, zero) = (self.rows.div_ceil(LANES), self.format.zero as f32);
        let expand = brain::expands(self.format).forward;
        let fill = move |p: usize, from: usize, steps: usize, panel: &mut [u16]| {
            for (half, panel) in panel.chunks_exact_mut(steps * TILE).enumerate() {
                if 2 * p + half < tiles {
                    let tile = self.tile(2 * p + half);
                    // SAFETY: the caller's promise; the expansion is the one for this format.
                    (0..steps).for_each(|s| unsafe { expand(&tile, from + s, zero, panel, s * TILE) });
                } else {
                    panel.fill(0);
                }
            }
        };
        Factor { n: self.rows, scale: self.unit, fill: Box::new(fill) }
    }

    /// Panels of W, as [`Tiled::panels`].
    ///
    /// # Safety
    /// [`Target::Amx`] is available.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[allow(unsafe_code)]
    pub unsafe fn transposed_panels(&self) -> super::amx::Factor<'_> {
        use super::amx::{Factor, TILE};
        let (tiles, zero) = (self.rows.div_ceil(LANES), self.format.zero as f32);
        let expand = brain::expands(self.format).transposed;
        let fill = move |p: usize, from: usize, steps: usize, panel: &mut [u16]| {
            for half_step in 0..2 * steps {
                let (tile, to) = (2 * from + half_step, half_step * TILE / 2);
                if tile < tiles {
                    // SAFETY: as above.
                    unsafe { expand(&self.tile(tile), p, zero, panel, to) };
                } else {
                    let half = panel.len() / 2;
                    panel[to..][..TILE / 2].fill(0);
                    panel[half + to..][..TILE / 2].fill(0);
                }
            }
        };
        Factor { n: self.cols, scale: self.unit, fill: Box::new(fill) }
    }
}

/// `x[m, cols] · Wᵀ → [m, rows]` for every matrix, with activations rounded to 8 bits; one loop over the tiles of all of them.
pub fn forward(matrices: &[&Tiled], x: &[f32], m: usize) -> Vec<Vec<f32>> {
    forward_on(matrices, x, m, target())
}

fn forward_on(matrices: &[&Tiled], x: &[f32], m: usize, target: Target) -> Vec<Vec<f32>> {
    let mut rounded: Vec<(Format, Rows)> = Vec::new();
    let alike = |a: Format, b: Format| (a.group, a.min, a.zero) == (b.group, b.min, b.zero);
    for w in matrices {
        assert!(x.len() >= m * w.cols, "tiled::forward: fewer values than rows");
        if !rounded.iter().any(|(f, _)| alike(*f, w.format)) {
            rounded.push((w.format, Rows::new(&x[..m * w.cols], m, w.cols, w.format)));
        }
    }
    let mut results: Vec<Vec<f32>> = matrices.iter().map(|w| Vec::with_capacity(m * w.rows)).collect();
    let mut works = Vec::new();
    let mut tasks = Vec::new();
    for (i, (w, result)) in matrices.iter().zip(&mut results).enumerate() {
        let Some((_, rows)) = rounded.iter().find(|(f, _)| alike(*f, w.format)) else { continue };
        let work = Work { w, rows, m, base: Places(result.as_mut_ptr()), loops: loops(w.format, target) };
        tasks.extend((0..w.rows.div_ceil(LANES).div_ceil(work.tiles())).map(|group| (i, group)));
        works.push(work);
    }
    pool::each(tasks.len(), |task| works[tasks[task].0].group(tasks[task].1));
    for (w, result) in matrices.iter().zip(&mut results) {
        // SAFETY: every row of every tile was written.
        #[allow(unsafe_code)]
        unsafe {
            result.set_len(m * w.rows);
        }
    }
    results
}

/// One product.
struct Work<'a> {
    w: &'a Tiled,
    rows: &'a Rows,
    m: usize,
    base: Places,
    loops: Loops,
}

impl Work<'_> {
    /// Tiles in a task. A few rows are done with soon: fine pieces keep the threads from waiting for one another.
    fn tiles(&self) -> usize {
        if self.m < UNPACK_FROM { 2 } else { TILES }
    }

    fn group(&self, group: usize) {
        let tiles = group * self.tiles()..((group + 1) * self.tiles()).min(self.w.rows.div_ceil(LANES));
        if self.m < UNPACK_FROM {
            return tiles.for_each(|tile| self.pass(self.w.tile(tile), tile, 0..self.m, self.loops.packed));
        }
        let blocks = || (0..self.m).step_by(ROW_BLOCK).map(|from| from..(from + ROW_BLOCK).min(self.m));
        if self.w.format.bits == 8 {
            for rows in blocks() {
                for tile in tiles.clone() {
                    self.pass(self.w.tile(tile), tile, rows.clone(), self.loops.packed);
                }
            }
            return;
        }
        let unpacked = self.w.chunks() * 8 * QUAD;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(scratch.len().max(TILES * unpacked), 0);
            for (tile, w) in tiles.clone().zip(scratch.chunks_exact_mut(unpacked)) {
                // SAFETY: `loops` gave the version for this processor.
                #[allow(unsafe_code)]
                unsafe {
                    (self.loops.unpack)(self.w.tile(tile).codes, w);
                }
            }
            for rows in blocks() {
                for (tile, w) in tiles.clone().zip(scratch.chunks_exact(unpacked)) {
                    let t = Tile { codes: w, ..self.w.tile(tile) };
                    self.pass(t, tile, rows.clone(), self.loops.unpacked);
                }
            }
        });
    }

    fn pass(&self, t: Tile<'_>, tile: usize, rows: std::ops::Range<usize>, dots: Dots) {
        let mut row = rows.start;
        while row < rows.end {
            let left = rows.end - row;
            // SAFETY: `loops` gave versions for this processor, and `t` fits them (the vector versions assert it).
            #[allow(unsafe_code)]
            unsafe {
                row += if left >= ROWS {
                    self.rows_at(row, tile, |sums| dots.2(sums, t, self.rows, row))
                } else if left >= SOME {
                    self.rows_at(row, tile, |sums| dots.1(sums, t, self.rows, row))
                } else {
                    self.rows_at(row, tile, |sums| dots.0(sums, t, self.rows, row))
                };
            }
        }
    }

    /// Stores what `dot` makes of `R` rows; gives their number.
    fn rows_at<const R: usize>(
        &self,
        row: usize,
        tile: usize,
        dot: impl FnOnce(&mut [[f32; LANES]; R]),
    ) -> usize {
        let mut sums = [[0.0; LANES]; R];
        dot(&mut sums);
        sums.iter().enumerate().for_each(|(i, v)| self.store(row + i, tile, v));
        R
    }

    fn store(&self, row: usize, tile: usize, values: &[f32; LANES]) {
        let n = self.w.rows;
        let width = LANES.min(n - tile * LANES);
        let values = values.map(|v| v * self.w.unit);
        // SAFETY: row < m and the columns of a tile end at n, so this lies inside the result; no other task has these columns.
        #[allow(unsafe_code)]
        unsafe {
            let to = self.base.at(row * n + tile * LANES);
            if width == LANES {
                // A copy of a known size is two instructions.
                to.cast::<[f32; LANES]>().write_unaligned(values);
            } else {
                std::ptr::copy_nonoverlapping(values.as_ptr(), to, width);
            }
        }
    }
}

thread_local! {
    /// Unpacked codes of the tiles that a task works on.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests;
