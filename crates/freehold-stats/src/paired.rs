use crate::clusters::Grouped;
use crate::dist::binomial_half_cdf;
use crate::error::StatsError;
use crate::estimate::{Bounds, Estimate, wilson_bounds};
use crate::rng::SplitMix64;

/// Up to this many clusters that changed, the sign-flip test is exact: the half sums make 2^(k/2) of work, not 2^k.
const EXACT_CLUSTERS: usize = 30;
const MONTE_CARLO: usize = 100_000;

/// One item measured twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<K> {
    /// The topic; for independent items, the item.
    pub cluster: K,
    pub before: f64,
    pub after: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PairedDifference {
    /// Mean of after − before.
    pub estimate: Estimate,
    pub sign_flip: SignFlip,
}

/// A two-sided sign-flip test over clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignFlip {
    pub p: f64,
    /// All sign patterns were counted; otherwise 100,000 were drawn.
    pub exact: bool,
}

/// The mean difference after − before over pairs, clustered, with a 95% interval and a sign-flip test.
///
/// The interval is the jackknife over clusters with Student's t, as in [`crate::clustered_mean`]. For rates, Agresti &
/// Min (2005) is followed on top: half a pair is added to each cell of the before/after table, which shrinks the centre
/// by n/(n+2) and adds 1/(n+2)² to the variance. So "nothing changed in 30 pairs" has an interval of about ±0.06
/// instead of a certainty, and one loss among 30 never looks better than none. Where no spread between clusters is seen
/// though they have several pairs each, n is the number of clusters and Wilson's bound for 0 of n is added.
pub fn paired_difference<K: Ord + Clone>(
    pairs: &[Pair<K>],
    bounds: Bounds,
    seed: u64,
) -> Result<PairedDifference, StatsError> {
    for pair in pairs {
        bounds.check(pair.before)?;
        bounds.check(pair.after)?;
    }
    let grouped = Grouped::new(pairs.iter().map(|p| (p.cluster.clone(), p.after - p.before)))?;
    let (mean, n, clusters) = (grouped.mean, grouped.n, grouped.sums.len());
    let se = grouped.standard_error();
    let critical = grouped.critical();
    let (low, high) = match (bounds, se) {
        (Bounds::Unbounded, se) => {
            let half = critical * se.unwrap_or(0.0);
            (mean - half, mean + half)
        }
        (Bounds::Rate, None) => (-1.0, 1.0),
        (Bounds::Rate, Some(se)) if se == 0.0 && clusters < n => {
            let (_, unseen) = wilson_bounds(0.0, clusters as f64, critical);
            (mean - unseen, mean + unseen)
        }
        (Bounds::Rate, Some(se)) => {
            let shrink = n as f64 / (n as f64 + 2.0);
            let half = critical * ((shrink * se).powi(2) + (n as f64 + 2.0).powi(-2)).sqrt();
            (shrink * mean - half, shrink * mean + half)
        }
    };
    let (low, high) = match bounds {
        Bounds::Rate => (low.max(-1.0), high.min(1.0)),
        Bounds::Unbounded => (low, high),
    };
    let sums: Vec<f64> = grouped.sums.iter().map(|s| s.0).collect();
    Ok(PairedDifference {
        estimate: Estimate::new(mean, low, high, n, clusters),
        sign_flip: sign_flip(&sums, seed),
    })
}

/// The sign-flip (randomisation) test of symmetry about 0, over cluster sums of differences (Fisher 1935; for clusters,
/// Canay, Romano & Shaikh 2017): the share of all sign patterns whose total is at least as far from 0 as that observed.
/// Clusters without a difference change no total and drop out. Exact up to 30 others; beyond, 100,000 patterns are drawn
/// and the observed one is counted among them (Phipson & Smyth 2010), so that p is never 0.
pub fn sign_flip(cluster_sums: &[f64], seed: u64) -> SignFlip {
    let sums: Vec<f64> = cluster_sums.iter().map(|s| s.abs()).filter(|s| *s > 1e-12).collect();
    let observed: f64 = cluster_sums.iter().sum::<f64>().abs();
    // Totals that are equal in exact arithmetic must count as equal.
    let threshold = observed - 1e-9 * (1.0 + sums.iter().sum::<f64>());
    if sums.is_empty() || threshold <= 0.0 {
        return SignFlip { p: 1.0, exact: true };
    }
    if sums.len() <= EXACT_CLUSTERS {
        return SignFlip { p: exact_tail(&sums, threshold), exact: true };
    }
    let mut rng = SplitMix64::new(seed);
    let mut as_far = 0usize;
    for _ in 0..MONTE_CARLO {
        let total: f64 = sums
            .chunks(64)
            .map(|chunk| {
                let bits = rng.next_u64();
                chunk.iter().enumerate().map(|(i, s)| if bits >> i & 1 == 1 { *s } else { -*s }).sum::<f64>()
            })
            .sum();
        as_far += usize::from(total.abs() >= threshold);
    }
    SignFlip { p: (as_far + 1) as f64 / (MONTE_CARLO + 1) as f64, exact: false }
}

