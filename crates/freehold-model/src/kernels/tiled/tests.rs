//! Every block type against candle's reading of the same bytes, every instruction set against the plain loops.

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device};
use proptest::prelude::*;

use super::super::target::available;
use super::*;

const TYPES: [(Block, Option<GgmlDType>); 19] = [
    (Block::Q4_0, Some(GgmlDType::Q4_0)),
    (Block::Q4_1, Some(GgmlDType::Q4_1)),
    (Block::Q5_0, Some(GgmlDType::Q5_0)),
    (Block::Q5_1, Some(GgmlDType::Q5_1)),
    (Block::Q8_0, Some(GgmlDType::Q8_0)),
    (Block::Q2K, Some(GgmlDType::Q2K)),
    (Block::Q3K, Some(GgmlDType::Q3K)),
    (Block::Q4K, Some(GgmlDType::Q4K)),
    (Block::Q5K, Some(GgmlDType::Q5K)),
    (Block::Q6K, Some(GgmlDType::Q6K)),
    (Block::Iq4Nl, None),
    (Block::Iq4Xs, None),
    (Block::Iq1S, None),
    (Block::Iq1M, None),
    (Block::Iq2Xxs, None),
    (Block::Iq2Xs, None),
    (Block::Iq2S, None),
    (Block::Iq3Xxs, None),
    (Block::Iq3S, None),
];

