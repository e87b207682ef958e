//! [`super::dot::plain`] with NEON's dot products (Armv8.2's `sdot`).
//!
//! Instructions that Rust has no stable name for yet are written as assembly, one to a function.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::blocks::TABLE;
use super::dot::{LANES, QUAD, Tile, check, code_bytes, scale_count};
use super::rows::{CHUNK, Rows};

/// Lanes of a register.
const PART: usize = 4;

/// `sum[i] + Σ_j w[4i + j] · x[4 · INDEX + j]`
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const INDEX: usize>(sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: registers only; the features are the function's.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {w:v}.16b, {x:v}.4b[{index}]",
            sum = inout(vreg) sum,
            w = in(vreg) w,
            x = in(vreg) x,
            index = const INDEX,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Four half-precision numbers as floats.
#[inline]
#[target_feature(enable = "neon")]
fn widen(half: uint16x4_t) -> float32x4_t {
    let out: float32x4_t;
    // SAFETY: registers only; part of every Armv8.
    unsafe {
        asm!(
            "fcvtl {out:v}.4s, {half:v}.4h",
            out = out(vreg) out,
            half = in(vreg) half,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    out
}

/// A quarter of the lanes: 4 of 16.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn unpack<const BITS: usize, const TABLED: bool>(p: *const u8) -> [uint8x16_t; 8] {
    // SAFETY: the caller has `code_bytes(BITS)` bytes at `p`, less 16 for every quarter that it is further on.
    unsafe {
        let load = |quad: usize| vld1q_u8(p.add(quad * QUAD));
        let mut w = [vdupq_n_u8(0); 8];
        if BITS == 8 {
            for (quad, w) in w.iter_mut().enumerate() {
                *w = load(quad);
            }
            return w;
        }
        for quad in 0..4 {
            let both = load(quad);
            w[quad] = vandq_u8(both, vdupq_n_u8(15));
            w[quad + 4] = vshrq_n_u8::<4>(both);
        }
        macro_rules! join {
            ($quad:expr, $bits:expr, $mask:expr) => {
                w[$quad] = vorrq_u8(w[$quad], vandq_u8($bits, $mask))
            };
        }
        if BITS == 5 {
            let (high, mask) = (load(4), vdupq_n_u8(16));
            join!(0, vshlq_n_u8::<4>(high), mask);
            join!(1, vshlq_n_u8::<3>(high), mask);
            join!(2, vshlq_n_u8::<2>(high), mask);
            join!(3, vshlq_n_u8::<1>(high), mask);
            join!(4, high, mask);
            join!(5, vshrq_n_u8::<1>(high), mask);
            join!(6, vshrq_n_u8::<2>(high), mask);
            join!(7, vshrq_n_u8::<3>(high), mask);
        }
        if BITS == 6 {
            let mask = vdupq_n_u8(48);
            for half in 0..2 {
                let high = load(4 + half);
                join!(4 * half, vshlq_n_u8::<4>(high), mask);
                join!(4 * half + 1, vshlq_n_u8::<2>(high), mask);
                join!(4 * half + 2, high, mask);
                join!(4 * half + 3, vshrq_n_u8::<2>(high), mask);
            }
        }
        if TABLED {
            let table = vld1q_u8(TABLE.as_ptr());
            for w in &mut w {
                *w = vqtbl1q_u8(table, *w);
            }
        }
        w
    }
}

/// `CODE` is how many bits a code has, `BITS` how many it takes.
///
/// # Safety
/// The processor has NEON with dot products. Formats whose codes have 8 bits have the zero 128 and no minima.
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn dot<
    const BITS: usize,
    const CODE: usize,
    const GROUP: usize,
    const MIN: bool,
    const TABLED: bool,
    const R: usize,
>(
    out: &mut [[f32; LANES]; R],
    tile: Tile<'_>,
    rows: &Rows,
    first: usize,
) {
    check::<BITS, GROUP, MIN, R>(&tile, rows, first);
    let groups = CHUNK / GROUP;
    let step = scale_count(GROUP, MIN) / groups;
    // SAFETY: every index is below the lengths asserted in `check`.
    unsafe {
        for part in 0..LANES / PART {
            let mut sums = [vdupq_n_f32(0.0); R];
            let numbers = |at: usize| widen(vld1_u16(tile.scales.as_ptr().add(at + PART * part)));
            for c in 0..tile.chunks {
                let w = unpack::<BITS, TABLED>(tile.codes.as_ptr().add(c * code_bytes(BITS) + 16 * part));
                // `sdot` knows signed codes only: those of 8 bits go less their zero of 128, which `extra` would take off otherwise.
                let w =
                    w.map(|w| vreinterpretq_s8_u8(if CODE == 8 { veorq_u8(w, vdupq_n_u8(128)) } else { w }));
                let at = c * scale_count(GROUP, MIN);
                let scales: [float32x4_t; 2] = std::array::from_fn(|g| numbers(at + g % groups * step));
                let mins: [float32x4_t; 2] = std::array::from_fn(|g| {
                    if MIN { numbers(at + g % groups * step + LANES) } else { scales[g] }
                });
                for (r, sum) in sums.iter_mut().enumerate() {
                    let row = first + r;
                    let x = rows.codes.as_ptr().add(row * rows.k + c * CHUNK);
                    let (x0, x1) = (vld1q_s8(x), vld1q_s8(x.add(16)));
                    let scale = *rows.scales.as_ptr().add(row * tile.chunks + c);
                    for g in 0..groups {
                        let extra = *rows.extra.as_ptr().add((row * tile.chunks + c) * groups + g);
                        let mut acc = vdupq_n_s32(if MIN || CODE == 8 { 0 } else { extra });
                        if g == 0 {
                            acc = sdot::<0>(acc, w[0], x0);
                            acc = sdot::<1>(acc, w[1], x0);
                            acc = sdot::<2>(acc, w[2], x0);
                            acc = sdot::<3>(acc, w[3], x0);
                        }
                        if g == 1 || GROUP == CHUNK {
                            acc = sdot::<0>(acc, w[4], x1);
                            acc = sdot::<1>(acc, w[5], x1);
                            acc = sdot::<2>(acc, w[6], x1);
                            acc = sdot::<3>(acc, w[7], x1);
                        }
                        *sum = vfmaq_f32(*sum, vcvtq_f32_s32(acc), vmulq_n_f32(scales[g], scale));
                        if MIN {
                            *sum = vfmaq_n_f32(*sum, mins[g], f32::from_bits(extra as u32));
                        }
                    }
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                vst1q_f32(out.as_mut_ptr().add(PART * part), sum);
            }
        }
    }
}

/// # Safety
/// `codes` holds whole runs, `out` 512 bytes for each.
#[target_feature(enable = "neon")]
pub unsafe fn unpack_all<const BITS: usize, const TABLED: bool>(codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.chunks_exact(code_bytes(BITS)).zip(out.chunks_exact_mut(8 * QUAD)) {
        for part in 0..LANES / PART {
            // SAFETY: both chunks have the sizes that are read and written.
            unsafe {
                for (quad, w) in unpack::<BITS, TABLED>(codes.as_ptr().add(16 * part)).into_iter().enumerate()
                {
                    vst1q_u8(out.as_mut_ptr().add(quad * QUAD + 16 * part), w);
                }
            }
        }
    }
}
