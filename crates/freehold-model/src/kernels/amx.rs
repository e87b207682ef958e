//! Products of bfloat16 tiles with AMX (Intel's Architecture Instruction Set Extensions Programming Reference, chapter 3): 16 rows times 32 deep times
//! 16 columns in one instruction, summed in floats.
//!
//! Activations are rounded to bfloat16 and laid out in tiles once a call. Weights become panels of 32 columns, [`DEPTH`] deep, just before they are
//! used for all rows. Every output is summed over the depth in the same order whatever the number of rows.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;

use super::pool::{self, Places};

/// Rows of a tile, and columns.
pub const SIDE: usize = 16;
/// How deep a tile is.
pub const STEP: usize = 32;
/// Numbers in a tile of bfloat16.
pub const TILE: usize = SIDE * STEP;
/// Columns of a panel.
pub const PANEL: usize = 2 * SIDE;
/// Depth that is worked on at once: a panel's 64 KB and the activations of some hundred rows stay in the second-level cache. Part of the
/// order of summation, so it must not depend on the number of rows.
pub const DEPTH: usize = 1024;
/// Values that are worth a task of their own when activations are laid out.
const PARALLEL_FROM: usize = 1 << 15;

/// Whether the processor has the instructions, and Linux lets this process use them (it asks once for all threads).
pub fn permitted() -> bool {
    const TILES_AND_BF16: u32 = 1 << 24 | 1 << 22;
    // `ARCH_REQ_XCOMP_PERM` for the state component of tile data (Linux, Documentation/arch/x86/xstate.rst).
    const REQUEST: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    if __cpuid_count(7, 0).edx & TILES_AND_BF16 != TILES_AND_BF16 {
        return false;
    }
    // SAFETY: the call reads its two numbers and changes what the kernel saves of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

/// The shape of all eight tile registers: palette 1, 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shape([u8; 64]);

static SHAPE: Shape = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut i = 0;
    while i < 8 {
        bytes[16 + 2 * i] = 64;
        bytes[48 + i] = SIDE as u8;
        i += 1;
    }
    Shape(bytes)
};

/// This thread's tile registers, shaped while it lives.
struct Registers;

