//! GGML storage types: how many elements a block holds and how many bytes it takes.

use crate::kernels::tiled::Block;

/// A tensor's storage type, as numbered by the GGUF specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgmlType {
    F32,
    F16,
    BF16,
    Quantized(Block),
    /// A type that the specification names and this version cannot read.
    Unsupported(u32),
}

/// Number and name of every type that the specification names. 4, 5, 31–33 and 36–38 were removed from it.
const NAMES: [(u32, &str); 32] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (8, "Q8_0"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (14, "Q6_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (30, "BF16"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

impl GgmlType {
    pub fn from_u32(id: u32) -> Option<Self> {
        Some(match id {
            0 => GgmlType::F32,
            1 => GgmlType::F16,
            30 => GgmlType::BF16,
            _ => match Block::from_ggml(id) {
                Some(block) => GgmlType::Quantized(block),
                None if NAMES.iter().any(|(n, _)| *n == id) => GgmlType::Unsupported(id),
                None => return None,
            },
        })
    }

    fn id(self) -> u32 {
        match self {
            GgmlType::F32 => 0,
            GgmlType::F16 => 1,
            GgmlType::BF16 => 30,
            GgmlType::Quantized(block) => block.ggml(),
            GgmlType::Unsupported(id) => id,
        }
    }

    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(id, _)| *id == self.id()).map_or("unknown", |(_, name)| name)
    }

    /// (elements, bytes) of one block; `None` where the type cannot be read.
    pub fn block(self) -> Option<(usize, usize)> {
        match self {
            GgmlType::F32 => Some((1, 4)),
            GgmlType::F16 | GgmlType::BF16 => Some((1, 2)),
            GgmlType::Quantized(block) => Some(block.size()),
            GgmlType::Unsupported(_) => None,
        }
    }
}
