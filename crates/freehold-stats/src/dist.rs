//! The normal, Student-t and binomial distributions, as far as they are needed here.
//!
//! Own code instead of `statrs`, which brings a linear algebra library along. Reference values are tested.

/// Upper 97.5% point of the standard normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// log Γ(x) for x > 0, by the Lanczos approximation (g = 7, n = 9); relative error below 1e-14.
pub fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        // Reflection keeps the series in the range where it converges.
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = COEFFICIENTS[0]
        + COEFFICIENTS.iter().enumerate().skip(1).map(|(i, c)| c / (x + i as f64)).sum::<f64>();
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (Numerical Recipes, §6.4).
pub fn beta_inc(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges quickly on this side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let clear = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / clear(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / clear(1.0 + even * d);
        c = clear(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / clear(1.0 + odd * d);
        c = clear(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// P(T ≤ t) for Student's t with `df` > 0 degrees of freedom.
pub fn t_cdf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * beta_inc(0.5 * df, 0.5, df / (df + t * t));
    if t < 0.0 { tail } else { 1.0 - tail }
}

/// The `p` quantile of Student's t with `df` > 0 degrees of freedom; infinite at 0 and 1, NaN outside.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    if p < 0.5 {
        return -upper_quantile(p, |t| t_cdf(-t, df));
    }
    upper_quantile(1.0 - p, |t| t_cdf(-t, df))
}

/// P(Z ≤ z) for the standard normal distribution. With one squared normal, P(Z² > z²) = Q(1/2, z²/2): the incomplete
/// gamma function, by its series near 0 and its continued fraction beyond (Numerical Recipes, §6.2).
pub fn normal_cdf(z: f64) -> f64 {
    let tail = 0.5 * gamma_q_half(0.5 * z * z);
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// Q(1/2, x).
fn gamma_q_half(x: f64) -> f64 {
    const A: f64 = 0.5;
    if x <= 0.0 {
        return 1.0;
    }
    let front = (-x + A * x.ln() - ln_gamma(A)).exp();
    if x < A + 1.0 {
        let (mut term, mut sum) = (1.0 / A, 1.0 / A);
        for n in 1..500 {
            term *= x / (A + f64::from(n));
            sum += term;
            if term < sum * 1e-16 {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - A;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for n in 1..500 {
        let n = f64::from(n);
        let an = -n * (n - A);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * h
}

/// The `p` quantile of the standard normal distribution; infinite at 0 and 1, NaN outside.
pub fn normal_quantile(p: f64) -> f64 {
    if p < 0.5 {
        return -upper_quantile(p, |z| normal_cdf(-z));
    }
    upper_quantile(1.0 - p, |z| normal_cdf(-z))
}

/// The x ≥ 0 at which the falling upper tail equals `p` ≤ 1/2, by doubling and bisection: slow, sure and exact enough.
fn upper_quantile(p: f64, tail: impl Fn(f64) -> f64) -> f64 {
    if !(0.0..=0.5).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 {
        return f64::INFINITY;
    }
    let mut high = 1.0;
    while tail(high) > p {
        high *= 2.0;
        if high > 1e300 {
            return f64::INFINITY;
        }
    }
    let mut low = 0.0;
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if tail(middle) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(X ≤ k) for X binomial with `n` trials of probability 1/2.
pub fn binomial_half_cdf(k: usize, n: usize) -> f64 {
    if k >= n {
        return 1.0;
    }
    let ln_n = ln_gamma(n as f64 + 1.0) - n as f64 * std::f64::consts::LN_2;
    let sum: f64 =
        (0..=k).map(|i| (ln_n - ln_gamma(i as f64 + 1.0) - ln_gamma((n - i) as f64 + 1.0)).exp()).sum();
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} is not {b}");
    }

    #[test]
    fn student_t_quantiles_agree_with_the_tables() {
        // Two-sided 95% and 99%, from the usual printed table.
        for (df, t975, t995) in [
            (1.0, 12.706_204_7, 63.656_741_2),
            (2.0, 4.302_652_7, 9.924_843_2),
            (5.0, 2.570_581_8, 4.032_143_0),
            (7.0, 2.364_624_3, 3.499_483_3),
            (10.0, 2.228_138_9, 3.169_272_7),
            (19.0, 2.093_024_1, 2.860_934_6),
            (30.0, 2.042_272_5, 2.749_995_7),
            (100.0, 1.983_971_5, 2.625_890_5),
        ] {
            close(t_quantile(0.975, df), t975, 2e-7);
            close(t_quantile(0.995, df), t995, 2e-7);
            close(t_quantile(0.025, df), -t975, 2e-7);
            close(t_cdf(t_quantile(0.9, df), df), 0.9, 1e-12);
        }
    }

    #[test]
    fn normal_quantiles_agree_with_the_tables() {
        for (p, z) in [
            (0.5, 0.0),
            (0.8, 0.841_621_233_6),
            (0.95, 1.644_853_627_0),
            (0.975, Z95),
            (0.995, 2.575_829_303_5),
            (0.999_9, 3.719_016_485_5),
        ] {
            close(normal_quantile(p), z, 1e-9);
            close(normal_quantile(1.0 - p), -z, 1e-9);
        }
        close(normal_cdf(1.0), 0.841_344_746_068_543, 1e-13);
        close(normal_cdf(-3.0), 0.001_349_898_031_630_1, 1e-15);
    }

    #[test]
    fn binomial_agrees_with_hand_counts() {
        close(binomial_half_cdf(0, 5), 1.0 / 32.0, 1e-15);
        close(binomial_half_cdf(1, 5), 6.0 / 32.0, 1e-14);
        close(binomial_half_cdf(5, 10), 638.0 / 1024.0, 1e-13);
        close(binomial_half_cdf(5, 5), 1.0, 0.0);
    }
}