impl Registers {
    /// # Safety
    /// [`permitted`] said yes.
    unsafe fn shaped() -> Self {
        // SAFETY: reads 64 bytes; the registers belong to this thread and nothing else uses them.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &SHAPE, options(nostack, readonly, preserves_flags)) };
        Registers
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: gives the registers back, so that the kernel need not save them.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// Sums of 32 rows and 32 columns.
#[repr(C, align(64))]
struct Sums([[f32; PANEL]; 2 * SIDE]);

/// `sums = a · b` for two tiles of rows (or one: `R`) and two of columns, `steps` tiles deep; tiles that follow each other in depth lie side by side.
///
/// # Safety
/// Registers are shaped; every pointer has `steps` tiles.
unsafe fn multiply<const R: usize>(sums: &mut Sums, a: [*const u16; R], b: [*const u16; 2], steps: usize) {
    debug_assert!(steps > 0 && (R == 1 || R == 2));
    // SAFETY: reads `steps` KB from every pointer and writes 16 · R rows of `sums`. All tile registers are named; the compiler uses none of them.
    unsafe {
        if R == 2 {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a0} + {row}*1]",
                "tileloadd tmm6, [{b0} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b1} + {row}*1]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{a1} + {row}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a0}, 1024", "add {a1}, 1024", "add {b0}, 1024", "add {b1}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{c} + {wide}*1], tmm0",
                "tilestored [{c} + {wide}*1 + 64], tmm1",
                "tilestored [{c} + {wide}*1 + 2048], tmm2",
                "tilestored [{c} + {wide}*1 + 2112], tmm3",
                a0 = inout(reg) a[0] => _, a1 = inout(reg) a[R - 1] => _,
                b0 = inout(reg) b[0] => _, b1 = inout(reg) b[1] => _,
                steps = inout(reg) steps => _, c = in(reg) sums,
                row = in(reg) 64usize, wide = in(reg) 4 * PANEL,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        } else {
            asm!(
                "tilezero tmm0", "tilezero tmm1",
                "2:",
                "tileloadd tmm4, [{a0} + {row}*1]",
                "tileloadd tmm6, [{b0} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b1} + {row}*1]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {a0}, 1024", "add {b0}, 1024", "add {b1}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{c} + {wide}*1], tmm0",
                "tilestored [{c} + {wide}*1 + 64], tmm1",
                a0 = inout(reg) a[0] => _,
                b0 = inout(reg) b[0] => _, b1 = inout(reg) b[1] => _,
                steps = inout(reg) steps => _, c = in(reg) sums,
                row = in(reg) 64usize, wide = in(reg) 4 * PANEL,
                out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// A tile's numbers, each of its 16 rows in a cache line of its own: rows that straddle two would take twice as long to load.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Tile([u16; TILE]);

/// Activations `[m, k]` as tiles, `[⌈m / 16⌉][⌈k / 32⌉][16][32]`; what is missing is zero.
pub struct Rows {
    tiles: Vec<Tile>,
    pub m: usize,
    pub steps: usize,
}

impl Rows {
    /// # Safety
    /// The processor has AVX-512 F, BW, VL and BF16.
    pub unsafe fn new(x: &[f32], m: usize, k: usize) -> Self {
        assert!(x.len() >= m * k, "Rows: fewer values than rows");
        let steps = k.div_ceil(STEP);
        let mut tiles = LAST.take();
        tiles.resize(m.div_ceil(SIDE) * steps, Tile([0; TILE]));
        let share = (PARALLEL_FROM / (k * SIDE)).max(1);
        pool::chunks(&mut tiles, share * steps, |task, tiles| {
            for (i, tiles) in tiles.chunks_exact_mut(steps).enumerate() {
                let first = (task * share + i) * SIDE;
                for r in 0..SIDE {
                    let row = if first + r < m { &x[(first + r) * k..][..k] } else { &[] };
                    // SAFETY: the caller's promise.
                    unsafe { round_row(row, tiles, r) };
                }
            }
        });
        Self { tiles, m, steps }
    }

    fn tile(&self, row: usize, step: usize) -> *const u16 {
        self.tiles[row * self.steps + step].0.as_ptr()
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // A thread that ends has no next product.
        let _ = LAST.try_with(|last| last.replace(std::mem::take(&mut self.tiles)));
    }
}

/// Row `r` of tiles that follow each other in depth, in bfloat16 (nearest, ties to even).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn round_row(row: &[f32], tiles: &mut [Tile], r: usize) {
    for (i, tile) in tiles.iter_mut().enumerate() {
        let values = row.get(i * STEP..).map_or(row, |rest| &rest[..rest.len().min(STEP)]);
        let to: &mut [u16; STEP] = tile.0[r * STEP..].first_chunk_mut().expect("a tile's row");
        let mut padded = [0.0; STEP];
        let from = match values.first_chunk::<STEP>() {
            Some(whole) => whole,
            None => {
                padded[..values.len()].copy_from_slice(values);
                &padded
            }
        };
        // SAFETY: 32 floats are read and 32 halves written.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(from.as_ptr()), _mm512_loadu_ps(from.as_ptr().add(16)));
            let both = _mm512_cvtne2ps_pbh(high, low);
            _mm512_storeu_si512(to.as_mut_ptr().cast(), std::mem::transmute::<__m512bh, __m512i>(both));
        }
    }
}

/// Weights `[depth][32]` as a panel (see [`Fill`]); what is missing is zero.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub unsafe fn round_panel(weights: &[f32], panel: &mut [u16]) {
    let half = panel.len() / 2;
    let (rows, _) = weights.as_chunks::<PANEL>();
    for (h, panel) in panel.chunks_exact_mut(half).enumerate() {
        for (i, to) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            // SAFETY: 16 floats of a row of 32 are read, 32 halves written.
            unsafe {
                let row = |k: usize| {
                    rows.get(k).map_or(_mm512_setzero_ps(), |r| _mm512_loadu_ps(r.as_ptr().add(h * SIDE)))
                };
                _mm512_storeu_si512(to.as_mut_ptr().cast(), pairs(row(2 * i), row(2 * i + 1)));
            }
        }
    }
}

/// Two rows of 16 floats as one row of a panel: pairs, column by column.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub fn pairs(first: __m512, second: __m512) -> __m512i {
    // SAFETY: two names of 512 bits.
    let both = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) };
    _mm512_permutexvar_epi16(interleaved(), both)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn interleaved() -> __m512i {
    const ORDER: [u16; 32] = {
        let mut order = [0; 32];
        let mut i = 0;
        while i < 16 {
            order[2 * i] = i as u16;
            order[2 * i + 1] = 16 + i as u16;
            i += 1;
        }
        order
    };
    // SAFETY: 64 bytes.
    unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) }
}