/// Random blocks with sensible scales.
fn blocks(block: Block, count: usize, seed: u64) -> Vec<u8> {
    let (_, size) = block.size();
    let mut state = seed | 1;
    let mut bytes: Vec<u8> = (0..count * size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect();
    for (i, b) in bytes.chunks_exact_mut(size).enumerate() {
        let scale = f16::from_f32(0.002 + 0.001 * (i % 7) as f32).to_le_bytes();
        let places: &[usize] = match block {
            Block::Q4_1 | Block::Q5_1 | Block::Q4K | Block::Q5K => &[0, 2],
            Block::Q2K => &[80, 82],
            Block::Q3K => &[108],
            Block::Q6K => &[208],
            _ => &[0],
        };
        if block == Block::Iq1M {
            // Four bits of it in each word of scales.
            let bits = u16::from_le_bytes(scale);
            (0..4).for_each(|i| b[49 + 2 * i] = b[49 + 2 * i] & 15 | ((bits >> (4 * i) & 15) << 4) as u8);
            continue;
        }
        places.iter().for_each(|&at| b[at..at + 2].copy_from_slice(&scale));
    }
    bytes
}

fn one(w: &Tiled, x: &[f32], m: usize, target: Target) -> Vec<f32> {
    forward_on(&[w], x, m, target).remove(0)
}

fn weights(t: &Tiled) -> Vec<f32> {
    (0..t.rows).flat_map(|r| t.row(r)).collect()
}

#[test]
fn every_block_type_is_read_as_candle_reads_it() {
    for (block, candle) in TYPES {
        let Some(ty) = candle else { continue };
        let (rows, cols) = (19, 512);
        let bytes = blocks(block, rows * cols / block.size().0, 7);
        let tiled = Tiled::new(block, &bytes, rows, cols, &|r| r).unwrap();
        let want = qtensor_from_ggml(ty, &bytes, vec![rows * cols], &Device::Cpu).unwrap();
        let want: Vec<f32> =
            want.dequantize(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        let largest = want.iter().fold(0f32, |a, v| a.max(v.abs()));
        // Scales of the exact types are the file's own; the others are rounded to 11 bits.
        let bound = if block.exact() { 1e-6 } else { 1.0 / 1024.0 } * largest;
        for (i, (got, want)) in weights(&tiled).iter().zip(&want).enumerate() {
            assert!((got - want).abs() <= bound, "{block:?} weight {i}: {got}, not {want}");
        }
    }
}

/// Blocks of ggml's types that candle cannot read, with what the reference (`gguf` for Python) makes of them: `tests/interop/iq_blocks.py`.
#[test]
fn other_blocks_are_read_as_the_reference_reads_them() {
    let text = include_str!("../../../../../tests/fixtures/iq-blocks.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for (block, _) in TYPES.iter().filter(|t| t.1.is_none()) {
        let name = crate::gguf::GgmlType::Quantized(*block).name();
        let array = |key: &str| fixture[name][key].as_array().unwrap().clone();
        let bytes: Vec<u8> = array("bytes").iter().map(|v| v.as_u64().unwrap() as u8).collect();
        let want: Vec<f32> = array("values").iter().map(|v| v.as_f64().unwrap() as f32).collect();
        let tiled = Tiled::new(*block, &bytes, 2, want.len() / 2, &|r| r).unwrap();
        let largest = want.iter().fold(0f32, |a, v| a.max(v.abs()));
        for (i, (got, want)) in weights(&tiled).iter().zip(&want).enumerate() {
            assert!((got - want).abs() <= largest / 1024.0, "{name} {i}: {got}, not {want}");
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn a_panel_is_the_matrix_and_so_is_its_transposition() {
    let (rows, cols) = (50, 96);
    let tiled =
        Tiled::new(Block::Q5_0, &blocks(Block::Q5_0, rows * cols / 32, 3), rows, cols, &|r| r).unwrap();
    let w = weights(&tiled);
    let mut panel = vec![0.0; 64 * 32];
    tiled.panel(1, 32, &mut panel);
    let mut turned = vec![0.0; (rows - 16) * 32];
    tiled.transposed(16, 64, &mut turned);
    for row in 32..rows {
        for k in 0..64 {
            assert_eq!(panel[k * 32 + row - 32], w[row * cols + 32 + k]);
        }
        for k in 0..32 {
            assert_eq!(turned[(row - 16) * 32 + k], w[row * cols + 64 + k]);
        }
    }
    let swapped =
        Tiled::new(Block::Q5_0, &blocks(Block::Q5_0, rows * cols / 32, 3), rows, cols, &|r| rows - 1 - r);
    assert_eq!(swapped.unwrap().row(0), tiled.row(rows - 1));
}

#[test]
fn bad_blocks_are_refused() {
    let mut bytes = blocks(Block::Q8_0, 4, 1);
    assert!(Tiled::new(Block::Q8_0, &bytes[1..], 2, 64, &|r| r).is_err());
    bytes[..2].copy_from_slice(&f16::INFINITY.to_le_bytes());
    assert!(Tiled::new(Block::Q8_0, &bytes, 2, 64, &|r| r).err().unwrap().contains("not finite"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Near the exact product; the same bits on every instruction set and with every number of neighbours.
    #[test]
    fn products(kind in 0usize..19, m in 1usize..40, n in 1usize..70, blocks_in_row in 1usize..5, seed in 0u64..1000) {
        let (block, _) = TYPES[kind];
        let cols = block.size().0 * if block.size().0 == 32 { blocks_in_row * 2 - 1 } else { blocks_in_row.min(2) };
        let tiled = Tiled::new(block, &blocks(block, n * cols / block.size().0, seed), n, cols, &|r| r).unwrap();
        let w = weights(&tiled);
        let x: Vec<f32> = (0..m * cols).map(|i| ((i as u64 * 7919 + seed) % 199) as f32 / 99.0 - 1.0).collect();
        let first = one(&tiled, &x, m, Target::Portable);
        for t in available() {
            let all = one(&tiled, &x, m, t);
            prop_assert_eq!(&all, &first, "{:?}", t);
            for rows in [1, 3, 9, 17] {
                if rows <= m {
                    let some = one(&tiled, &x[(m - rows) * cols..], rows, t);
                    prop_assert_eq!(&some[..], &first[(m - rows) * n..], "{} rows of {} on {:?}", rows, m, t);
                }
            }
        }
        // A code is off by at most half of 1/127 of the largest activation (1 here), and the sum by all of them together.
        for i in 0..m {
            for j in 0..n {
                let pairs = x[i * cols..][..cols].iter().zip(&w[j * cols..][..cols]);
                let (mut want, mut size) = (0f64, 0f64);
                for (x, w) in pairs {
                    want += f64::from(*x) * f64::from(*w);
                    size += f64::from(w.abs());
                }
                let got = f64::from(first[i * n + j]);
                prop_assert!((got - want).abs() <= size * (0.5 / 127.0 + 1e-5) + 1e-6, "{:?} {} {}: {} not {}", block, i, j, got, want);
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Tiles of bfloat16, forwards and backwards: near the exact product, and the same bits with every number of neighbours. (Nothing to see
    /// on a processor without them.)
    #[test]
    #[allow(unsafe_code)]
    fn products_in_tiles(kind in 0usize..19, m in 1usize..70, n in 1usize..70, blocks_in_row in 1usize..6, deep in 0usize..2, seed in 0u64..1000) {
        use super::super::amx::{Factor, Rows, products};
        if !available().contains(&Target::Amx) {
            return Ok(());
        }
        // More than one round of depth, now and then.
        let (block, _) = TYPES[kind];
        let cols = block.size().0 * if block.size().0 == 32 { blocks_in_row * 2 - 1 } else { blocks_in_row } + 1280 * deep;
        let n = n + 1100 * (1 - deep) * (m % 2);
        let tiled = Tiled::new(block, &blocks(block, n * cols / block.size().0, seed), n, cols, &|r| r).unwrap();
        let w = weights(&tiled);
        let value = |i: usize| ((i as u64 * 7919 + seed) % 199) as f32 / 99.0 - 1.0;
        let (x, g): (Vec<f32>, Vec<f32>) = ((0..m * cols).map(value).collect(), (0..m * n).map(value).collect());
        // SAFETY: the target is available.
        let multiply = |x: &[f32], m, k, f: Factor<'_>| unsafe { products(&Rows::new(x, m, k), &[f]).remove(0) };
        let forward = |x: &[f32], m| multiply(x, m, cols, unsafe { tiled.panels() });
        let backward = |g: &[f32], m| multiply(g, m, n, unsafe { tiled.transposed_panels() });
        let (y, dx) = (forward(&x, m), backward(&g, m));
        for rows in [1, 3, 16, 17, 40] {
            if rows <= m {
                prop_assert_eq!(&forward(&x[(m - rows) * cols..], rows)[..], &y[(m - rows) * n..], "{} rows", rows);
                prop_assert_eq!(&backward(&g[(m - rows) * n..], rows)[..], &dx[(m - rows) * cols..], "{} rows back", rows);
            }
        }
        // Both factors are off by 2⁻⁸ of themselves at most.
        let near = |got: f32, pairs: &mut dyn Iterator<Item = (f32, f32)>| {
            let (mut want, mut size) = (0f64, 0f64);
            for (a, b) in pairs {
                want += f64::from(a) * f64::from(b);
                size += f64::from(a * b).abs();
            }
            ((f64::from(got) - want).abs() <= size * 1.01 / 128.0 + 1e-6).then_some(()).ok_or((got, want))
        };
        for i in 0..m {
            for j in 0..n {
                let pairs = &mut x[i * cols..].iter().copied().zip(w[j * cols..][..cols].iter().copied());
                prop_assert_eq!(near(y[i * n + j], pairs), Ok(()), "{:?} {} {}", block, i, j);
            }
            for k in 0..cols {
                let pairs = &mut (0..n).map(|j| (g[i * n + j], w[j * cols + k]));
                prop_assert_eq!(near(dx[i * cols + k], pairs), Ok(()), "{:?} back {} {}", block, i, k);
            }
        }
    }
}
