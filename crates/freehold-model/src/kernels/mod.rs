//! The few inner loops that everything else stands on.

pub mod packed;
#[cfg(target_arch = "x86_64")]
mod x86;

use gemm::Parallelism;

/// Work below which a second thread costs more than it gives (multiply-adds).
const PARALLEL_FROM: usize = 1 << 17;

fn parallelism(m: usize, k: usize, n: usize) -> Parallelism {
    if m * k * n < PARALLEL_FROM { Parallelism::None } else { Parallelism::Rayon(0) }
}

/// A matrix product by the `gemm` crate: `out[m, n] = or += scale · a[m, k] · b[k, n]`, `out` row-major; `a` and `b` with the
/// strides (row, column) that are given.
fn product(
    out: &mut [f32],
    (a, a_strides): (&[f32], (usize, usize)),
    (b, b_strides): (&[f32], (usize, usize)),
    (m, k, n): (usize, usize, usize),
    scale: f32,
    add: bool,
) {
    assert!(
        out.len() >= m * n && a.len() >= m * k && b.len() >= k * n,
        "product: a slice is shorter than its shape"
    );
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the strides are those of dense matrices (see the callers), so the assertion covers every element that is reached; `out`
    // is exclusively borrowed.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.as_ptr(),
            a_strides.1 as isize,
            a_strides.0 as isize,
            b.as_ptr(),
            b_strides.1 as isize,
            b_strides.0 as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism(m, k, n),
        );
    }
}

/// `out[m, n] = or += scale · x[m, k] · w[n, k]ᵀ`, all row-major.
pub fn matmul_t(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    (m, k, n): (usize, usize, usize),
    scale: f32,
    add: bool,
) {
    product(out, (x, (k, 1)), (w, (1, k)), (m, k, n), scale, add);
}

/// `out[m, k] = or += scale · g[m, n] · w[n, k]`, all row-major.
pub fn matmul(
    out: &mut [f32],
    g: &[f32],
    w: &[f32],
    (m, n, k): (usize, usize, usize),
    scale: f32,
    add: bool,
) {
    product(out, (g, (n, 1)), (w, (k, 1)), (m, n, k), scale, add);
}

/// `out[n, k] = g[m, n]ᵀ · x[m, k]`, all row-major.
pub fn matmul_from_t(out: &mut [f32], g: &[f32], x: &[f32], (m, n, k): (usize, usize, usize)) {
    product(out, (g, (1, n)), (x, (k, 1)), (n, m, k), 1.0, false);
}

/// Dot product with eight running sums, which compilers turn into vector code on every target.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// `y += a · x`
pub fn axpy(y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// e^x with a relative error below 2·10⁻⁷ for −87 < x < 88 (Cephes' polynomial); 0 or a huge number outside. Unlike `f32::exp`
/// it has no call and no branch, so loops over it become vector code.
#[inline]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Rounding to the nearest integer by adding and subtracting 1.5·2²³.
    const ROUND: f32 = 12_582_912.0;
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = x - n * 0.693_359_4;
    let r = r - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    y * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// log Σ e^x, in one pass for the maximum and one for the sum.
pub fn log_sum_exp(x: &[f32]) -> f32 {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0f32; 8];
    let chunks = x.chunks_exact(8);
    let tail: f32 = chunks.remainder().iter().map(|&v| exp(v - max)).sum();
    for c in chunks {
        for i in 0..8 {
            sums[i] += exp(c[i] - max);
        }
    }
    max + (sums.iter().sum::<f32>() + tail).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got / want - 1.0).abs() < 3e-7, "exp({x}) = {got}, not {want}");
        }
    }

    #[test]
    fn products_equal_the_plain_loops() {
        let (m, k, n) = (3, 17, 5);
        let x: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.37).sin()).collect();
        let w: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.11).cos()).collect();
        let mut got = vec![0.0; m * n];
        matmul_t(&mut got, &x, &w, (m, k, n), 1.0, false);
        for i in 0..m {
            for j in 0..n {
                let want: f32 = (0..k).map(|l| x[i * k + l] * w[j * k + l]).sum();
                assert!((got[i * n + j] - want).abs() < 1e-4);
                assert!((dot(&x[i * k..][..k], &w[j * k..][..k]) - want).abs() < 1e-4);
            }
        }
        let mut back = vec![0.0; m * k];
        matmul(&mut back, &got, &w, (m, n, k), 1.0, false);
        let mut outer = vec![0.0; n * k];
        matmul_from_t(&mut outer, &got, &x, (m, n, k));
        for j in 0..n {
            for l in 0..k {
                let want: f32 = (0..m).map(|i| got[i * n + j] * x[i * k + l]).sum();
                assert!((outer[j * k + l] - want).abs() < 1e-3);
            }
        }
        for i in 0..m {
            for l in 0..k {
                let want: f32 = (0..n).map(|j| got[i * n + j] * w[j * k + l]).sum();
                assert!((back[i * k + l] - want).abs() < 1e-3);
            }
        }
    }
}