/// Writes the columns `32 p..` of a matrix, `from` tiles down and `steps` deep, as `[2][steps][16][16][2]` bfloat16: halves of the columns, tiles, pairs of
/// rows, columns, the pair. Columns behind the last may hold anything finite. Arguments: p, from, steps, the panel.
pub type Fill<'a> = Box<dyn Fn(usize, usize, usize, &mut [u16]) + Sync + 'a>;

/// A matrix `[k, n]` to be multiplied with, and the factor of the result.
pub struct Factor<'a> {
    pub n: usize,
    pub scale: f32,
    pub fill: Fill<'a>,
}

thread_local! {
    /// The last activations' tiles: room that need not be asked for, and cleared, again.
    static LAST: RefCell<Vec<Tile>> = const { RefCell::new(Vec::new()) };
    static PANELS: RefCell<Vec<Tile>> = const { RefCell::new(Vec::new()) };
}

/// `scale · x · w`, `[m, n]`, for every factor.
///
/// # Safety
/// [`permitted`] said yes, and the processor has AVX-512 F.
pub unsafe fn products(x: &Rows, factors: &[Factor<'_>]) -> Vec<Vec<f32>> {
    let m = x.m;
    let mut results: Vec<Vec<f32>> = factors.iter().map(|f| Vec::with_capacity(m * f.n)).collect();
    let mut tasks = Vec::new();
    for (f, result) in factors.iter().zip(&mut results) {
        if x.steps == 0 {
            result.resize(m * f.n, 0.0);
        }
        let base = Places(result.as_mut_ptr());
        tasks.extend((0..f.n.div_ceil(PANEL)).map(|p| (f, base, p)));
    }
    let depth = DEPTH / STEP;
    for from in (0..x.steps).step_by(depth) {
        let steps = depth.min(x.steps - from);
        pool::each(tasks.len(), |task| {
            let (factor, base, p) = &tasks[task];
            let (n, p) = (factor.n, *p);
            PANELS.with_borrow_mut(|panel| {
                panel.resize(2 * depth, Tile([0; TILE]));
                // SAFETY: a tile is its numbers, one after the other.
                let panel =
                    unsafe { std::slice::from_raw_parts_mut(panel.as_mut_ptr().cast(), 2 * steps * TILE) };
                (factor.fill)(p, from, steps, panel);
                let b = [panel.as_ptr(), panel[steps * TILE..].as_ptr()];
                let width = PANEL.min(n - p * PANEL);
                let mut sums = Sums([[0.0; PANEL]; 2 * SIDE]);
                // SAFETY: the caller's promise. Tiles of `x` and of the panel are `steps` deep from here on. Rows below m and columns below n lie inside
                // the result's room, and no other task has these columns.
                unsafe {
                    let _registers = Registers::shaped();
                    for row in (0..m.div_ceil(SIDE)).step_by(2) {
                        let rows = (m - row * SIDE).min(2 * SIDE);
                        if rows > SIDE {
                            multiply(&mut sums, [x.tile(row, from), x.tile(row + 1, from)], b, steps);
                        } else {
                            multiply(&mut sums, [x.tile(row, from)], b, steps);
                        }
                        let to = base.at(row * SIDE * n + p * PANEL);
                        store(to, n, &sums, (rows, width), factor.scale, from > 0);
                    }
                }
            });
        });
    }
    for (f, result) in factors.iter().zip(&mut results) {
        // SAFETY: the first round wrote every row of every column.
        unsafe { result.set_len(m * f.n) };
    }
    results
}

/// `out = or += scale · sums` for so many rows and columns; rows of `out` are `stride` apart.
///
/// # Safety
/// `out` has these rows and columns.
#[target_feature(enable = "avx512f")]
unsafe fn store(
    out: *mut f32,
    stride: usize,
    sums: &Sums,
    (rows, width): (usize, usize),
    scale: f32,
    add: bool,
) {
    let scale = _mm512_set1_ps(scale);
    for (r, sums) in sums.0.iter().enumerate().take(rows) {
        for half in 0..2 {
            let lanes = (width - (half * SIDE).min(width)).min(SIDE);
            let mask = ((1u32 << lanes) - 1) as __mmask16;
            // SAFETY: only the columns below `width` are read and written.
            unsafe {
                let to = out.add(r * stride + half * SIDE);
                let sum = _mm512_loadu_ps(sums.as_ptr().add(half * SIDE));
                let sum = if add {
                    _mm512_fmadd_ps(sum, scale, _mm512_maskz_loadu_ps(mask, to))
                } else {
                    _mm512_mul_ps(sum, scale)
                };
                _mm512_mask_storeu_ps(to, mask, sum);
            }
        }
    }
}
