//! GGML block types: how many elements a block holds and how many bytes it takes.

use candle_core::quantized::GgmlDType;

/// A tensor's storage type, as numbered by the GGUF specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GgmlType {
    Known(GgmlDType),
    /// A type that the specification names and this version cannot read.
    Unsupported(u32),
}

impl GgmlType {
    pub fn from_u32(id: u32) -> Option<Self> {
        use GgmlDType::*;
        Some(GgmlType::Known(match id {
            0 => F32,
            1 => F16,
            2 => Q4_0,
            3 => Q4_1,
            6 => Q5_0,
            7 => Q5_1,
            8 => Q8_0,
            10 => Q2K,
            11 => Q3K,
            12 => Q4K,
            13 => Q5K,
            14 => Q6K,
            30 => BF16,
            // 4, 5 were removed from the specification; 31–33, 36–38 too
            9 | 15..=29 | 34 | 35 | 39 => return Some(GgmlType::Unsupported(id)),
            _ => return None,
        }))
    }

    pub fn name(self) -> String {
        match self {
            GgmlType::Known(t) => format!("{t:?}").replace('K', "_K"),
            GgmlType::Unsupported(id) => {
                let name = match id {
                    9 => "Q8_1",
                    15 => "Q8_K",
                    16 => "IQ2_XXS",
                    17 => "IQ2_XS",
                    18 => "IQ3_XXS",
                    19 => "IQ1_S",
                    20 => "IQ4_NL",
                    21 => "IQ3_S",
                    22 => "IQ2_S",
                    23 => "IQ4_XS",
                    29 => "IQ1_M",
                    34 => "TQ1_0",
                    35 => "TQ2_0",
                    39 => "MXFP4",
                    _ => return format!("type {id}"),
                };
                name.to_string()
            }
        }
    }

    /// (elements, bytes) of one block; `None` where the type cannot be read.
    pub fn block(self) -> Option<(usize, usize)> {
        match self {
            GgmlType::Known(t) => Some((t.block_size(), t.type_size())),
            GgmlType::Unsupported(_) => None,
        }
    }
}