/// Share of the 2^k signed totals that are at least `threshold` > 0 from 0: totals of both halves, one of them sorted.
fn exact_tail(sums: &[f64], threshold: f64) -> f64 {
    let (left, right) = sums.split_at(sums.len() / 2);
    let left = signed_totals(left);
    let mut right = signed_totals(right);
    right.sort_unstable_by(f64::total_cmp);
    let mut as_far = 0u64;
    for a in &left {
        let below = right.partition_point(|b| a + b <= -threshold);
        let short = right.partition_point(|b| a + b < threshold);
        as_far += (below + right.len() - short) as u64;
    }
    as_far as f64 / (left.len() as f64 * right.len() as f64)
}

fn signed_totals(sums: &[f64]) -> Vec<f64> {
    let mut totals = vec![0.0];
    for s in sums {
        totals = totals.iter().flat_map(|t| [t - s, t + s]).collect();
    }
    totals
}

/// McNemar's exact test, two-sided, over binary pairs taken as independent (McNemar 1947; exact binomial form):
/// `lost` pairs went from yes to no, `gained` from no to yes. It knows nothing of clusters, and stands beside the
/// sign-flip test, not in its place.
pub fn mcnemar_exact(lost: usize, gained: usize) -> f64 {
    if lost + gained == 0 {
        return 1.0;
    }
    (2.0 * binomial_half_cdf(lost.min(gained), lost + gained)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_flip_counts_all_patterns() {
        // Four clusters all in one direction: 2 of 16 patterns, the 0.125 below which four topics cannot go.
        assert_eq!(sign_flip(&[1.0, 2.0, 1.0, 3.0], 0), SignFlip { p: 0.125, exact: true });
        // 1, 2 against −1: totals ±2 (observed), ±4, ±0, ±2: 6 of 8.
        assert_eq!(sign_flip(&[1.0, 2.0, -1.0], 0).p, 0.75);
        assert_eq!(sign_flip(&[0.0, 0.0], 0).p, 1.0);
        assert_eq!(sign_flip(&[], 0).p, 1.0);
        // Clusters without a difference change nothing.
        assert_eq!(sign_flip(&[1.0, 0.0, 2.0, 1.0, 0.0, 3.0], 0).p, 0.125);
    }

    #[test]
    fn sums_equal_up_to_rounding_count_as_equal() {
        // Totals are ±0.9 and ±0.3, six times over; 0.1 + 0.2 is not quite 0.3.
        assert_eq!(sign_flip(&[0.1 + 0.2, 0.3, -0.3], 0).p, 1.0);
    }

    #[test]
    fn drawing_agrees_with_counting() {
        let sums: Vec<f64> = (0..30).map(|i| f64::from((i * 7) % 11) / 5.0 - 0.75).collect();
        let exact = sign_flip(&sums, 1);
        assert!(exact.exact);
        // One more cluster, too small to matter, forces the draw.
        let mut more = sums;
        more.push(1e-9);
        let drawn = sign_flip(&more, 1);
        assert!(!drawn.exact && (drawn.p - exact.p).abs() < 0.006, "{} {}", drawn.p, exact.p);
        assert_eq!(drawn, sign_flip(&more, 1), "same seed, same p");
    }

    #[test]
    fn mcnemar_by_hand() {
        assert_eq!(mcnemar_exact(0, 0), 1.0);
        assert!((mcnemar_exact(0, 5) - 0.0625).abs() < 1e-14);
        assert!((mcnemar_exact(5, 0) - 0.0625).abs() < 1e-14);
        // 1 against 9 of 10: 2 · (1 + 10) / 1024.
        assert!((mcnemar_exact(1, 9) - 22.0 / 1024.0).abs() < 1e-14);
        assert_eq!(mcnemar_exact(3, 3), 1.0);
    }

    #[test]
    fn no_change_is_no_certainty_and_a_loss_is_never_better() {
        let pairs = |losses: usize| -> Vec<Pair<usize>> {
            (0..30)
                .map(|i| Pair { cluster: i, before: 1.0, after: if i < losses { 0.0 } else { 1.0 } })
                .collect()
        };
        let mut last = 0.0;
        for losses in 0..=30 {
            let e = paired_difference(&pairs(losses), Bounds::Rate, 0).unwrap().estimate;
            assert!((e.value + losses as f64 / 30.0).abs() < 1e-12);
            assert!(e.low <= last, "{losses} losses end at {}, fewer at {last}", e.low);
            assert!(e.low <= e.value && e.value <= e.high && e.low < e.high);
            last = e.low;
        }
        let none = paired_difference(&pairs(0), Bounds::Rate, 0).unwrap();
        let half = crate::dist::t_quantile(0.975, 29.0) / 32.0;
        assert!((none.estimate.low + half).abs() < 1e-12 && (none.estimate.high - half).abs() < 1e-12);
        assert_eq!(none.sign_flip.p, 1.0);
    }

    #[test]
    fn one_cluster_says_nothing() {
        let pairs = [Pair { cluster: "a", before: 0.0, after: 1.0 }; 9];
        let e = paired_difference(&pairs, Bounds::Rate, 0).unwrap().estimate;
        assert_eq!((e.value, e.low, e.high, e.inconclusive), (1.0, -1.0, 1.0, true));
    }
}
