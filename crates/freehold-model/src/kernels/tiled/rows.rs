//! Activations as 8-bit codes: the other operand of the integer products.

use super::super::{pool, versions};
use super::blocks::Format;

/// Activations that share a scale.
pub const CHUNK: usize = 32;
/// Values that are worth a task of their own.
const PARALLEL_FROM: usize = 1 << 13;

/// `[m, k]` activations, each run of 32 as `scale · code`, −127 ≤ code ≤ 127.
pub struct Rows {
    pub k: usize,
    pub codes: Vec<i8>,
    /// `[m, k / 32]`
    pub scales: Vec<f32>,
    /// What a group of weights adds besides its product, `[m, k / group]`: where the format takes a zero off its codes, the
    /// integer −zero · Σ codes to start a sum with; where it adds a minimum, the bits of scale · Σ codes.
    pub extra: Vec<i32>,
}

impl Rows {
    /// Rounds to the nearest code, ties to even, on every target alike.
    pub fn new(x: &[f32], m: usize, k: usize, format: Format) -> Self {
        let groups = k / format.group;
        let mut rows =
            Self { k, codes: vec![0; m * k], scales: vec![0.0; m * (k / CHUNK)], extra: vec![0; m * groups] };
        struct Base<T>(*mut T);
        // SAFETY: every task writes other rows.
        #[allow(unsafe_code)]
        unsafe impl<T> Sync for Base<T> {}
        let (codes, scales, extra) =
            (Base(rows.codes.as_mut_ptr()), Base(rows.scales.as_mut_ptr()), Base(rows.extra.as_mut_ptr()));
        let (codes, scales, extra) = (&codes, &scales, &extra);
        let share = (PARALLEL_FROM / k).clamp(1, m.max(1));
        pool::each(m.div_ceil(share), |task| {
            for row in task * share..(task * share + share).min(m) {
                // SAFETY: row < m, so these lie inside the three buffers; no other task has this row.
                #[allow(unsafe_code)]
                let (codes, scales, extra) = unsafe {
                    (
                        std::slice::from_raw_parts_mut(codes.0.add(row * k), k),
                        std::slice::from_raw_parts_mut(scales.0.add(row * (k / CHUNK)), k / CHUNK),
                        std::slice::from_raw_parts_mut(extra.0.add(row * groups), groups),
                    )
                };
                quantize(&x[row * k..][..k], codes, scales);
                extras(codes, scales, extra, format);
            }
        });
        rows
    }
}

versions! {
    fn extras(codes: &[i8], scales: &[f32], extra: &mut [i32], format: Format) {
        for (g, extra) in extra.iter_mut().enumerate() {
            let sum: i32 = codes[g * format.group..][..format.group].iter().map(|&c| i32::from(c)).sum();
            *extra = if format.min {
                (scales[g * format.group / CHUNK] * sum as f32).to_bits() as i32
            } else {
                -format.zero * sum
            };
        }
    }
}

versions! {
fn quantize(x: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    // Adding 1.5·2²³ rounds to the nearest integer, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let (x, _) = x.as_chunks::<CHUNK>();
    let (codes, _) = codes.as_chunks_mut::<CHUNK>();
    for ((x, codes), scale) in x.iter().zip(codes).zip(scales) {
        let mut lanes = [0f32; 8];
        for part in x.as_chunks::<8>().0 {
            for i in 0..8 {
                lanes[i] = lanes[i].max(part[i].abs());
            }
        }
        let largest = lanes.iter().copied().fold(0.0, f32::max);
        // Activations that are not finite make every product they touch zero instead of nonsense from overflowing codes.
        let largest = if largest.is_finite() { largest } else { 0.0 };
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (c, v) in codes.iter_mut().zip(x) {
            *c = ((v * inverse + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i8;
        }
    }
}
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Block;
    use super::*;

    #[test]
    fn codes_are_near_what_they_stand_for() {
        let x: Vec<f32> = (0..128).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.03).collect();
        let rows = Rows::new(&x, 2, 64, Block::Q6K.format());
        for (i, x) in x.iter().enumerate() {
            let scale = rows.scales[i / CHUNK];
            assert!((f32::from(rows.codes[i]) * scale - x).abs() <= 0.501 * scale, "{i}");
        }
        let sum: i32 = rows.codes[16..32].iter().map(|&c| i32::from(c)).sum();
        assert_eq!(rows.extra[1], -32 * sum);
        let zeros = Rows::new(&[0.0; 32], 1, 32, Block::Q4K.format());
        assert!(zeros.codes.iter().all(|&c| c == 0) && zeros.extra == [0]);
    }
}
