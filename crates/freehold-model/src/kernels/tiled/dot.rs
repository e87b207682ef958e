//! The inner loop of a quantised product, one tile of 16 outputs by `R` rows, in plain Rust. The vector versions in `x86.rs` and
//! `neon.rs` give the same bits: sums inside a group are integers, and groups are added in the same order with the same roundings.

use half::f16;

use super::blocks::TABLE;
use super::rows::{CHUNK, Rows};

/// Outputs in a tile.
pub const LANES: usize = 16;
/// Bytes of 4 codes of every lane.
pub const QUAD: usize = 4 * LANES;

/// One tile's weights. Per 32 weights of each lane: `codes` has `8 · bits` · 8 bytes, `scales` 16 half-precision numbers for every group
/// and, where the format has minima, 16 more after each.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    pub codes: &'a [u8],
    pub scales: &'a [u16],
    /// Runs of 32 weights.
    pub chunks: usize,
}

/// Bytes of one run of 32 codes of every lane.
pub const fn code_bytes(bits: usize) -> usize {
    LANES * CHUNK * bits / 8
}

/// Half-precision numbers of one run of 32 weights of every lane.
pub const fn scale_count(group: usize, min: bool) -> usize {
    LANES * (CHUNK / group) * if min { 2 } else { 1 }
}

/// Everything that a vector loop reads, checked once.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn check<const BITS: usize, const GROUP: usize, const MIN: bool, const R: usize>(
    tile: &Tile<'_>,
    rows: &Rows,
    first: usize,
) {
    let (chunks, end) = (tile.chunks, first + R);
    assert!(
        rows.k == chunks * CHUNK && rows.codes.len() >= end * rows.k && rows.scales.len() >= end * chunks
    );
    assert!(rows.extra.len() >= end * chunks * (CHUNK / GROUP));
    assert!(
        tile.codes.len() >= chunks * code_bytes(BITS)
            && tile.scales.len() >= chunks * scale_count(GROUP, MIN)
    );
}

/// Codes of one run: `[8][16 lanes][4]`.
///
/// 4 bits: byte b of quad j has the codes of quads j (low) and j + 4 (high). 5 bits: 64 more bytes, whose bit j belongs to quad j.
/// 6 bits: 128 more bytes, 64 for the quads 0–3 and 64 for 4–7, two bits each. 8 bits: as they are.
pub fn unpack<const BITS: usize, const TABLED: bool>(codes: &[u8], out: &mut [u8]) {
    for quad in 0..8 {
        for i in 0..QUAD {
            let mut code = if BITS == 8 {
                codes[quad * QUAD + i]
            } else {
                codes[(quad % 4) * QUAD + i] >> (4 * (quad / 4)) & 15
            };
            if BITS == 5 {
                code |= (codes[4 * QUAD + i] >> quad & 1) << 4;
            }
            if BITS == 6 {
                code |= (codes[(4 + quad / 4) * QUAD + i] >> (2 * (quad % 4)) & 3) << 4;
            }
            out[quad * QUAD + i] = if TABLED { TABLE[usize::from(code & 15)] } else { code };
        }
    }
}

/// The inverse of [`unpack`] without a table; `out` starts as zeros.
pub fn pack(bits: usize, codes: &[u8], out: &mut [u8]) {
    for quad in 0..8 {
        for i in 0..QUAD {
            let code = codes[quad * QUAD + i];
            if bits == 8 {
                out[quad * QUAD + i] = code;
                continue;
            }
            out[(quad % 4) * QUAD + i] |= (code & 15) << (4 * (quad / 4));
            if bits == 5 {
                out[4 * QUAD + i] |= (code >> 4 & 1) << quad;
            }
            if bits == 6 {
                out[(4 + quad / 4) * QUAD + i] |= (code >> 4 & 3) << (2 * (quad % 4));
            }
        }
    }
}

/// `out[r] = Σ weights · activations` for the rows `first..first + R`.
pub fn plain<const BITS: usize, const GROUP: usize, const MIN: bool, const TABLED: bool, const R: usize>(
    out: &mut [[f32; LANES]; R],
    tile: Tile<'_>,
    rows: &Rows,
    first: usize,
) {
    let mut sums = [[0f32; LANES]; R];
    let mut w = [0u8; 8 * QUAD];
    let groups = CHUNK / GROUP;
    for c in 0..tile.chunks {
        unpack::<BITS, TABLED>(&tile.codes[c * code_bytes(BITS)..][..code_bytes(BITS)], &mut w);
        let scales = &tile.scales[c * scale_count(GROUP, MIN)..][..scale_count(GROUP, MIN)];
        for (r, sums) in sums.iter_mut().enumerate() {
            let row = first + r;
            let x = &rows.codes[row * rows.k + c * CHUNK..][..CHUNK];
            let scale = rows.scales[row * tile.chunks + c];
            for g in 0..groups {
                let extra = rows.extra[(row * tile.chunks + c) * groups + g];
                let scales = &scales[g * scales.len() / groups..];
                for lane in 0..LANES {
                    let mut sum = if MIN { 0 } else { extra };
                    for k in g * GROUP..(g + 1) * GROUP {
                        let code = w[k / 4 * QUAD + lane * 4 + k % 4];
                        sum = sum.wrapping_add(i32::from(code) * i32::from(x[k]));
                    }
                    let d = f16::from_bits(scales[lane]).to_f32();
                    sums[lane] = (sum as f32).mul_add(d * scale, sums[lane]);
                    if MIN {
                        let min = f16::from_bits(scales[LANES + lane]).to_f32();
                        sums[lane] = min.mul_add(f32::from_bits(extra as u32), sums[lane]);
                    }
                }
            }
        }
    }
    *out = sums;
}
