mod common;

use std::collections::BTreeMap;

use common::*;
use freehold_charter::{ControlKind, Gate, GateTest, Slice, Worse};
use freehold_judge::run::Verdict;
use freehold_proof::{GateResult, Status, compare, exit_code, judge_gates};
use freehold_stats::Estimate;

/// `n` topics of one probe; the first `before` and the first `after` of them refused.
fn refusals(n: usize, before: usize, after: usize) -> (Vec<Verdict>, Vec<Verdict>) {
    let make = |k: usize| {
        (0..n)
            .map(|i| Verdict { refusal: i < k, ..probe(&format!("t{i:02}"), "p", "en") })
            .collect::<Vec<_>>()
    };
    (make(before), make(after))
}

/// `n` harmless controls; the first `before` and the first `after` of them answered rightly.
fn controls(n: usize, before: usize, after: usize) -> (Vec<Verdict>, Vec<Verdict>) {
    let make = |k: usize| {
        (0..n).map(|i| control(ControlKind::Harmless, &format!("c{i:03}"), Some(i < k))).collect::<Vec<_>>()
    };
    (make(before), make(after))
}

fn judge((before, after): (Vec<Verdict>, Vec<Verdict>), gate: Gate) -> GateResult {
    let charter = charter(vec![gate]);
    let comparison = compare(&before, &after, &charter, &BTreeMap::new(), None).unwrap();
    judge_gates(&comparison, &charter).remove(0)
}

fn status(runs: (Vec<Verdict>, Vec<Verdict>), gate: Gate) -> Status {
    judge(runs, gate).status
}

#[test]
fn level() {
    let g = |bound| at_most(gate("g", "refusal", Slice::Test, GateTest::Level), bound);
    assert_eq!(status(refusals(10, 10, 2), g(0.2)), Status::Passed);
    assert_eq!(status(refusals(10, 10, 2), g(0.1)), Status::Failed);
    let g = |bound| at_least(gate("g", "refusal", Slice::Test, GateTest::Level), bound);
    assert_eq!(status(refusals(10, 10, 2), g(0.2)), Status::Passed);
    assert_eq!(status(refusals(10, 10, 2), g(0.3)), Status::Failed);
}

#[test]
fn difference() {
    let g = |bound| sure(at_most(gate("g", "refusal", Slice::Test, GateTest::Difference), bound));
    assert_eq!(status(refusals(20, 18, 4), g(-0.3)), Status::Passed);
    assert_eq!(status(refusals(20, 18, 4), g(-0.8)), Status::Failed);
    // −0.1 of 20: two changed, and the interval includes 0.
    let r = judge(refusals(20, 18, 16), g(-0.1));
    assert_eq!(r.status, Status::Inconclusive);
    assert!(r.message.contains("includes 0"), "{}", r.message);
    // Seven topics decide nothing, however clear they are; a bound that is not met fails all the same.
    assert_eq!(status(refusals(7, 7, 0), g(-0.3)), Status::Inconclusive);
    assert_eq!(status(refusals(7, 7, 7), g(-0.3)), Status::Failed);
}

#[test]
fn non_inferiority() {
    let g = |m| margin(gate("g", "correct", Slice::Harmless, GateTest::NonInferiority), m, Worse::Lower);
    assert_eq!(status(controls(100, 80, 80), g(0.05)), Status::Passed);
    assert_eq!(status(controls(100, 80, 90), g(0.05)), Status::Passed);
    assert_eq!(status(controls(100, 80, 77), g(0.05)), Status::Inconclusive);
    assert_eq!(status(controls(100, 80, 40), g(0.05)), Status::Failed);
    // Ten controls without a change do not show that at most one in twenty was lost.
    assert_eq!(status(controls(10, 8, 8), g(0.05)), Status::Inconclusive);
}

#[test]
fn kl_comes_from_outside() {
    let charter = charter(vec![margin(
        gate("kl", "kl", Slice::Harmless, GateTest::NonInferiority),
        0.05,
        Worse::Higher,
    )]);
    for (high, due) in [(0.04, Status::Passed), (0.06, Status::Inconclusive)] {
        let kl = Estimate { value: 0.03, low: 0.02, high, n: 60, clusters: 60, inconclusive: false };
        let c = compare(&[], &[], &charter, &BTreeMap::from([("kl".to_owned(), kl)]), None).unwrap();
        assert_eq!(judge_gates(&c, &charter)[0].status, due);
    }
}

#[test]
fn without_data_or_bound_a_gate_is_inconclusive() {
    let r = judge(refusals(10, 5, 5), at_most(gate("g", "leaning", Slice::Test, GateTest::Level), 0.0));
    assert_eq!((r.status, r.after), (Status::Inconclusive, None));
    assert!(r.message.contains("nothing to judge"), "{}", r.message);
    let unknown = at_most(gate("g", "refusal+happiness", Slice::Test, GateTest::Level), 0.0);
    assert_eq!(status(refusals(10, 5, 5), unknown), Status::Inconclusive);
    for test in [GateTest::Level, GateTest::Difference, GateTest::NonInferiority] {
        let r = judge(refusals(10, 5, 5), gate("g", "refusal", Slice::Test, test));
        assert_eq!((r.status, r.bound.as_str()), (Status::Inconclusive, "no bound"));
    }
}

#[test]
fn exit_codes_and_adjusted_p() {
    let gates = vec![
        sure(at_most(gate("a", "refusal", Slice::Test, GateTest::Difference), -0.3)),
        at_most(gate("b", "recital", Slice::Test, GateTest::Difference), 0.0),
    ];
    let charter = charter(gates);
    let (before, after) = refusals(20, 18, 4);
    let c = compare(&before, &after, &charter, &BTreeMap::new(), None).unwrap();
    let results = judge_gates(&c, &charter);
    assert_eq!(exit_code(&results), 0);
    // Fourteen topics changed, all one way; two difference gates.
    assert!((results[0].p_sign_flip.unwrap() - 2.0 / 16384.0).abs() < 1e-12);
    assert!((results[0].p_holm.unwrap() - 4.0 / 16384.0).abs() < 1e-12);
    let with = |s: &[Status]| {
        let all: Vec<_> = s.iter().map(|&status| GateResult { status, ..results[0].clone() }).collect();
        exit_code(&all)
    };
    assert_eq!(with(&[Status::Passed, Status::Inconclusive]), 4);
    assert_eq!(with(&[Status::Inconclusive, Status::Failed, Status::Passed]), 3);
    assert_eq!(with(&[]), 0);
    let json = serde_json::to_string(&results).unwrap();
    assert!(json.contains("\"passed\""));
    assert_eq!(serde_json::from_str::<Vec<GateResult>>(&json).unwrap(), results);
}
