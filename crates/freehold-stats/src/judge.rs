//! Carrying a judge's own error into a rate and into a difference.

use serde::{Deserialize, Serialize};

use crate::clusters::Grouped;
use crate::dist::Z95;
use crate::error::StatsError;
use crate::estimate::{Bounds, Estimate};
use crate::paired::Pair;

/// So many hits among a total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub hits: usize,
    pub total: usize,
}

/// How a judge did on labelled answers, for one measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of the answers that a person labelled yes, those that the judge labelled yes.
    pub sensitivity: Counts,
    /// Of the answers that a person labelled no, those that the judge labelled no.
    pub specificity: Counts,
}

/// Shares of a calibration set.
#[derive(Clone, Copy)]
struct Shares {
    sensitivity: f64,
    specificity: f64,
    /// Variances of both.
    sensitivity_variance: f64,
    specificity_variance: f64,
}

impl Shares {
    fn youden(self) -> f64 {
        self.sensitivity + self.specificity - 1.0
    }

    /// Variance that the calibration set adds to a corrected rate.
    fn variance(self, rate: f64) -> f64 {
        (rate * rate * self.sensitivity_variance + (1.0 - rate).powi(2) * self.specificity_variance)
            / self.youden().powi(2)
    }

    fn correct(self, apparent: f64) -> f64 {
        (apparent + self.specificity - 1.0) / self.youden()
    }
}

impl Calibration {
    fn shares(&self, extra_hits: f64, extra_total: f64) -> Result<Shares, StatsError> {
        let share = |c: Counts| {
            if c.total == 0 {
                return Err(StatsError::Empty);
            }
            if c.hits > c.total {
                return Err(StatsError::Counts { successes: c.hits, n: c.total });
            }
            let n = c.total as f64 + extra_total;
            let p = (c.hits as f64 + extra_hits) / n;
            Ok((p, p * (1.0 - p) / n))
        };
        let (sensitivity, sensitivity_variance) = share(self.sensitivity)?;
        let (specificity, specificity_variance) = share(self.specificity)?;
        let shares = Shares { sensitivity, specificity, sensitivity_variance, specificity_variance };
        if shares.youden() <= 1e-9 {
            return Err(StatsError::Uninformative { sensitivity, specificity });
        }
        Ok(shares)
    }

    /// As counted.
    fn raw(&self) -> Result<Shares, StatsError> {
        self.shares(0.0, 0.0)
    }

    /// With one hit and one miss added to each, so that a flawless calibration set is no certainty.
    fn smoothed(&self) -> Result<Shares, StatsError> {
        self.shares(1.0, 2.0)
    }
}

/// The true rate behind an apparent one: (p + specificity − 1) / (sensitivity + specificity − 1) (Rogan & Gladen 1978),
/// cut to 0..=1, with the interval of Lang & Reiczigel (2014), which carries the calibration set's variance.
///
/// `effective_n` is how many independent answers the apparent rate is worth: `apparent.n` where they are independent,
/// [`crate::effective_size`] where they are clustered.
pub fn rogan_gladen(
    apparent: &Estimate,
    effective_n: f64,
    calibration: &Calibration,
) -> Result<Estimate, StatsError> {
    Bounds::Rate.check(apparent.value)?;
    if !(effective_n.is_finite() && effective_n > 0.0) {
        return Err(StatsError::NotFinite(effective_n));
    }
    let value = calibration.raw()?.correct(apparent.value).clamp(0.0, 1.0);
    let shares = calibration.smoothed()?;
    let z2 = Z95 * Z95;
    let n = effective_n + z2;
    let p = (effective_n * apparent.value + z2 / 2.0) / n;
    let rate = shares.correct(p);
    let se = (p * (1.0 - p) / n / shares.youden().powi(2) + shares.variance(rate)).sqrt();
    let shift = 2.0 * z2 * (rate * shares.sensitivity_variance - (1.0 - rate) * shares.specificity_variance);
    let (low, high) = (rate + shift - Z95 * se, rate + shift + Z95 * se);
    Ok(Estimate::new(value, low.clamp(0.0, 1.0), high.clamp(0.0, 1.0), apparent.n, apparent.clusters))
}

