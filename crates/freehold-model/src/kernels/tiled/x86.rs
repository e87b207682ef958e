//! [`super::dot::plain`] with AVX2 and with AVX-512 VNNI.
#![allow(unsafe_code)]
// Index loops over registers are what unrolls.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::blocks::TABLE;
use super::dot::{LANES, QUAD, Tile, check, code_bytes, scale_count};
use super::rows::{CHUNK, Rows};

/// Runs of 32 weights that are fetched ahead of their use.
const AHEAD: usize = 8;

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn unpack_512<const BITS: usize, const TABLED: bool>(p: *const u8) -> [__m512i; 8] {
    // SAFETY: the caller has `code_bytes(BITS)` bytes at `p`.
    unsafe {
        let load = |quad: usize| _mm512_loadu_si512(p.add(quad * QUAD).cast());
        let mut w = [_mm512_setzero_si512(); 8];
        if BITS == 8 {
            for (quad, w) in w.iter_mut().enumerate() {
                *w = load(quad);
            }
            return w;
        }
        let low = _mm512_set1_epi8(15);
        for quad in 0..4 {
            let both = load(quad);
            w[quad] = _mm512_and_si512(both, low);
            w[quad + 4] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
        }
        // `w | (bits & mask)` is one instruction.
        macro_rules! join {
            ($quad:expr, $bits:expr, $mask:expr) => {
                w[$quad] = _mm512_ternarylogic_epi64::<0xF8>(w[$quad], $bits, $mask)
            };
        }
        if BITS == 5 {
            let (high, mask) = (load(4), _mm512_set1_epi8(16));
            join!(0, _mm512_slli_epi16::<4>(high), mask);
            join!(1, _mm512_slli_epi16::<3>(high), mask);
            join!(2, _mm512_slli_epi16::<2>(high), mask);
            join!(3, _mm512_slli_epi16::<1>(high), mask);
            join!(4, high, mask);
            join!(5, _mm512_srli_epi16::<1>(high), mask);
            join!(6, _mm512_srli_epi16::<2>(high), mask);
            join!(7, _mm512_srli_epi16::<3>(high), mask);
        }
        if BITS == 6 {
            let mask = _mm512_set1_epi8(48);
            for half in 0..2 {
                let high = load(4 + half);
                join!(4 * half, _mm512_slli_epi16::<4>(high), mask);
                join!(4 * half + 1, _mm512_slli_epi16::<2>(high), mask);
                join!(4 * half + 2, high, mask);
                join!(4 * half + 3, _mm512_srli_epi16::<2>(high), mask);
            }
        }
        if TABLED {
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(TABLE.as_ptr().cast()));
            for w in &mut w {
                *w = _mm512_shuffle_epi8(table, *w);
            }
        }
        w
    }
}

