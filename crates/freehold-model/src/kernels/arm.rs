//! The packed products' inner tile with NEON; as [`super::x86`].

#![allow(unsafe_code)]
#![allow(clippy::needless_range_loop)]

use std::arch::aarch64::*;

use super::weight::BLOCK;

/// `out[i][..32] += Σ_k x[i][k] · w[k][..32]`
#[inline]
#[target_feature(enable = "neon")]
pub fn forward_neon<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
    let depth = w.len() / BLOCK;
    assert!(x.iter().all(|x| x.len() >= depth) && out.iter().all(|o| o.len() >= BLOCK));
    // SAFETY: all indices are below the lengths asserted above.
    unsafe {
        let mut acc = [[vdupq_n_f32(0.0); 8]; R];
        let mut w = w.as_ptr();
        for k in 0..depth {
            for j in 0..8 {
                let wv = vld1q_f32(w.add(4 * j));
                for i in 0..R {
                    acc[i][j] = vfmaq_n_f32(acc[i][j], wv, *x[i].as_ptr().add(k));
                }
            }
            w = w.add(BLOCK);
        }
        for i in 0..R {
            let o = out[i].as_mut_ptr();
            for j in 0..8 {
                vst1q_f32(o.add(4 * j), vaddq_f32(vld1q_f32(o.add(4 * j)), acc[i][j]));
            }
        }
    }
}