/// The difference after − before of two rates, each corrected by its own calibration set (a treatment changes the
/// answers, and with them the judge's error). The interval is the clustered jackknife over the pairs, each side divided
/// by its sensitivity + specificity − 1, with the variances of both calibration sets added.
pub fn corrected_difference<K: Ord + Clone>(
    pairs: &[Pair<K>],
    before: &Calibration,
    after: &Calibration,
) -> Result<Estimate, StatsError> {
    for pair in pairs {
        Bounds::Rate.check(pair.before)?;
        Bounds::Rate.check(pair.after)?;
    }
    let n = pairs.len() as f64;
    let mean = |f: fn(&Pair<K>) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let (mean_before, mean_after) = (mean(|p| p.before), mean(|p| p.after));
    let (smooth_before, smooth_after) = (before.smoothed()?, after.smoothed()?);
    let (raw_before, raw_after) = (before.raw()?, after.raw()?);
    let (scale_before, scale_after) = (raw_before.youden(), raw_after.youden());
    let grouped = Grouped::new(
        pairs.iter().map(|p| (p.cluster.clone(), p.after / scale_after - p.before / scale_before)),
    )?;
    let clusters = grouped.sums.len();
    let corrected = |shares: Shares, p: f64| shares.correct(p).clamp(0.0, 1.0);
    let value = corrected(raw_after, mean_after) - corrected(raw_before, mean_before);
    let Some(se) = grouped.standard_error() else {
        return Ok(Estimate::new(value, -1.0, 1.0, pairs.len(), clusters));
    };
    let variance = se * se
        // As in `paired_difference`: pairs that do not differ are no certainty.
        + (n + 2.0).powi(-2) / (scale_before * scale_after)
        + smooth_before.variance(corrected(smooth_before, mean_before))
        + smooth_after.variance(corrected(smooth_after, mean_after));
    let half = grouped.critical() * variance.sqrt();
    Ok(Estimate::new(value, (value - half).max(-1.0), (value + half).min(1.0), pairs.len(), clusters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::wilson;

    fn calibration(se: (usize, usize), sp: (usize, usize)) -> Calibration {
        Calibration {
            sensitivity: Counts { hits: se.0, total: se.1 },
            specificity: Counts { hits: sp.0, total: sp.1 },
        }
    }

    #[test]
    fn the_point_estimate_by_hand() {
        // Apparent 0.5, sensitivity 0.9, specificity 0.8: (0.5 − 0.2) / 0.7.
        let e = rogan_gladen(&wilson(50, 100).unwrap(), 100.0, &calibration((90, 100), (80, 100))).unwrap();
        assert!((e.value - 0.3 / 0.7).abs() < 1e-12);
        assert!(e.low < e.value && e.value < e.high);
        let below =
            rogan_gladen(&wilson(5, 100).unwrap(), 100.0, &calibration((90, 100), (80, 100))).unwrap();
        assert_eq!(below.value, 0.0, "fewer positives than false positives are none");
    }

    #[test]
    fn a_small_calibration_set_widens_the_interval() {
        let apparent = wilson(50, 100).unwrap();
        let wide = rogan_gladen(&apparent, 100.0, &calibration((9, 10), (8, 10))).unwrap();
        let narrow = rogan_gladen(&apparent, 100.0, &calibration((900, 1000), (800, 1000))).unwrap();
        assert!(wide.high - wide.low > 1.2 * (narrow.high - narrow.low));
        assert!(narrow.high - narrow.low > apparent.high - apparent.low);
    }

    #[test]
    fn a_judge_by_chance_cannot_be_corrected() {
        let e = rogan_gladen(&wilson(50, 100).unwrap(), 100.0, &calibration((50, 100), (50, 100)));
        assert!(matches!(e, Err(StatsError::Uninformative { .. })));
        assert!(rogan_gladen(&wilson(1, 2).unwrap(), 2.0, &calibration((0, 0), (1, 1))).is_err());
    }

    #[test]
    fn a_difference_by_hand() {
        let pairs: Vec<_> = (0..40)
            .map(|i| Pair { cluster: i, before: 1.0, after: f64::from(u8::from(i % 2 == 0)) })
            .collect();
        let good = calibration((100, 100), (100, 100));
        let fair = calibration((90, 100), (80, 100));
        // Before 1 stays 1; after 0.5 becomes 0.3/0.7.
        let e = corrected_difference(&pairs, &good, &fair).unwrap();
        assert!((e.value - (0.3 / 0.7 - 1.0)).abs() < 1e-12);
        assert!(e.low < e.value && e.high < 0.0);
    }
}
