use serde::{Deserialize, Serialize};

use crate::dist::Z95;
use crate::error::StatsError;

/// With fewer clusters (topics) than this an interval is not to be relied on.
pub const LEAST_CLUSTERS: usize = 8;

/// A rate, mean or difference with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    /// 95% interval.
    pub low: f64,
    pub high: f64,
    /// Observations (answers, or pairs of answers) it is over.
    pub n: usize,
    /// Topics (clusters) it is over; equal to `n` where the observations are independent.
    pub clusters: usize,
    /// Fewer than 8 clusters: the interval is not to be relied on.
    pub inconclusive: bool,
}

impl Estimate {
    pub(crate) fn new(value: f64, low: f64, high: f64, n: usize, clusters: usize) -> Self {
        // An interval that is centred elsewhere than at the value (Wilson, Agresti–Min) misses it by rounding at a bound.
        let (low, high) = (low.min(value), high.max(value));
        Self { value, low, high, n, clusters, inconclusive: clusters < LEAST_CLUSTERS }
    }

    /// Whether the interval lies wholly on one side of 0.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The range that single observations can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bounds {
    /// 0..=1: a label (0 or 1) or a share. Differences of such lie in −1..=1.
    Rate,
    /// Any number: log-probabilities, divergences.
    Unbounded,
}

impl Bounds {
    pub(crate) fn check(self, value: f64) -> Result<(), StatsError> {
        if !value.is_finite() {
            return Err(StatsError::NotFinite(value));
        }
        match self {
            Bounds::Rate if !(0.0..=1.0).contains(&value) => {
                Err(StatsError::OutOfBounds { value, low: 0.0, high: 1.0 })
            }
            _ => Ok(()),
        }
    }
}

/// Wilson's score interval for independent trials (Wilson 1927; recommended by Brown, Cai & DasGupta 2001).
pub fn wilson(successes: usize, n: usize) -> Result<Estimate, StatsError> {
    if n == 0 {
        return Err(StatsError::Empty);
    }
    if successes > n {
        return Err(StatsError::Counts { successes, n });
    }
    let rate = successes as f64 / n as f64;
    let (low, high) = wilson_bounds(rate, n as f64, Z95);
    Ok(Estimate::new(rate, low, high, n, n))
}

/// Wilson's bounds for a rate over `n` (not necessarily whole) trials, at `critical` standard errors.
pub(crate) fn wilson_bounds(rate: f64, n: f64, critical: f64) -> (f64, f64) {
    let c2 = critical * critical;
    let centre = (rate + c2 / (2.0 * n)) / (1.0 + c2 / n);
    let half = critical / (1.0 + c2 / n) * (rate * (1.0 - rate) / n + c2 / (4.0 * n * n)).sqrt();
    ((centre - half).clamp(0.0, 1.0), (centre + half).clamp(0.0, 1.0))
}

/// What a check of evidence against a bound comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Passed,
    Failed,
    Inconclusive,
}

/// Non-inferiority of a difference (after − before): passed when the interval's bad end is within the margin, failed when
/// the whole interval is beyond it, inconclusive otherwise and with fewer than 8 clusters. (Piaggio et al. 2012, the
/// CONSORT extension for non-inferiority trials; a two-sided 95% interval makes it a one-sided test at 2.5%.)
///
/// `margin` ≥ 0 is how much worse is still no worse; `lower_is_worse` tells the direction.
pub fn non_inferiority(difference: &Estimate, margin: f64, lower_is_worse: bool) -> Outcome {
    let (bad, good) =
        if lower_is_worse { (-difference.low, -difference.high) } else { (difference.high, difference.low) };
    if difference.inconclusive || bad.is_nan() || good.is_nan() {
        Outcome::Inconclusive
    } else if bad <= margin {
        Outcome::Passed
    } else if good > margin {
        Outcome::Failed
    } else {
        Outcome::Inconclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998, table I, method 3 (score): 81/263, 15/148, 0/20, 1/29.
        for (k, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let e = wilson(k, n).unwrap();
            assert!((e.low - low).abs() < 5e-5 && (e.high - high).abs() < 5e-5, "{e:?}");
        }
        assert!(wilson(3, 3).unwrap().inconclusive);
        assert_eq!(wilson(0, 0), Err(StatsError::Empty));
        assert_eq!(wilson(2, 1), Err(StatsError::Counts { successes: 2, n: 1 }));
    }

    #[test]
    fn non_inferiority_has_three_outcomes() {
        let e = |low, high| Estimate::new((low + high) / 2.0, low, high, 40, 40);
        assert_eq!(non_inferiority(&e(-0.04, 0.02), 0.05, true), Outcome::Passed);
        assert_eq!(non_inferiority(&e(-0.08, 0.02), 0.05, true), Outcome::Inconclusive);
        assert_eq!(non_inferiority(&e(-0.30, -0.06), 0.05, true), Outcome::Failed);
        assert_eq!(non_inferiority(&e(-0.30, 0.04), 0.05, false), Outcome::Passed);
        assert_eq!(non_inferiority(&e(0.06, 0.30), 0.05, false), Outcome::Failed);
        let few = Estimate::new(0.0, 0.0, 0.0, 40, 7);
        assert_eq!(non_inferiority(&few, 0.05, true), Outcome::Inconclusive);
    }
}
