//! The few inner loops that everything else stands on.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "aarch64")]
mod arm;
pub mod attention;
pub mod pool;
pub mod target;
pub mod tiled;
pub mod weight;
#[cfg(target_arch = "x86_64")]
mod x86;

use gemm::Parallelism;

/// Multiply-adds that are worth a task of their own.
const SHARE: usize = 1 << 19;

/// Where a product's rows begin, for threads that write disjoint ones.
struct Rows(*mut f32);
// SAFETY: every task writes other rows (see `product`).
#[allow(unsafe_code)]
unsafe impl Sync for Rows {}

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
    // A few rows at least, so that packing `b` again for every task stays cheap.
    let rows = (SHARE / (k * n).max(1)).max(m.div_ceil(2 * pool::threads())).max(16);
    let base = &Rows(out.as_mut_ptr());
    pool::each(m.div_ceil(rows), |task| {
        let first = task * rows;
        // SAFETY: the strides are those of dense matrices (see the callers), so the assertion covers every element that is reached; `out`
        // is exclusively borrowed and every task has rows of its own.
        #[allow(unsafe_code)]
        unsafe {
            gemm::gemm(
                rows.min(m - first),
                n,
                k,
                base.0.add(first * n),
                1,
                n as isize,
                add,
                a.as_ptr().add(first * a_strides.0),
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
                Parallelism::None,
            );
        }
    });
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

/// Dot product with 16 running sums, which compilers turn into vector code on every target.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let ((a16, a_rest), (b16, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let tail: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    for (x, y) in a16.iter().zip(b16) {
        for i in 0..16 {
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

/// Compiles a function once for every instruction set there are kernels for; calls choose at run time. The body is plain Rust that
/// compilers turn into vector code; results are the same bits everywhere.
macro_rules! versions {
    ($(#[$about:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$about])*
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            fn body($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
            fn wide($($arg: $ty),*) { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn middle($($arg: $ty),*) { body($($arg),*) }
            match $crate::kernels::target::target() {
                // SAFETY (both): the target was chosen by what the processor has.
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                t if t.has_avx512() => unsafe { wide($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                #[allow(unsafe_code)]
                $crate::kernels::target::Target::Avx2 => unsafe { middle($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use versions;

/// e^x with a relative error below 2·10⁻⁷ for −87 < x < 88 (Cephes' polynomial); 0 or a huge number outside. Unlike `f32::exp`
/// it has no call and no branch, so loops over it become vector code.
#[inline]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Rounding to the nearest integer by adding and subtracting 1.5·2²³.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * 0.693_359_4;
    let r = r - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // The sum's low bits are the integer: a conversion, which has to look for numbers out of range, would cost more than all of the above.
    y * f32::from_bits((rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23)
}

/// The largest of some numbers, by 16 running maxima.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut maxima = [f32::NEG_INFINITY; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for c in chunks {
        for i in 0..16 {
            maxima[i] = if c[i] > maxima[i] { c[i] } else { maxima[i] };
        }
    }
    maxima.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Scores become probabilities: e^x / Σ e^x.
#[inline(always)]
pub fn softmax(x: &mut [f32]) {
    let max = largest(x);
    let mut sums = [0f32; 16];
    let (chunks, rest) = x.as_chunks_mut::<16>();
    for c in chunks.iter_mut() {
        for i in 0..16 {
            c[i] = exp(c[i] - max);
            sums[i] += c[i];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for v in rest {
        *v = exp(*v - max);
        sum += *v;
    }
    let inverse = 1.0 / sum;
    x.iter_mut().for_each(|v| *v *= inverse);
}

versions! {
    fn log_sum_exp_into(out: &mut f32, x: &[f32]) {
        let max = largest(x);
        let mut sums = [0f32; 16];
        let (chunks, rest) = x.as_chunks::<16>();
        let tail: f32 = rest.iter().map(|&v| exp(v - max)).sum();
        for c in chunks {
            for i in 0..16 {
                sums[i] += exp(c[i] - max);
            }
        }
        *out = max + (sums.iter().sum::<f32>() + tail).ln();
    }
}

versions! {
    fn largest_into(out: &mut f32, x: &[f32]) {
        *out = largest(x);
    }
}

/// Where the largest number is; the first of equals, and 0 when there is no number at all.
pub fn argmax(x: &[f32]) -> usize {
    let mut max = f32::NEG_INFINITY;
    largest_into(&mut max, x);
    x.iter().position(|v| *v == max).unwrap_or(0)
}

/// log Σ e^x, in one pass for the maximum and one for the sum.
pub fn log_sum_exp(x: &[f32]) -> f32 {
    let mut out = 0.0;
    log_sum_exp_into(&mut out, x);
    out
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
