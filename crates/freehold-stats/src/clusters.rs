use std::collections::BTreeMap;

use crate::dist::{Z95, t_quantile};
use crate::error::StatsError;
use crate::estimate::{Bounds, Estimate, wilson_bounds};

/// Observations gathered by cluster.
pub(crate) struct Grouped {
    pub(crate) mean: f64,
    pub(crate) n: usize,
    /// Sum and count of each cluster, in the order of the keys.
    pub(crate) sums: Vec<(f64, usize)>,
}

impl Grouped {
    pub(crate) fn new<K: Ord>(observations: impl IntoIterator<Item = (K, f64)>) -> Result<Self, StatsError> {
        let mut map: BTreeMap<K, (f64, usize)> = BTreeMap::new();
        for (key, value) in observations {
            let entry = map.entry(key).or_insert((0.0, 0));
            entry.0 += value;
            entry.1 += 1;
        }
        let sums: Vec<_> = map.into_values().collect();
        let n: usize = sums.iter().map(|s| s.1).sum();
        if n == 0 {
            return Err(StatsError::Empty);
        }
        let mean = sums.iter().map(|s| s.0).sum::<f64>() / n as f64;
        Ok(Self { mean, n, sums })
    }

    /// From sums and counts; clusters without an observation are left out.
    #[cfg(test)]
    pub(crate) fn of_sums(sums: &[(f64, usize)], n: usize) -> Self {
        let mean = sums.iter().map(|s| s.0).sum::<f64>() / n as f64;
        Self { mean, n, sums: sums.iter().copied().filter(|s| s.1 > 0).collect() }
    }

    /// The jackknife (CR3) standard error of the mean: each cluster is left out in turn (Bell & McCaffrey 2002;
    /// MacKinnon, Nielsen & Webb 2023, eq. 13). None with a single cluster; exactly 0 when no cluster matters.
    pub(crate) fn standard_error(&self) -> Option<f64> {
        let g = self.sums.len();
        if g < 2 {
            return None;
        }
        let total = self.mean * self.n as f64;
        let squares: f64 = self
            .sums
            .iter()
            .map(|&(sum, count)| ((total - sum) / (self.n - count) as f64 - self.mean).powi(2))
            .sum();
        let se = ((g - 1) as f64 / g as f64 * squares).sqrt();
        // Below this the spread is the rounding of the sums, not of the data.
        Some(if se <= 1e-12 * (1.0 + self.mean.abs()) { 0.0 } else { se })
    }

    /// The two-sided 95% point of Student's t with clusters − 1 degrees of freedom.
    pub(crate) fn critical(&self) -> f64 {
        if self.sums.len() < 2 { Z95 } else { t_quantile(0.975, (self.sums.len() - 1) as f64) }
    }
}

/// The mean of observations that are independent between clusters only, with a cluster-robust 95% interval.
///
/// The standard error is the jackknife over clusters (CR3), the critical value Student's t with clusters − 1 degrees of
/// freedom. Unbounded values get the symmetric interval. Rates get Wilson's interval on the effective sample size
/// p(1−p)/SE² (Korn & Graubard 1998; Dean & Pagano 2015), which stays in 0..=1 and covers near the ends; where no
/// spread between clusters is seen, nothing is known of their correlation and each cluster counts as one trial, so the
/// width is never 0. A single cluster of unbounded values has no interval: it is the value, and `inconclusive` is set.
pub fn clustered_mean<K: Ord>(
    observations: impl IntoIterator<Item = (K, f64)>,
    bounds: Bounds,
) -> Result<Estimate, StatsError> {
    let grouped = Grouped::new(checked(observations, bounds)?)?;
    let (mean, clusters) = (grouped.mean, grouped.sums.len());
    let se = grouped.standard_error();
    let critical = grouped.critical();
    let (low, high) = match bounds {
        Bounds::Unbounded => {
            let half = critical * se.unwrap_or(0.0);
            (mean - half, mean + half)
        }
        Bounds::Rate => wilson_bounds(mean.clamp(0.0, 1.0), effective(&grouped, se), critical),
    };
    Ok(Estimate::new(mean, low, high, grouped.n, clusters))
}

/// How many independent trials a clustered rate is worth: p(1−p)/SE².
pub fn effective_size<K: Ord>(observations: impl IntoIterator<Item = (K, f64)>) -> Result<f64, StatsError> {
    let grouped = Grouped::new(checked(observations, Bounds::Rate)?)?;
    let se = grouped.standard_error();
    Ok(effective(&grouped, se))
}

fn effective(grouped: &Grouped, se: Option<f64>) -> f64 {
    let variance = grouped.mean * (1.0 - grouped.mean);
    match se {
        Some(se) if se > 0.0 && variance > 0.0 => variance / (se * se),
        _ => grouped.sums.len() as f64,
    }
}

fn checked<K>(
    observations: impl IntoIterator<Item = (K, f64)>,
    bounds: Bounds,
) -> Result<Vec<(K, f64)>, StatsError> {
    observations.into_iter().map(|(k, v)| bounds.check(v).map(|()| (k, v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jackknife_of_equal_clusters_is_the_standard_error_of_their_means() {
        // Three clusters of two, means 1, 2, 6: mean 3, SE = sd(1, 2, 6) / √3 = √7 / √3 = 1.5275.
        let data = [("a", 0.0), ("a", 2.0), ("b", 1.0), ("b", 3.0), ("c", 6.0), ("c", 6.0)];
        let e = clustered_mean(data, Bounds::Unbounded).unwrap();
        assert!((e.value - 3.0).abs() < 1e-12);
        let half = 4.302_652_73 * (7.0f64 / 3.0).sqrt();
        assert!((e.high - 3.0 - half).abs() < 1e-6, "{e:?}");
        assert_eq!((e.n, e.clusters, e.inconclusive), (6, 3, true));
    }

    #[test]
    fn equal_rates_fall_back_to_one_trial_per_cluster() {
        let data: Vec<_> = (0..40).map(|i| (i % 10, 0.0)).collect();
        let e = clustered_mean(data, Bounds::Rate).unwrap();
        let t2 = t_quantile(0.975, 9.0).powi(2);
        assert!((e.high - t2 / (10.0 + t2)).abs() < 1e-12, "{e:?}");
        assert_eq!(e.low, 0.0);
        let one = clustered_mean([("a", 1.0); 5], Bounds::Rate).unwrap();
        assert!(one.low < 0.25 && one.high == 1.0 && one.inconclusive);
    }

    #[test]
    fn correlation_inside_clusters_costs_sample_size() {
        let alike: Vec<_> = (0..80).map(|i| (i / 4, f64::from(u8::from((i / 4) % 2 == 0)))).collect();
        let n = effective_size(alike).unwrap();
        assert!((18.0..22.0).contains(&n), "{n}");
    }

    #[test]
    fn bad_input_is_an_error() {
        let none: [(u8, f64); 0] = [];
        assert_eq!(clustered_mean(none, Bounds::Rate), Err(StatsError::Empty));
        assert!(clustered_mean([(0, f64::NAN)], Bounds::Unbounded).is_err());
        assert!(clustered_mean([(0, 1.5)], Bounds::Rate).is_err());
    }
}
