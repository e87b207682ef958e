//! Do the intervals cover and the tests have the size that they claim? Seeded, so that the answers never change.

use crate::rng::SplitMix64;
use crate::*;

/// A rate around `rate` for one cluster: 0 or 1 with chance `correlation`, else `rate` (so that two answers of a cluster
/// have that correlation).
fn cluster_rate(rng: &mut SplitMix64, rate: f64, correlation: f64) -> f64 {
    if rng.uniform() < correlation { f64::from(u8::from(rng.uniform() < rate)) } else { rate }
}

fn coin(rng: &mut SplitMix64, rate: f64) -> f64 {
    f64::from(u8::from(rng.uniform() < rate))
}

fn clustered(rng: &mut SplitMix64, rate: f64, clusters: usize, correlation: f64) -> Vec<(usize, f64)> {
    let mut out = Vec::new();
    for g in 0..clusters {
        let own = cluster_rate(rng, rate, correlation);
        // Topics differ in how many probes they have.
        for _ in 0..2 + g % 4 {
            out.push((g, coin(rng, own)));
        }
    }
    out
}

fn covers(e: &Estimate, truth: f64) -> bool {
    e.low <= truth && truth <= e.high
}

/// Share of covering intervals, averaged over true rates drawn evenly from 0..1.
fn coverage(seed: u64, repeats: usize, mut draw: impl FnMut(&mut SplitMix64, f64) -> (Estimate, f64)) -> f64 {
    let mut rng = SplitMix64::new(seed);
    let mut hits = 0;
    for _ in 0..repeats {
        let rate = rng.uniform();
        let (estimate, truth) = draw(&mut rng, rate);
        hits += usize::from(covers(&estimate, truth));
    }
    hits as f64 / repeats as f64
}

fn assert_covers(what: &str, share: f64) {
    assert!((0.93..=0.97).contains(&share), "{what}: {share:.4}");
}

#[test]
fn wilson_covers() {
    for n in [10, 20, 40, 100] {
        let share = coverage(n as u64, 40_000, |rng, rate| {
            let k = (0..n).filter(|_| rng.uniform() < rate).count();
            (wilson(k, n).unwrap(), rate)
        });
        assert_covers(&format!("n = {n}"), share);
    }
}

#[test]
fn the_clustered_rate_covers() {
    for (clusters, correlation) in
        [(10, 0.0), (10, 0.2), (10, 0.6), (20, 0.0), (20, 0.2), (20, 0.6), (40, 0.2)]
    {
        let share = coverage(7, 8_000, |rng, rate| {
            let data = clustered(rng, rate, clusters, correlation);
            (clustered_mean(data, Bounds::Rate).unwrap(), rate)
        });
        eprintln!("{clusters} clusters, correlation {correlation}: {share:.4}");
        assert_covers(&format!("{clusters} clusters, correlation {correlation}"), share);
    }
}

#[test]
fn the_clustered_mean_of_unbounded_values_covers() {
    let share = coverage(11, 8_000, |rng, shift| {
        let data: Vec<_> = (0..12)
            .flat_map(|g| {
                let own: f64 = (0..6).map(|_| rng.uniform() - 0.5).sum();
                (0..3 + g % 3).map(|_| (g, shift + own + rng.uniform() - 0.5)).collect::<Vec<_>>()
            })
            .collect();
        (clustered_mean(data, Bounds::Unbounded).unwrap(), shift)
    });
    assert_covers("unbounded", share);
}

#[test]
fn the_paired_difference_covers() {
    for (clusters, correlation) in [(12, 0.3), (20, 0.0), (20, 0.3), (30, 0.3)] {
        let share = coverage(13, 6_000, |rng, rate| {
            let after_rate = 0.5 * rate + 0.3;
            let mut pairs = Vec::new();
            for cluster in 0..clusters {
                let (b, a) =
                    (cluster_rate(rng, rate, correlation), cluster_rate(rng, after_rate, correlation));
                for _ in 0..2 + cluster % 4 {
                    pairs.push(Pair { cluster, before: coin(rng, b), after: coin(rng, a) });
                }
            }
            (paired_difference(&pairs, Bounds::Rate, 0).unwrap().estimate, after_rate - rate)
        });
        eprintln!("paired, {clusters} clusters, correlation {correlation}: {share:.4}");
        assert_covers(&format!("paired, {clusters} clusters, correlation {correlation}"), share);
    }
}

#[test]
fn the_sign_flip_test_has_the_right_size() {
    for (clusters, repeats) in [(12, 4000), (33, 300)] {
        let mut rng = SplitMix64::new(17);
        let mut rejected = 0;
        for _ in 0..repeats {
            let sums: Vec<f64> = (0..clusters).map(|_| rng.uniform() * 4.0 - 2.0).collect();
            rejected += usize::from(sign_flip(&sums, 3).p <= 0.05);
        }
        let size = rejected as f64 / repeats as f64;
        let slack = 3.5 * (0.05f64 * 0.95 / repeats as f64).sqrt();
        assert!((size - 0.05).abs() <= slack, "{clusters} clusters: {size}");
    }
}

#[test]
fn corrected_rates_cover() {
    let (sensitivity, specificity) = (0.85, 0.9);
    let share = coverage(19, 16_000, |rng, rate| {
        let mut count = |n: usize, p: f64| (0..n).filter(|_| rng.uniform() < p).count();
        let calibration = Calibration {
            sensitivity: Counts { hits: count(60, sensitivity), total: 60 },
            specificity: Counts { hits: count(60, specificity), total: 60 },
        };
        let apparent = rate * sensitivity + (1.0 - rate) * (1.0 - specificity);
        let k = count(120, apparent);
        (rogan_gladen(&wilson(k, 120).unwrap(), 120.0, &calibration).unwrap(), rate)
    });
    eprintln!("corrected: {share:.4}");
    assert_covers("corrected", share);
}

#[test]
fn corrected_differences_cover() {
    let share = coverage(23, 6_000, |rng, rate| {
        let after_rate = 0.5 * rate + 0.3;
        let mut count = |p: f64| Counts { hits: (0..60).filter(|_| rng.uniform() < p).count(), total: 60 };
        let before = Calibration { sensitivity: count(0.85), specificity: count(0.9) };
        let after = Calibration { sensitivity: count(0.95), specificity: count(0.8) };
        let mut pairs = Vec::new();
        for cluster in 0..24 {
            let (b, a) = (cluster_rate(rng, rate, 0.2), cluster_rate(rng, after_rate, 0.2));
            for _ in 0..4 {
                let (yes_before, yes_after) = (coin(rng, b), coin(rng, a));
                pairs.push(Pair {
                    cluster,
                    before: coin(rng, if yes_before == 1.0 { 0.85 } else { 0.1 }),
                    after: coin(rng, if yes_after == 1.0 { 0.95 } else { 0.2 }),
                });
            }
        }
        (corrected_difference(&pairs, &before, &after).unwrap(), after_rate - rate)
    });
    eprintln!("corrected difference: {share:.4}");
    // Both rates are cut to 0..=1 before they are subtracted, which makes the interval a little too wide near the ends.
    assert!((0.93..=0.98).contains(&share), "corrected difference: {share:.4}");
}
