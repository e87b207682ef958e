//! GGML's quantised blocks, read as unsigned codes with a scale (and a minimum) per group of weights.
//!
//! Every block type in use is `weight = scale · (code − zero)` or `weight = scale · code + minimum` over groups of 16 or 32 weights
//! of one row; what differs is how the bits are laid out. The layouts are those of the GGUF specification and ggml's `block_*` structures.

use half::f16;

use super::codebooks;

/// A block type that can be read as groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    Iq1S,
    Iq1M,
    Iq2Xxs,
    Iq2Xs,
    Iq2S,
    Iq3Xxs,
    Iq3S,
}

/// The 16 values that the codes of IQ4_NL and IQ4_XS stand for, plus 128.
pub const TABLE: [u8; 16] = [1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241];

/// How a block type's weights come out of their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Bits of a code as it is kept: 4, 5, 6 or 8.
    pub bits: usize,
    /// Weights that share a scale: 16 or 32.
    pub group: usize,
    /// A minimum is added; otherwise `zero` is taken off the code.
    pub min: bool,
    pub zero: i32,
    /// Codes are looked up in [`TABLE`].
    pub table: bool,
}

/// The numbers of the block types in the GGUF specification.
const NUMBERS: [(u32, Block); 19] = [
    (2, Block::Q4_0),
    (3, Block::Q4_1),
    (6, Block::Q5_0),
    (7, Block::Q5_1),
    (8, Block::Q8_0),
    (10, Block::Q2K),
    (11, Block::Q3K),
    (12, Block::Q4K),
    (13, Block::Q5K),
    (14, Block::Q6K),
    (16, Block::Iq2Xxs),
    (17, Block::Iq2Xs),
    (18, Block::Iq3Xxs),
    (19, Block::Iq1S),
    (20, Block::Iq4Nl),
    (21, Block::Iq3S),
    (22, Block::Iq2S),
    (23, Block::Iq4Xs),
    (29, Block::Iq1M),
];

impl Block {
    pub fn from_ggml(id: u32) -> Option<Self> {
        NUMBERS.iter().find(|(n, _)| *n == id).map(|(_, block)| *block)
    }

    /// The type's number in the GGUF specification.
    pub fn ggml(self) -> u32 {
        NUMBERS.iter().find(|(_, b)| *b == self).map_or(u32::MAX, |(n, _)| *n)
    }

    pub fn format(self) -> Format {
        let (bits, group, min, zero, table) = match self {
            Block::Q4_0 => (4, 32, false, 8, false),
            Block::Q4_1 | Block::Q4K => (4, 32, true, 0, false),
            Block::Q5_0 => (5, 32, false, 16, false),
            Block::Q5_1 | Block::Q5K => (5, 32, true, 0, false),
            Block::Q8_0 => (8, 32, false, 128, false),
            Block::Q6K => (6, 16, false, 32, false),
            Block::Q3K => (4, 16, false, 4, false),
            Block::Q2K => (4, 16, true, 0, false),
            Block::Iq4Nl | Block::Iq4Xs => (4, 32, false, 128, true),
            Block::Iq1S | Block::Iq2Xxs | Block::Iq3Xxs | Block::Iq3S => (8, 32, false, 128, false),
            Block::Iq1M | Block::Iq2Xs | Block::Iq2S => (8, 16, false, 128, false),
        };
        Format { bits, group, min, zero, table }
    }

    /// (weights, bytes) of one block.
    pub fn size(self) -> (usize, usize) {
        match self {
            Block::Q4_0 | Block::Iq4Nl => (32, 18),
            Block::Q4_1 => (32, 20),
            Block::Q5_0 => (32, 22),
            Block::Q5_1 => (32, 24),
            Block::Q8_0 => (32, 34),
            Block::Q2K => (256, 84),
            Block::Q3K => (256, 110),
            Block::Q4K => (256, 144),
            Block::Q5K => (256, 176),
            Block::Q6K => (256, 210),
            Block::Iq4Xs => (256, 136),
            Block::Iq1S => (256, 50),
            Block::Iq1M => (256, 56),
            Block::Iq2Xxs => (256, 66),
            Block::Iq2Xs => (256, 74),
            Block::Iq2S => (256, 82),
            Block::Iq3Xxs => (256, 98),
            Block::Iq3S => (256, 110),
        }
    }

    /// True when the file's own scales are kept as they are; otherwise a group's scale is the product of two numbers, rounded to half precision.
    pub fn exact(self) -> bool {
        self.size().0 == 32
    }

    /// Codes of one row.
    pub fn codes(self, row: &[u8], codes: &mut [u8]) {
        let (weights, bytes) = self.size();
        for (block, codes) in row.chunks_exact(bytes).zip(codes.chunks_exact_mut(weights)) {
            self.block_codes(block, codes);
        }
    }

    /// Scales and minima of one row's groups; `mins` is left alone where the format has none.
    pub fn scales(self, row: &[u8], scales: &mut [f32], mins: &mut [f32]) {
        let (weights, bytes) = self.size();
        let groups = weights / self.format().group;
        for ((block, scales), mins) in
            row.chunks_exact(bytes).zip(scales.chunks_exact_mut(groups)).zip(mins.chunks_exact_mut(groups))
        {
            self.block_scales(block, scales, mins);
        }
    }

