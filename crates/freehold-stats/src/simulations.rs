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
        [(8, 0.0), (8, 0.2), (8, 0.6), (10, 0.2), (20, 0.0), (20, 0.2), (20, 0.6), (40, 0.0), (40, 0.6)]
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
    for (clusters, correlation) in [(8, 0.0), (8, 0.3), (12, 0.3), (20, 0.0), (20, 0.3), (30, 0.3), (40, 0.6)]
    {
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

/// A population of answers about topics, in the order in which they are asked.
fn shuffled(rng: &mut SplitMix64, mut items: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    for i in (1..items.len()).rev() {
        items.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    items
}

const STREAMS: usize = 10_000;

/// The bound is exactly the rate of the whole population, so that `Beyond` is always wrong; a hair lower, and `Within` is.
#[test]
fn early_stopping_rarely_errs_however_often_it_is_looked_at() {
    for (clusters, correlation) in [(8, 0.0), (8, 0.6), (20, 0.3), (40, 0.6)] {
        let mut rng = SplitMix64::new(29);
        let (mut beyond, mut within, mut asked, mut all) = (0, 0, 0, 0);
        for _ in 0..STREAMS {
            let rate = rng.uniform();
            let items = clustered(&mut rng, rate, clusters, correlation);
            let items = shuffled(&mut rng, items);
            let mean = items.iter().map(|i| i.1).sum::<f64>() / items.len() as f64;
            let least = 1.0 / items.len() as f64;
            let mut at = BoundTest::new(mean, Some(items.len()));
            let mut below = BoundTest::new(mean - 0.5 * least, Some(items.len()));
            for (i, (_, x)) in items.iter().enumerate() {
                at.push(*x).unwrap();
                below.push(*x).unwrap();
                asked += usize::from(at.decided().is_none());
                all += 1;
                if i + 1 == items.len() {
                    beyond += usize::from(at.decided() != Some(Side::Within));
                    within += usize::from(below.decided() != Some(Side::Beyond));
                }
            }
        }
        let share = |n: usize| n as f64 / STREAMS as f64;
        eprintln!(
            "{clusters} clusters, correlation {correlation}: wrong {:.4} and {:.4}; asked {:.2}",
            share(beyond),
            share(within),
            asked as f64 / all as f64
        );
        assert!(share(beyond) <= 0.05 && share(within) <= 0.05);
    }
}

#[test]
fn sequences_cover_at_every_moment() {
    for (clusters, correlation, finite) in [(8, 0.3, true), (40, 0.3, true), (20, 0.0, false)] {
        let mut rng = SplitMix64::new(31);
        let repeats = 1_000;
        let mut failed = 0;
        for _ in 0..repeats {
            let rate = rng.uniform();
            let items = clustered(&mut rng, rate, clusters, correlation);
            let items = shuffled(&mut rng, items);
            let mean = items.iter().map(|i| i.1).sum::<f64>() / items.len() as f64;
            let truth = if finite { mean } else { rate };
            let mut sequence = Sequence::new(finite.then_some(items.len()));
            failed += usize::from(items.iter().any(|(_, x)| {
                sequence.push(*x).unwrap();
                !covers(&sequence.estimate().unwrap(), truth)
            }));
        }
        let share = 1.0 - failed as f64 / f64::from(repeats);
        eprintln!("{clusters} clusters, finite {finite}: {share:.4}");
        assert!(share >= 0.95, "{clusters} clusters, finite {finite}: {share}");
    }
}

/// Differences between two runs that differ by chance alone, looked at after every pair.
#[test]
fn a_clustered_difference_rarely_excludes_zero_however_often_it_is_looked_at() {
    for (clusters, correlation, per) in
        [(8, 0.0, 3), (8, 0.3, 6), (12, 0.6, 6), (20, 0.3, 4), (40, 0.0, 3), (40, 0.3, 4)]
    {
        let mut rng = SplitMix64::new(37);
        let mut alarms = 0;
        for _ in 0..STREAMS {
            let rate = 0.1 + 0.8 * rng.uniform();
            let mut items = Vec::new();
            for cluster in 0..clusters {
                // A topic that one of the models happens to know better: no difference on average.
                let (b, a) =
                    (cluster_rate(&mut rng, rate, correlation), cluster_rate(&mut rng, rate, correlation));
                for _ in 0..per {
                    let (b, a) = (coin(&mut rng, b), coin(&mut rng, a));
                    items.push((cluster, a - b));
                }
            }
            let items = shuffled(&mut rng, items);
            let mut sums = vec![(0.0, 0usize); clusters];
            alarms += usize::from((0..items.len()).any(|i| {
                let (cluster, x) = items[i];
                sums[cluster].0 += x;
                sums[cluster].1 += 1;
                let e = sequence_of_sums(&sums, i + 1, items.len());
                e.is_some_and(|e| e.excludes_zero())
            }));
        }
        let share = alarms as f64 / STREAMS as f64;
        eprintln!("{clusters} clusters of {per}, correlation {correlation}: false alarms {share:.4}");
        assert!(share <= 0.05, "{clusters} clusters of {per}, correlation {correlation}: {share}");
    }
}

/// As [`clustered_sequence`], from sums, which 10,000 streams are quicker with.
fn sequence_of_sums(sums: &[(f64, usize)], n: usize, planned: usize) -> Option<Estimate> {
    let grouped = crate::clusters::Grouped::of_sums(sums, n);
    // The critical value is never below 3.04.
    let near = grouped.standard_error().is_none_or(|se| grouped.mean.abs() <= 3.0 * se);
    if near { None } else { crate::sequence::from_grouped(&grouped, planned) }
}
