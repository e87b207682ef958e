use freehold_stats::{Bounds, Pair, clustered_mean, holm, paired_difference, sign_flip};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_interval_holds_its_value_and_stays_in_bounds(data in prop::collection::vec((0u8..12, 0.0f64..=1.0), 1..60)) {
        let e = clustered_mean(data.iter().copied(), Bounds::Rate).unwrap();
        prop_assert!(0.0 <= e.low && e.low <= e.value && e.value <= e.high && e.high <= 1.0 + 1e-12);
        prop_assert!(e.high > e.low);
        prop_assert_eq!(e.inconclusive, e.clusters < 8);

        let pairs: Vec<_> =
            data.iter().map(|&(cluster, v)| Pair { cluster, before: v, after: v.round() }).collect();
        let d = paired_difference(&pairs, Bounds::Rate, 0).unwrap();
        prop_assert!(d.estimate.low <= d.estimate.value && d.estimate.value <= d.estimate.high);
        prop_assert!(d.estimate.low >= -1.0 && d.estimate.high <= 1.0);
        prop_assert!((0.0..=1.0).contains(&d.sign_flip.p));
    }

    #[test]
    fn p_values_are_probabilities(sums in prop::collection::vec(-3i8..=3, 0..40)) {
        let sums: Vec<f64> = sums.into_iter().map(f64::from).collect();
        let p = sign_flip(&sums, 1).p;
        prop_assert!(p > 0.0 && p <= 1.0);
        let mirrored: Vec<f64> = sums.iter().map(|s| -s).collect();
        prop_assert!((sign_flip(&mirrored, 1).p - p).abs() < 1e-12);
    }

    #[test]
    fn holm_never_lowers_and_keeps_the_order(p in prop::collection::vec(0.0f64..=1.0, 0..20)) {
        let adjusted = holm(&p);
        for (i, a) in adjusted.iter().enumerate() {
            prop_assert!(*a >= p[i] && *a <= 1.0);
            for (j, b) in adjusted.iter().enumerate() {
                prop_assert!(p[i] > p[j] || a <= b);
            }
        }
    }
}