/// Asks for the weights that are used [`AHEAD`] runs later. The next tile's follow this one's, so looking past the end is no loss.
#[inline(always)]
pub fn fetch_ahead<const BITS: usize, const GROUP: usize, const MIN: bool>(tile: &Tile<'_>, chunk: usize) {
    let (codes, scales) = (code_bytes(BITS), 2 * scale_count(GROUP, MIN));
    let to = tile.codes.as_ptr().wrapping_add((chunk + AHEAD) * codes);
    let also = tile.scales.as_ptr().cast::<u8>().wrapping_add((chunk + AHEAD) * scales);
    // SAFETY: a hint, which no address makes fail.
    unsafe {
        for line in 0..codes.div_ceil(64) {
            _mm_prefetch::<_MM_HINT_T0>(to.wrapping_add(64 * line).cast());
        }
        for line in 0..scales.div_ceil(64) {
            _mm_prefetch::<_MM_HINT_T0>(also.wrapping_add(64 * line).cast());
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn dot_512<
    const BITS: usize,
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
    // SAFETY: every index is below the lengths asserted in `check`.
    unsafe {
        let mut sums = [_mm512_setzero_ps(); R];
        let half = |at: usize| _mm512_cvtph_ps(_mm256_loadu_si256(tile.scales.as_ptr().add(at).cast()));
        for c in 0..tile.chunks {
            let codes = tile.codes.as_ptr().add(c * code_bytes(BITS));
            let at = c * scale_count(GROUP, MIN);
            fetch_ahead::<BITS, GROUP, MIN>(&tile, c);
            let w = unpack_512::<BITS, TABLED>(codes);
            let step = scale_count(GROUP, MIN) / groups;
            for g in 0..groups {
                let d = half(at + g * step);
                let min = if MIN { half(at + g * step + LANES) } else { d };
                let extra = |r: usize| *rows.extra.as_ptr().add(((first + r) * tile.chunks + c) * groups + g);
                let mut acc: [__m512i; R] =
                    std::array::from_fn(|r| _mm512_set1_epi32(if MIN { 0 } else { extra(r) }));
                // Row after row inside a quad: sums of different rows do not wait for one another.
                for quad in g * GROUP / 4..(g + 1) * GROUP / 4 {
                    for (r, acc) in acc.iter_mut().enumerate() {
                        let x = rows.codes.as_ptr().add((first + r) * rows.k + c * CHUNK).cast::<i32>();
                        *acc = _mm512_dpbusd_epi32(
                            *acc,
                            w[quad],
                            _mm512_set1_epi32(x.add(quad).read_unaligned()),
                        );
                    }
                }
                for (r, (sum, acc)) in sums.iter_mut().zip(acc).enumerate() {
                    let scale = _mm512_set1_ps(*rows.scales.as_ptr().add((first + r) * tile.chunks + c));
                    *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), _mm512_mul_ps(d, scale), *sum);
                    if MIN {
                        *sum = _mm512_fmadd_ps(min, _mm512_set1_ps(f32::from_bits(extra(r) as u32)), *sum);
                    }
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            _mm512_storeu_ps(out.as_mut_ptr(), sum);
        }
    }
}

/// # Safety
/// As [`dot_512`]; `codes` holds whole runs, `out` 512 bytes for each.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn unpack_all_512<const BITS: usize, const TABLED: bool>(codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.chunks_exact(code_bytes(BITS)).zip(out.chunks_exact_mut(8 * QUAD)) {
        // SAFETY: both chunks have the sizes that are read and written.
        unsafe {
            for (quad, w) in unpack_512::<BITS, TABLED>(codes.as_ptr()).into_iter().enumerate() {
                _mm512_storeu_si512(out.as_mut_ptr().add(quad * QUAD).cast(), w);
            }
        }
    }
}

/// Half of the lanes: 8 of 16.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unpack_256<const BITS: usize, const TABLED: bool>(p: *const u8) -> [__m256i; 8] {
    // SAFETY: the caller has `code_bytes(BITS)` bytes at `p`, or 32 fewer for the upper half.
    unsafe {
        let load = |quad: usize| _mm256_loadu_si256(p.add(quad * QUAD).cast());
        let mut w = [_mm256_setzero_si256(); 8];
        if BITS == 8 {
            for (quad, w) in w.iter_mut().enumerate() {
                *w = load(quad);
            }
            return w;
        }
        let low = _mm256_set1_epi8(15);
        for quad in 0..4 {
            let both = load(quad);
            w[quad] = _mm256_and_si256(both, low);
            w[quad + 4] = _mm256_and_si256(_mm256_srli_epi16::<4>(both), low);
        }
        macro_rules! join {
            ($quad:expr, $bits:expr, $mask:expr) => {
                w[$quad] = _mm256_or_si256(w[$quad], _mm256_and_si256($bits, $mask))
            };
        }
        if BITS == 5 {
            let (high, mask) = (load(4), _mm256_set1_epi8(16));
            join!(0, _mm256_slli_epi16::<4>(high), mask);
            join!(1, _mm256_slli_epi16::<3>(high), mask);
            join!(2, _mm256_slli_epi16::<2>(high), mask);
            join!(3, _mm256_slli_epi16::<1>(high), mask);
            join!(4, high, mask);
            join!(5, _mm256_srli_epi16::<1>(high), mask);
            join!(6, _mm256_srli_epi16::<2>(high), mask);
            join!(7, _mm256_srli_epi16::<3>(high), mask);
        }
        if BITS == 6 {
            let mask = _mm256_set1_epi8(48);
            for half in 0..2 {
                let high = load(4 + half);
                join!(4 * half, _mm256_slli_epi16::<4>(high), mask);
                join!(4 * half + 1, _mm256_slli_epi16::<2>(high), mask);
                join!(4 * half + 2, high, mask);
                join!(4 * half + 3, _mm256_srli_epi16::<2>(high), mask);
            }
        }
        if TABLED {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(TABLE.as_ptr().cast()));
            for w in &mut w {
                *w = _mm256_shuffle_epi8(table, *w);
            }
        }
        w
    }
}

