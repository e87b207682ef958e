//! GGML's IQ1, IQ2 and IQ3 block types: 256 weights that choose vectors of 4 or 8 from a codebook.
//!
//! Signs, shifts and the vectors' numbers fit into 8 bits together, so these blocks are read as 8-bit codes with a scale for 16 or 32 weights, exactly.
//! The layouts are ggml's `block_iq*` structures; the codebooks are `data/iq-codebooks.bin` (see `data/NOTICE`).

use half::f16;

use super::blocks::Block;

/// Weights of a block.
const BLOCK: usize = 256;
/// Code that stands for 0.
const ZERO: u8 = 128;

static CODEBOOKS: &[u8; 33_792] = include_bytes!("../../../data/iq-codebooks.bin");

/// Where a codebook begins, and how long its vectors are.
fn codebook(block: Block) -> (usize, usize) {
    match block {
        Block::Iq2Xxs => (0, 8),
        Block::Iq2Xs => (2048, 8),
        Block::Iq2S => (6144, 8),
        Block::Iq3Xxs => (14_336, 4),
        Block::Iq3S => (15_360, 4),
        _ => (17_408, 8),
    }
}

/// Vector `index` of a block type's codebook.
fn vector(block: Block, index: usize) -> &'static [u8] {
    let (start, len) = codebook(block);
    &CODEBOOKS[start + index * len..][..len]
}

/// Eight signs of which seven are kept: the number of minus signs is even.
fn signs(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | ((seven.count_ones() & 1) as u8) << 7
}

/// Writes eight numbers (one vector of eight or two of four), bit i of `signs` saying that number i is negative.
fn put(out: &mut [u8], numbers: impl Iterator<Item = u8>, signs: u8) {
    for (i, (out, v)) in out.iter_mut().zip(numbers).enumerate() {
        *out = if signs >> i & 1 == 1 { ZERO.wrapping_sub(v) } else { ZERO.wrapping_add(v) };
    }
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Codes of one block.
pub fn codes(block: Block, b: &[u8], out: &mut [u8]) {
    for (i, out) in out.chunks_exact_mut(8).take(BLOCK / 8).enumerate() {
        // Run of 32 weights, and which eight of it.
        let (run, part) = (i / 4, i % 4);
        let pair = |low: usize, high: usize| vector(block, low).iter().chain(vector(block, high)).copied();
        match block {
            Block::Iq2Xxs => {
                let index = b[2 + 8 * run + part];
                let packed = u32_at(b, 2 + 8 * run + 4);
                put(out, vector(block, index.into()).iter().copied(), signs(packed >> (7 * part)));
            }
            Block::Iq2Xs => {
                let q = u16_at(b, 2 + 2 * i);
                put(out, vector(block, usize::from(q & 511)).iter().copied(), signs(u32::from(q >> 9)));
            }
            Block::Iq2S => {
                let high = usize::from(b[66 + run] >> (2 * part) & 3);
                put(out, vector(block, usize::from(b[2 + i]) | high << 8).iter().copied(), b[34 + i]);
            }
            Block::Iq3Xxs => {
                let packed = u32_at(b, 66 + 4 * run);
                let (low, high) = (b[2 + 2 * i], b[3 + 2 * i]);
                put(out, pair(low.into(), high.into()), signs(packed >> (7 * part)));
            }
            Block::Iq3S => {
                let bit = |j: usize| usize::from(b[66 + run] >> (2 * part + j) & 1) << 8;
                let (low, high) = (usize::from(b[2 + 2 * i]) | bit(0), usize::from(b[3 + 2 * i]) | bit(1));
                put(out, pair(low, high), b[74 + i]);
            }
            // Eighths: −1, 0 or 1, an eighth up or down.
            _ => {
                let (index, down) = if block == Block::Iq1S {
                    let h = u16_at(b, 34 + 2 * run);
                    (usize::from(h >> (3 * part) & 7), h >> 15 == 1)
                } else {
                    let h = b[32 + i / 2] >> (4 * (i % 2));
                    (usize::from(h & 7), h >> 3 & 1 == 1)
                };
                let low = if block == Block::Iq1S { b[2 + i] } else { b[i] };
                let shift = if down { ZERO - 1 } else { ZERO + 1 };
                let numbers = vector(block, usize::from(low) | index << 8);
                out.iter_mut().zip(numbers).for_each(|(o, v)| *o = shift.wrapping_add(v.wrapping_mul(8)));
            }
        }
    }
}

/// Scales of one block's groups.
pub fn scales(block: Block, b: &[u8], scales: &mut [f32]) {
    let d = f16::from_bits(u16_at(b, 0)).to_f32();
    let four = |at: usize, g: usize| f32::from(b[at + g / 2] >> (4 * (g % 2)) & 15);
    for (g, scale) in scales.iter_mut().enumerate() {
        *scale = match block {
            Block::Iq2Xxs => d * (0.5 + (u32_at(b, 2 + 8 * g + 4) >> 28) as f32) * 0.25,
            Block::Iq2Xs => d * (0.5 + four(66, g)) * 0.25,
            Block::Iq2S => d * (0.5 + four(74, g)) * 0.25,
            Block::Iq3Xxs => d * (0.5 + (u32_at(b, 66 + 4 * g) >> 28) as f32) * 0.5,
            Block::Iq3S => d * (1.0 + 2.0 * four(106, g)),
            Block::Iq1S => d * f32::from(2 * (u16_at(b, 34 + 2 * g) >> 12 & 7) + 1) / 8.0,
            // The scale of the whole block lies in the high bits of the four words of scales.
            _ => {
                let word = |i: usize| u16_at(b, 48 + 2 * i);
                let bits = word(0) >> 12 | word(1) >> 8 & 0xF0 | word(2) >> 4 & 0xF00 | word(3) & 0xF000;
                let s = word(g / 4) >> (3 * (g % 4)) & 7;
                f16::from_bits(bits).to_f32() * f32::from(2 * s + 1) / 8.0
            }
        };
    }
}
