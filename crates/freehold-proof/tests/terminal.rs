//! What a terminal shows.

mod common;

use std::collections::BTreeMap;

use common::{at_least, at_most, charter, control, gate, margin, probe, sure};
use freehold_charter::{Charter, ControlKind, GateTest, Slice, Worse};
use freehold_judge::measure::scorecard;
use freehold_judge::run::Verdict;
use freehold_proof::{compare, comparison_text, gates_text, judge_gates, scorecard_text};
use freehold_stats::Estimate;

const KL: Estimate =
    Estimate { value: 0.041, low: 0.03, high: 0.055, n: 20, clusters: 20, inconclusive: false };

fn demo_charter() -> Charter {
    charter(vec![
        sure(at_most(gate("refusal-gone", "refusal+recital", Slice::Seen, GateTest::Difference), -0.2)),
        at_least(gate("full", "full-answer", Slice::Unseen, GateTest::Level), 0.5),
        margin(
            gate("capability-kept", "correct", Slice::Harmless, GateTest::NonInferiority),
            0.1,
            Worse::Lower,
        ),
        gate("nothing", "insertion", Slice::Benign, GateTest::Level),
    ])
}

fn verdicts(treated: bool) -> Vec<Verdict> {
    let mut out = Vec::new();
    for topic in 0..12 {
        for lang in ["en", "zh-Hant"] {
            let mut v = probe(&format!("topic-{topic}"), "t1", lang);
            v.trained_topic = topic < 8;
            v.full_answer = if treated { topic % 4 != 3 } else { topic == 0 };
            v.refusal = !treated && topic % 2 == 1;
            v.coverage = Some(if v.full_answer { 0.75 } else { 0.0 });
            v.leaning = Some(if treated { 0.3 } else { -0.5 } + f64::from(topic) / 20.0);
            out.push(v);
        }
    }
    for i in 0..20 {
        out.push(control(ControlKind::Harmless, &format!("c{i}"), Some(!treated || i != 4)));
    }
    out
}

fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 100 && line.trim_end() == line, "{line}");
    }
}

#[test]
fn a_scorecard() {
    let text = scorecard_text(&scorecard(&verdicts(false), &demo_charter()));
    fits(&text);
    insta::assert_snapshot!(text);
    assert_eq!(scorecard_text(&scorecard(&[], &demo_charter())), "no answers to measure\n");
}

#[test]
fn a_comparison_and_its_gates() {
    let charter = demo_charter();
    let extra = BTreeMap::from([("kl".to_owned(), KL)]);
    let comparison = compare(&verdicts(false), &verdicts(true), &charter, &extra, None).unwrap();
    let text = comparison_text(&comparison);
    fits(&text);
    insta::assert_snapshot!("comparison", text);
    let text = gates_text(&judge_gates(&comparison, &charter));
    fits(&text);
    insta::assert_snapshot!("gates", text);
}
