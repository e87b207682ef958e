mod common;

use std::collections::BTreeMap;

use common::*;
use freehold_charter::{ControlKind, GateTest, Slice, Split};
use freehold_judge::run::Verdict;
use freehold_proof::{CompareError, Comparison, JudgeError, compare};
use freehold_stats::{Calibration, Counts, Estimate};

/// Ten topics, one probe each: all refused before, only the last one after.
fn ten() -> (Vec<Verdict>, Vec<Verdict>) {
    let refused = |i: usize, refusal| Verdict { refusal, ..probe(&format!("topic-{i}"), "p", "en") };
    ((0..10).map(|i| refused(i, true)).collect(), (0..10).map(|i| refused(i, i == 9)).collect())
}

fn plain(before: &[Verdict], after: &[Verdict]) -> Comparison {
    compare(before, after, &charter(vec![]), &BTreeMap::new(), None).unwrap()
}

#[test]
fn rates_and_tests_by_hand() {
    let (before, after) = ten();
    let d = plain(&before, &after).overall("refusal", Slice::Seen).unwrap().clone();
    assert_eq!((d.before.value, d.after.value, d.n_pairs), (1.0, 0.1, 10));
    assert!((d.diff.value + 0.9).abs() < 1e-12 && d.diff.high < 0.0);
    // Wilson, 1 of 10.
    assert!((d.after.low - 0.0179).abs() < 5e-5 && (d.after.high - 0.4042).abs() < 5e-5, "{:?}", d.after);
    // Nine changed, all one way: 2 of 512 sign patterns, and 2 · (1/2)⁹.
    assert!((d.p_sign_flip.unwrap() - 2.0 / 512.0).abs() < 1e-12);
    assert!((d.p_mcnemar.unwrap() - 2.0 / 512.0).abs() < 1e-12);
    // The family: labels of probes and coverage, all but one without any change.
    let family = 12;
    assert!((d.p_holm.unwrap() - f64::from(family) * 2.0 / 512.0).abs() < 1e-12, "{:?}", d.p_holm);
}

#[test]
fn slices_languages_and_governments() {
    let mut verdicts = vec![probe("a", "1", "en"), probe("a", "1", "zh-Hant"), probe("a", "2", "en")];
    verdicts.push(Verdict {
        trained_topic: false,
        about: vec!["US".into(), "CN".into()],
        ..probe("b", "1", "en")
    });
    verdicts.push(Verdict { split: Split::Dev, ..probe("a", "3", "en") });
    verdicts.push(control(ControlKind::Benign, "itinerary", None));
    let c = plain(&verdicts, &verdicts);
    let pairs = |slice, lang: &str, about: &str| {
        let of = |d: &&freehold_proof::Delta| {
            d.measure == "refusal" && d.slice == slice && d.lang == lang && d.about == about
        };
        c.deltas.iter().find(of).map_or(0, |d| d.n_pairs)
    };
    assert_eq!(pairs(Slice::Test, "all", "all"), 4);
    assert_eq!(pairs(Slice::Seen, "all", "all"), 3);
    assert_eq!(pairs(Slice::Unseen, "all", "all"), 1);
    assert_eq!(pairs(Slice::Dev, "all", "all"), 1);
    assert_eq!(pairs(Slice::Train, "all", "all"), 0);
    assert_eq!(pairs(Slice::Test, "zh-Hant", "all"), 1);
    assert_eq!(pairs(Slice::Test, "all", "US"), 1);
    assert_eq!(pairs(Slice::Test, "en", "CN"), 3);
    assert_eq!(pairs(Slice::Benign, "all", "all"), 1);
    assert!(c.overall("insertion", Slice::Benign).is_some());
    assert!(c.overall("insertion", Slice::Test).is_none(), "insertion is of controls");
    assert!(c.overall("full-answer", Slice::Benign).is_none(), "a full answer is of probes");
}

#[test]
fn topics_are_clusters_and_languages_of_a_topic_are_not() {
    let verdicts: Vec<_> = ["a", "b", "c"]
        .iter()
        .flat_map(|t| ["en", "zh-Hant"].iter().map(move |l| probe(t, "1", l)))
        .collect();
    let d = plain(&verdicts, &verdicts).overall("refusal", Slice::Test).unwrap().clone();
    assert_eq!((d.after.n, d.after.clusters, d.after.inconclusive), (6, 3, true));
    assert!(d.diff.low < 0.0 && d.diff.high > 0.0, "no change is no certainty: {:?}", d.diff);
    assert_eq!((d.p_sign_flip, d.p_mcnemar), (Some(1.0), Some(1.0)));
}

#[test]
fn joined_measures_hold_when_any_part_does() {
    let (before, mut after) = ten();
    after[0].recital = true;
    after[1].recital = true;
    let gates = vec![at_most(gate("g", "refusal+recital", Slice::Test, GateTest::Level), 0.5)];
    let c = compare(&before, &after, &charter(gates), &BTreeMap::new(), None).unwrap();
    let d = c.overall("refusal+recital", Slice::Test).unwrap();
    assert!((d.after.value - 0.3).abs() < 1e-12);
    assert_eq!(d.p_holm, None, "a joined measure is no member of the family");
}

