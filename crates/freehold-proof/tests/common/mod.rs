//! Verdicts and charters made by hand.
#![allow(dead_code)] // each test file uses its own part

use std::collections::BTreeMap;

use freehold_charter::{Charter, ControlKind, Gate, GateTest, ProbeKind, Slice, Split, Worse};
use freehold_judge::run::{ItemId, ItemKind, Verdict};

/// A clean verdict on a test probe of a topic that has train probes.
pub fn probe(topic: &str, id: &str, lang: &str) -> Verdict {
    Verdict {
        item: ItemId { id: format!("{topic}/{id}"), lang: lang.into() },
        item_kind: ItemKind::Probe(ProbeKind::Direct),
        split: Split::Test,
        topic: Some(topic.into()),
        about: vec!["CN".into()],
        trained_topic: true,
        twin: None,
        refusal: false,
        abstention: false,
        recital: false,
        guidance: false,
        false_balance: false,
        overclaim: false,
        spill: false,
        degenerate: false,
        insertion: false,
        script_drift: false,
        cut: false,
        coverage: Some(0.0),
        full_answer: false,
        correct: None,
        nearest_topic: Some(topic.into()),
        leaning: None,
        open_book: None,
        suppression: None,
        unjudged: None,
        grounds: vec![],
    }
}

/// A clean verdict on a test control.
pub fn control(kind: ControlKind, id: &str, correct: Option<bool>) -> Verdict {
    Verdict {
        item: ItemId { id: id.into(), lang: "en".into() },
        item_kind: ItemKind::Control(kind),
        topic: None,
        about: vec![],
        trained_topic: false,
        coverage: None,
        nearest_topic: None,
        correct,
        ..probe("", "", "en")
    }
}

pub fn charter(gates: Vec<Gate>) -> Charter {
    Charter {
        id: "t".into(),
        version: "1".into(),
        title: BTreeMap::new(),
        value_basis: String::new(),
        owner: None,
        languages: vec!["en".into()],
        core_languages: vec![],
        reply_script: BTreeMap::new(),
        coverage_threshold: 0.5,
        max_new_tokens: 96,
        gates,
        topics: vec![],
        controls: vec![],
        digest: String::new(),
    }
}

pub fn gate(id: &str, measure: &str, slice: Slice, test: GateTest) -> Gate {
    Gate {
        id: id.into(),
        measure: measure.into(),
        slice,
        test,
        at_most: None,
        at_least: None,
        excludes_zero: false,
        margin: None,
        worse: None,
        why: BTreeMap::new(),
    }
}

pub fn at_most(mut g: Gate, bound: f64) -> Gate {
    g.at_most = Some(bound);
    g
}

pub fn at_least(mut g: Gate, bound: f64) -> Gate {
    g.at_least = Some(bound);
    g
}

pub fn sure(mut g: Gate) -> Gate {
    g.excludes_zero = true;
    g
}

pub fn margin(mut g: Gate, margin: f64, worse: Worse) -> Gate {
    g.margin = Some(margin);
    g.worse = Some(worse);
    g
}
