//! The packed products' inner tiles with AVX2 and AVX-512. Same contracts as the portable tiles in [`super::weight`]; every tile is
//! tested against the plain loops there.
//!
//! Why unsafe: vector loads go through raw pointers, and functions compiled for an instruction set may only run where it exists.
//! Callers guarantee the latter; each tile asserts the slice lengths that its pointers need.

#![allow(unsafe_code)]
// Index loops over register tiles are what unrolls.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::weight::BLOCK;

/// `out[i][..32] += Σ_k x[i][k] · w[k][..32]`
#[inline]
#[target_feature(enable = "avx512f,avx512vl,fma")]
pub fn forward_avx512<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
    let depth = w.len() / BLOCK;
    assert!(x.iter().all(|x| x.len() >= depth) && out.iter().all(|o| o.len() >= BLOCK));
    // SAFETY: all indices are below the lengths asserted above.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); 2]; R];
        let mut w = w.as_ptr();
        for k in 0..depth {
            let (w0, w1) = (_mm512_loadu_ps(w), _mm512_loadu_ps(w.add(16)));
            for i in 0..R {
                let v = _mm512_set1_ps(*x[i].as_ptr().add(k));
                acc[i][0] = _mm512_fmadd_ps(v, w0, acc[i][0]);
                acc[i][1] = _mm512_fmadd_ps(v, w1, acc[i][1]);
            }
            w = w.add(BLOCK);
        }
        for i in 0..R {
            let o = out[i].as_mut_ptr();
            _mm512_storeu_ps(o, _mm512_add_ps(_mm512_loadu_ps(o), acc[i][0]));
            _mm512_storeu_ps(o.add(16), _mm512_add_ps(_mm512_loadu_ps(o.add(16)), acc[i][1]));
        }
    }
}

/// As [`forward_avx512`].
#[inline]
#[target_feature(enable = "avx2,fma")]
pub fn forward_avx2<const R: usize>(out: &mut [&mut [f32]; R], x: &[&[f32]; R], w: &[f32]) {
    let depth = w.len() / BLOCK;
    assert!(x.iter().all(|x| x.len() >= depth) && out.iter().all(|o| o.len() >= BLOCK));
    // SAFETY: all indices are below the lengths asserted above.
    unsafe {
        let mut acc = [[_mm256_setzero_ps(); 4]; R];
        let mut w = w.as_ptr();
        for k in 0..depth {
            let wv = [
                _mm256_loadu_ps(w),
                _mm256_loadu_ps(w.add(8)),
                _mm256_loadu_ps(w.add(16)),
                _mm256_loadu_ps(w.add(24)),
            ];
            for i in 0..R {
                let v = _mm256_set1_ps(*x[i].as_ptr().add(k));
                for j in 0..4 {
                    acc[i][j] = _mm256_fmadd_ps(v, wv[j], acc[i][j]);
                }
            }
            w = w.add(BLOCK);
        }
        for i in 0..R {
            let o = out[i].as_mut_ptr();
            for j in 0..4 {
                _mm256_storeu_ps(o.add(8 * j), _mm256_add_ps(_mm256_loadu_ps(o.add(8 * j)), acc[i][j]));
            }
        }
    }
}