#[test]
fn a_harmful_control_is_correct_when_refused() {
    let refused =
        |i: usize, refusal| Verdict { refusal, ..control(ControlKind::Harmful, &format!("h{i}"), None) };
    let before: Vec<_> = (0..9).map(|i| refused(i, true)).collect();
    let after: Vec<_> = (0..9).map(|i| refused(i, i != 0)).collect();
    let d = plain(&before, &after).overall("correct", Slice::Harmful).unwrap().clone();
    assert!((d.diff.value + 1.0 / 9.0).abs() < 1e-12);
}

#[test]
fn nothing_is_dropped_in_silence() {
    let (mut before, mut after) = ten();
    before[0].leaning = Some(-1.0);
    after[0].leaning = Some(1.5);
    before[1].leaning = Some(-1.0);
    before.push(probe("gone", "1", "en"));
    after.push(probe("new", "1", "en"));
    after.push(probe("new", "2", "en"));
    let c = plain(&before, &after);
    assert_eq!(c.unpaired.count(), 3);
    assert_eq!(c.unpaired.before_only[0].id, "gone/1");
    assert_eq!(c.pairs.len(), 10);
    assert_eq!(c.pairs[0].before.labels, ["refusal"]);
    let leaning = c.overall("leaning", Slice::Test).unwrap();
    assert_eq!((leaning.n_pairs, leaning.one_sided, leaning.diff.value), (1, 1, 2.5));
    assert_eq!(leaning.p_mcnemar, None);
}

#[test]
fn runs_that_do_not_match_are_an_error() {
    let (before, after) = ten();
    let twice: Vec<_> = before.iter().chain(&before).cloned().collect();
    let e = compare(&twice, &after, &charter(vec![]), &BTreeMap::new(), None).unwrap_err();
    assert!(matches!(e, CompareError::Duplicate { run: "before", .. }), "{e}");
    let mut other = after.clone();
    other[3].split = Split::Train;
    let e = compare(&before, &other, &charter(vec![]), &BTreeMap::new(), None).unwrap_err();
    assert!(matches!(e, CompareError::Changed { field: "split", .. }), "{e}");
    let mut broken = after;
    broken[3].coverage = Some(7.0);
    let e = compare(&before, &broken, &charter(vec![]), &BTreeMap::new(), None).unwrap_err();
    assert!(matches!(e, CompareError::Stats { .. }), "{e}");
}

#[test]
fn confusion_is_over_test_probes() {
    let (before, mut after) = ten();
    after[2].nearest_topic = Some("topic-0".into());
    after[3].nearest_topic = None;
    let c = plain(&before, &after);
    assert_eq!(c.confusion_before["topic-2"]["topic-2"], 1);
    assert_eq!(c.confusion_after["topic-2"]["topic-0"], 1);
    assert_eq!(c.confusion_after["topic-3"]["none"], 1);
}

#[test]
fn the_judges_error_is_carried_in() {
    let (before, after) = ten();
    let calibration = |se, sp| Calibration {
        sensitivity: Counts { hits: se, total: 50 },
        specificity: Counts { hits: sp, total: 50 },
    };
    let mut error = JudgeError::default();
    for measure in ["refusal", "spill"] {
        error.before.insert(measure.into(), calibration(50, 50));
    }
    error.after.insert("refusal".into(), calibration(45, 45));
    error.after.insert("spill".into(), calibration(25, 25));
    let c = compare(&before, &after, &charter(vec![]), &BTreeMap::new(), Some(&error)).unwrap();
    let d = c.overall("refusal", Slice::Test).unwrap();
    let corrected = d.corrected.as_ref().unwrap();
    // (0.1 + 0.9 − 1) / 0.8 = 0: the one refusal left is what such a judge says by mistake.
    assert!(corrected.after.value.abs() < 1e-12 && corrected.after.high > 0.1);
    assert!((corrected.diff.value + 1.0).abs() < 1e-12);
    assert_eq!(d.judged().2, &corrected.diff);
    assert!(c.overall("spill", Slice::Test).unwrap().corrected.is_none());
    assert!(c.notes.iter().any(|n| n.contains("spill") && n.contains("chance")), "{:?}", c.notes);
}

#[test]
fn extra_figures_and_json() {
    let (before, after) = ten();
    let kl = Estimate { value: 0.03, low: 0.02, high: 0.04, n: 60, clusters: 60, inconclusive: false };
    let extra = BTreeMap::from([("kl".to_owned(), kl.clone())]);
    let c = compare(&before, &after, &charter(vec![]), &extra, None).unwrap();
    let d = c.overall("kl", Slice::Harmless).unwrap();
    assert_eq!((d.before.value, &d.after, &d.diff), (0.0, &kl, &kl));
    let json = serde_json::to_string(&c).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), c);
}

#[test]
fn two_empty_runs_are_an_empty_comparison() {
    let c = plain(&[], &[]);
    assert!(c.deltas.is_empty() && c.pairs.is_empty());
}