/// `CODE` is how many bits a code has, `BITS` how many it takes.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. Formats whose codes have 8 bits have the zero 128 and no minima.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn dot_256<
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
    // Products of two codes are added in 16 bits as long as they cannot overflow: run · 2 · largest code · 127 < 2¹⁵.
    let run = if CODE == 8 { 1 } else { 8 >> (CODE - 4) };
    // SAFETY: every index is below the lengths asserted in `check`.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        for half in 0..2 {
            let mut sums = [_mm256_setzero_ps(); R];
            let numbers =
                |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(tile.scales.as_ptr().add(at + 8 * half).cast()));
            for c in 0..tile.chunks {
                let w = unpack_256::<BITS, TABLED>(tile.codes.as_ptr().add(c * code_bytes(BITS) + 32 * half));
                let at = c * scale_count(GROUP, MIN);
                let step = scale_count(GROUP, MIN) / groups;
                for g in 0..groups {
                    let d = numbers(at + g * step);
                    let min = if MIN { numbers(at + g * step + LANES) } else { d };
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let row = first + r;
                        let x = rows.codes.as_ptr().add(row * rows.k + c * CHUNK).cast::<i32>();
                        let scale = _mm256_set1_ps(*rows.scales.as_ptr().add(row * tile.chunks + c));
                        let extra = *rows.extra.as_ptr().add((row * tile.chunks + c) * groups + g);
                        let zero = MIN || CODE == 8;
                        let mut acc = if zero { _mm256_setzero_si256() } else { _mm256_set1_epi32(extra) };
                        let mut quad = g * GROUP / 4;
                        while quad < (g + 1) * GROUP / 4 {
                            let end = (quad + run).min((g + 1) * GROUP / 4);
                            let mut short = _mm256_setzero_si256();
                            while quad < end {
                                let x = _mm256_set1_epi32(x.add(quad).read_unaligned());
                                if CODE == 8 {
                                    // Codes up to 255 would overflow; less their zero of 128 they go by |w| and x · sign(w).
                                    let w = _mm256_xor_si256(w[quad], _mm256_set1_epi8(-128));
                                    short = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
                                } else {
                                    short = _mm256_add_epi16(short, _mm256_maddubs_epi16(w[quad], x));
                                }
                                quad += 1;
                            }
                            acc = _mm256_add_epi32(acc, _mm256_madd_epi16(short, ones));
                        }
                        *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc), _mm256_mul_ps(d, scale), *sum);
                        if MIN {
                            *sum = _mm256_fmadd_ps(min, _mm256_set1_ps(f32::from_bits(extra as u32)), *sum);
                        }
                    }
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                _mm256_storeu_ps(out.as_mut_ptr().add(8 * half), sum);
            }
        }
    }
}

/// # Safety
/// As [`dot_256`]; `codes` holds whole runs, `out` 512 bytes for each.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn unpack_all_256<const BITS: usize, const TABLED: bool>(codes: &[u8], out: &mut [u8]) {
    for (codes, out) in codes.chunks_exact(code_bytes(BITS)).zip(out.chunks_exact_mut(8 * QUAD)) {
        for half in 0..2 {
            // SAFETY: both chunks have the sizes that are read and written.
            unsafe {
                for (quad, w) in
                    unpack_256::<BITS, TABLED>(codes.as_ptr().add(32 * half)).into_iter().enumerate()
                {
                    _mm256_storeu_si256(out.as_mut_ptr().add(quad * QUAD + 32 * half).cast(), w);
                }
            }
        }
    }
}
