//! Packed codes as panels of bfloat16 for [`super::super::amx`], forwards and transposed.
#![allow(unsafe_code)]
// Index loops over registers are what unrolls.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::super::amx::{SIDE, STEP, TILE, pairs};
use super::blocks::Format;
use super::dot::{LANES, Tile, code_bytes, scale_count};
use super::rows::CHUNK;
use super::x86::{fetch_ahead, unpack_512};

const _: () = assert!(LANES == SIDE && CHUNK == STEP);

/// Writes one run of 32 weights of 16 outputs (`scales` in the file's order, `zero` as in [`Format`]) at `to`.
pub type Expand = unsafe fn(&Tile<'_>, usize, f32, &mut [u16], usize);

/// The two ways to expand one format.
#[derive(Clone, Copy)]
pub struct Expands {
    /// A tile `[16 pairs of weights][16 outputs][2]` at `to`.
    pub forward: Expand,
    /// Half of two tiles, `[8 pairs of outputs][16 weights][2]` at `to` and at `to + gap`, where `gap` is the length of `out` / 2.
    pub transposed: Expand,
}

pub fn expands(format: Format) -> Expands {
    macro_rules! of {
        ($bits:literal, $group:literal, $min:literal, $table:literal) => {
            Expands {
                forward: forward::<$bits, $group, $min, $table>,
                transposed: transposed::<$bits, $group, $min, $table>,
            }
        };
    }
    match (format.bits, format.group, format.min, format.table) {
        (4, 32, false, true) => of!(4, 32, false, true),
        (4, 32, false, false) => of!(4, 32, false, false),
        (4, 32, true, _) => of!(4, 32, true, false),
        (4, 16, false, _) => of!(4, 16, false, false),
        (4, 16, true, _) => of!(4, 16, true, false),
        (5, _, false, _) => of!(5, 32, false, false),
        (5, _, true, _) => of!(5, 32, true, false),
        (6, ..) => of!(6, 16, false, false),
        (_, 16, ..) => of!(8, 16, false, false),
        _ => of!(8, 32, false, false),
    }
}

/// The weights of one run as floats (but for the matrix's unit), one register of 16 outputs for each.
///
/// A code becomes a float without conversion: its bits are put into the mantissa of a power of two, which the minimum takes off again.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
fn floats<const BITS: usize, const GROUP: usize, const MIN: bool, const TABLED: bool>(
    tile: &Tile<'_>,
    chunk: usize,
    zero: f32,
) -> [__m512; CHUNK] {
    let codes = &tile.codes[chunk * code_bytes(BITS)..][..code_bytes(BITS)];
    let count = scale_count(GROUP, MIN);
    let scales = &tile.scales[chunk * count..][..count];
    let groups = CHUNK / GROUP;
    let wide = BITS == 8 || TABLED;
    // 2⁸ with 8 bits of code below it, 2⁷ with 7.
    let (base, magic, mask) =
        if wide { (256.0, 0x4380_0000, 0x007F_8000) } else { (128.0, 0x4300_0000, 0x007F_0000) };
    let (magic, mask) = (_mm512_set1_epi32(magic), _mm512_set1_epi32(mask));
    fetch_ahead::<BITS, GROUP, MIN>(tile, chunk);
    // SAFETY: one run of codes.
    let w = unsafe { unpack_512::<BITS, TABLED>(codes.as_ptr()) };
    let mut v = [_mm512_setzero_ps(); CHUNK];
    for g in 0..groups {
        let at = g * count / groups;
        let (d, min);
        // SAFETY: 16 numbers each of the `count` that the slice holds.
        unsafe {
            d = _mm512_cvtph_ps(_mm256_loadu_si256(scales.as_ptr().add(at).cast()));
            min = if MIN {
                let min = _mm512_cvtph_ps(_mm256_loadu_si256(scales.as_ptr().add(at + LANES).cast()));
                _mm512_fnmadd_ps(d, _mm512_set1_ps(base), min)
            } else {
                _mm512_mul_ps(d, _mm512_set1_ps(-(base + zero)))
            };
        }
        for quad in g * GROUP / 4..(g + 1) * GROUP / 4 {
            let w = w[quad];
            let bits = if wide {
                [
                    _mm512_slli_epi32::<15>(w),
                    _mm512_slli_epi32::<7>(w),
                    _mm512_srli_epi32::<1>(w),
                    _mm512_srli_epi32::<9>(w),
                ]
            } else {
                [_mm512_slli_epi32::<16>(w), _mm512_slli_epi32::<8>(w), w, _mm512_srli_epi32::<8>(w)]
            };
            for i in 0..4 {
                // magic | (bits & mask)
                let code = _mm512_ternarylogic_epi32::<0xF8>(magic, bits[i], mask);
                v[4 * quad + i] = _mm512_fmadd_ps(d, _mm512_castsi512_ps(code), min);
            }
        }
    }
    v
}

/// # Safety
/// The processor has AVX-512 F, BW, VL, VNNI and BF16; the tile has this format.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
unsafe fn forward<const BITS: usize, const GROUP: usize, const MIN: bool, const TABLED: bool>(
    tile: &Tile<'_>,
    chunk: usize,
    zero: f32,
    out: &mut [u16],
    to: usize,
) {
    let out: &mut [u16; TILE] = out[to..].first_chunk_mut().expect("room for a tile");
    let v = floats::<BITS, GROUP, MIN, TABLED>(tile, chunk, zero);
    for pair in 0..SIDE {
        let row = pairs(v[2 * pair], v[2 * pair + 1]);
        // SAFETY: a pair takes 32 halves of 512.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(pair * 2 * SIDE).cast(), row) };
    }
}

/// # Safety
/// As [`forward`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
unsafe fn transposed<const BITS: usize, const GROUP: usize, const MIN: bool, const TABLED: bool>(
    tile: &Tile<'_>,
    chunk: usize,
    zero: f32,
    out: &mut [u16],
    to: usize,
) {
    let gap = out.len() / 2;
    let v = floats::<BITS, GROUP, MIN, TABLED>(tile, chunk, zero);
    for half in 0..2 {
        let out: &mut [u16; TILE / 2] =
            out[to + half * gap..].first_chunk_mut().expect("room for half a tile");
        // Weights j and j + 8 of all outputs: in each half of a register, 8 pairs of outputs.
        let mut r = [_mm512_setzero_si512(); 8];
        for j in 0..8 {
            let both = _mm512_cvtne2ps_pbh(v[16 * half + j + 8], v[16 * half + j]);
            // SAFETY: two names of 512 bits.
            r[j] = unsafe { std::mem::transmute::<__m512bh, __m512i>(both) };
        }
        // An 8 × 8 transposition of pairs in each half.
        let (mut low, mut high) = ([r[0]; 4], [r[0]; 4]);
        for i in 0..4 {
            low[i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            high[i] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        let first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
        let second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
        macro_rules! put {
            ($pair:expr, $row:expr) => {
                // SAFETY: the pair is below 8 and takes 32 halves of 256.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add($pair * 2 * SIDE).cast(), $row) }
            };
        }
        for (i, part) in [low, high].into_iter().enumerate() {
            let even = (_mm512_unpacklo_epi64(part[0], part[1]), _mm512_unpacklo_epi64(part[2], part[3]));
            let odd = (_mm512_unpackhi_epi64(part[0], part[1]), _mm512_unpackhi_epi64(part[2], part[3]));
            put!(2 * i, _mm512_permutex2var_epi64(even.0, first, even.1));
            put!(2 * i + 1, _mm512_permutex2var_epi64(odd.0, first, odd.1));
            put!(2 * i + 4, _mm512_permutex2var_epi64(even.0, second, even.1));
            put!(2 * i + 5, _mm512_permutex2var_epi64(odd.0, second, odd.1));
        }
    }
}