    fn block_codes(self, b: &[u8], out: &mut [u8]) {
        match self {
            Block::Q4_0 | Block::Iq4Nl => nibbles(&b[2..18], out),
            Block::Q4_1 => nibbles(&b[4..20], out),
            Block::Q5_0 | Block::Q5_1 => {
                let at = if self == Block::Q5_0 { 2 } else { 4 };
                let high = u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
                nibbles(&b[at + 4..at + 20], out);
                for (i, v) in out.iter_mut().enumerate() {
                    *v |= ((high >> i & 1) as u8) << 4;
                }
            }
            Block::Q8_0 => out.iter_mut().zip(&b[2..34]).for_each(|(o, v)| *o = v ^ 0x80),
            Block::Q4K | Block::Q5K => {
                let (high, low) =
                    if self == Block::Q5K { (&b[16..48], &b[48..176]) } else { (&b[..0], &b[16..144]) };
                for (pair, low) in low.chunks_exact(32).enumerate() {
                    for (l, v) in low.iter().enumerate() {
                        let bit = |n: usize| high.get(l).map_or(0, |h| (h >> n & 1) << 4);
                        out[64 * pair + l] = v & 15 | bit(2 * pair);
                        out[64 * pair + 32 + l] = v >> 4 | bit(2 * pair + 1);
                    }
                }
            }
            Block::Q6K => {
                for half in 0..2 {
                    let (low, high) = (&b[64 * half..][..64], &b[128 + 32 * half..][..32]);
                    let out = &mut out[128 * half..][..128];
                    for l in 0..32 {
                        let two = |n: usize| (high[l] >> (2 * n) & 3) << 4;
                        out[l] = low[l] & 15 | two(0);
                        out[l + 32] = low[l + 32] & 15 | two(1);
                        out[l + 64] = low[l] >> 4 | two(2);
                        out[l + 96] = low[l + 32] >> 4 | two(3);
                    }
                }
            }
            Block::Q3K | Block::Q2K => {
                let low = if self == Block::Q3K { &b[32..96] } else { &b[16..80] };
                for (i, out) in out.iter_mut().enumerate() {
                    let (half, pair, l) = (i / 128, i % 128 / 32, i % 32);
                    *out = low[32 * half + l] >> (2 * pair) & 3;
                    if self == Block::Q3K {
                        *out |= (b[l] >> (4 * half + pair) & 1) << 2;
                    }
                }
            }
            Block::Iq4Xs => {
                for (low, out) in b[8..136].chunks_exact(16).zip(out.chunks_exact_mut(32)) {
                    nibbles(low, out);
                }
            }
            _ => codebooks::codes(self, b, out),
        }
    }

    fn block_scales(self, b: &[u8], scales: &mut [f32], mins: &mut [f32]) {
        let half = |at: usize| f16::from_le_bytes([b[at], b[at + 1]]).to_f32();
        match self {
            Block::Q4_0 | Block::Q5_0 | Block::Q8_0 | Block::Iq4Nl => scales[0] = half(0),
            Block::Q4_1 | Block::Q5_1 => (scales[0], mins[0]) = (half(0), half(2)),
            Block::Q4K | Block::Q5K => {
                let (d, dmin, s) = (half(0), half(2), &b[4..16]);
                for j in 0..8 {
                    let (scale, min) = if j < 4 {
                        (s[j] & 63, s[j + 4] & 63)
                    } else {
                        (s[j + 4] & 15 | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4)
                    };
                    (scales[j], mins[j]) = (d * f32::from(scale), -dmin * f32::from(min));
                }
            }
            Block::Q6K => {
                let d = half(208);
                for (o, s) in scales.iter_mut().zip(&b[192..208]) {
                    *o = d * f32::from(*s as i8);
                }
            }
            Block::Q3K => {
                let (d, s) = (half(108), &b[96..108]);
                for (j, o) in scales.iter_mut().enumerate() {
                    let low = s[j % 8] >> (4 * (j / 8)) & 15;
                    let high = s[8 + j % 4] >> (2 * (j / 4)) & 3;
                    *o = d * (f32::from(low | high << 4) - 32.0);
                }
            }
            Block::Q2K => {
                let (d, dmin) = (half(80), half(82));
                for j in 0..16 {
                    (scales[j], mins[j]) = (d * f32::from(b[j] & 15), -dmin * f32::from(b[j] >> 4));
                }
            }
            Block::Iq4Xs => {
                let (d, high) = (half(0), u16::from_le_bytes([b[2], b[3]]));
                for (j, o) in scales.iter_mut().enumerate() {
                    let low = b[4 + j / 2] >> (4 * (j % 2)) & 15;
                    *o = d * (f32::from(low | ((high >> (2 * j) & 3) as u8) << 4) - 32.0);
                }
            }
            _ => codebooks::scales(self, b, scales),
        }
    }
}

/// 16 bytes: the low halves are the first 16 codes, the high halves the other 16.
fn nibbles(bytes: &[u8], out: &mut [u8]) {
    for (i, b) in bytes.iter().enumerate() {
        out[i] = b & 15;
        out[i + 16] = b >> 4;
    }
}
