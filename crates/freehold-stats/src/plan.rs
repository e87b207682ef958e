//! How many questions, over how many topics, a wanted precision needs.

use crate::clusters::Grouped;
use crate::dist::t_quantile;
use crate::error::StatsError;

/// What questions of a topic have in common: the share of the variance that lies between clusters, by the analysis-of-variance
/// estimator (Donner 1986, *A review of inference procedures for the intraclass correlation coefficient*), cut to 0..=1.
/// None with fewer than two clusters, with one observation a cluster, or where observations do not differ.
pub fn intraclass_correlation<K: Ord>(
    observations: impl IntoIterator<Item = (K, f64)>,
) -> Result<Option<f64>, StatsError> {
    let observations: Vec<(K, f64)> = observations.into_iter().collect();
    let squares: f64 = observations.iter().map(|o| o.1 * o.1).sum();
    let grouped = Grouped::new(observations)?;
    let (n, k) = (grouped.n as f64, grouped.sums.len() as f64);
    if k < 2.0 || n <= k {
        return Ok(None);
    }
    let by_cluster: f64 = grouped.sums.iter().map(|(sum, m)| sum * sum / *m as f64).sum();
    let between = (by_cluster - n * grouped.mean * grouped.mean) / (k - 1.0);
    let within = (squares - by_cluster) / (n - k);
    let sizes: f64 = grouped.sums.iter().map(|(_, m)| (*m * *m) as f64).sum();
    let typical = (n - sizes / n) / (k - 1.0);
    let total = between + (typical - 1.0) * within;
    Ok((total > 1e-12).then(|| ((between - within) / total).clamp(0.0, 1.0)))
}

/// An audit that is being planned: so many topics with so many questions each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    pub clusters: usize,
    /// Questions a topic, on average.
    pub size: f64,
    /// Intraclass correlation of the measure.
    pub correlation: f64,
}

impl Design {
    /// By how much the variance of a mean exceeds that of independent answers: 1 + (m − 1)ρ (Kish 1965, §5.4).
    pub fn effect(&self) -> f64 {
        1.0 + (self.size - 1.0).max(0.0) * self.correlation
    }

    /// How many independent answers it is worth.
    pub fn effective_size(&self) -> f64 {
        self.clusters as f64 * self.size / self.effect()
    }

    fn standard_error(&self, variance: f64) -> f64 {
        (variance / self.effective_size()).sqrt()
    }

    fn t(&self, p: f64) -> f64 {
        if self.clusters < 2 { f64::INFINITY } else { t_quantile(p, (self.clusters - 1) as f64) }
    }

    /// Half the width of the 95% interval of a rate near `rate`.
    pub fn half_width(&self, rate: f64) -> f64 {
        self.t(0.975) * self.standard_error(rate * (1.0 - rate))
    }

    /// The least difference between two runs over the same questions that a two-sided test at 5% finds with 80% power, where a
    /// share `discordant` of the pairs differs (Connor 1987; (t₀.₉₇₅ + t₀.₈₀) standard errors, Donner & Klar 2000, §5).
    pub fn detectable(&self, discordant: f64) -> f64 {
        (self.t(0.975) + self.t(0.8)) * self.standard_error(discordant)
    }

    /// How many topics of the same size make `enough` true; none within 100,000.
    fn clusters_for(&self, enough: impl Fn(&Self) -> bool) -> Option<usize> {
        let with = |clusters| Self { clusters, ..*self };
        const MOST: usize = 100_000;
        if !enough(&with(MOST)) {
            return None;
        }
        // Precision grows with the number of clusters: bisect.
        let (mut low, mut high) = (1, MOST);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if enough(&with(middle)) { high = middle } else { low = middle }
        }
        Some(high.max(crate::LEAST_CLUSTERS))
    }

    /// Topics needed for an interval no wider than ± `half_width` around a rate near `rate`; at least 8.
    pub fn clusters_for_width(&self, rate: f64, half_width: f64) -> Option<usize> {
        self.clusters_for(|d| d.half_width(rate) <= half_width)
    }

    /// Topics needed to find a difference of `difference` with 80% power; at least 8.
    pub fn clusters_for_difference(&self, discordant: f64, difference: f64) -> Option<usize> {
        self.clusters_for(|d| d.detectable(discordant) <= difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_by_hand() {
        // 20 topics of 5 with ρ = 0.25: effect 2, worth 50 answers; SE √(0.25/50) = 0.0707, t₁₉ = 2.093.
        let d = Design { clusters: 20, size: 5.0, correlation: 0.25 };
        assert!((d.effect() - 2.0).abs() < 1e-12 && (d.effective_size() - 50.0).abs() < 1e-12);
        assert!((d.half_width(0.5) - 2.093 * 0.070_71).abs() < 1e-4);
        let need = d.clusters_for_width(0.5, 0.1).unwrap();
        assert!(Design { clusters: need, ..d }.half_width(0.5) <= 0.1);
        assert!(Design { clusters: need - 1, ..d }.half_width(0.5) > 0.1);
        assert_eq!(d.clusters_for_width(0.5, 0.0), None);
        assert_eq!(d.clusters_for_width(0.01, 0.4), Some(8));
    }

    #[test]
    fn the_correlation_by_hand() {
        // Two clusters of two: between MS 1, within MS 0: ρ = 1. All alike inside against all different.
        let icc = |data: &[(u8, f64)]| intraclass_correlation(data.iter().copied()).unwrap();
        assert_eq!(icc(&[(0, 0.0), (0, 0.0), (1, 1.0), (1, 1.0)]), Some(1.0));
        assert_eq!(icc(&[(0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)]), Some(0.0));
        assert_eq!(icc(&[(0, 1.0), (0, 1.0), (1, 1.0)]), None);
        assert_eq!(icc(&[(0, 1.0), (1, 0.0)]), None);
    }
}
