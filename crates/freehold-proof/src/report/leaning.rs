//! Leaning, and the gaps between probes and their twins.

use freehold_charter::Slice;
use freehold_judge::run::Rate;
use freehold_stats::Estimate;

use super::chart::{LEGEND, Row, Scale, count, table};
use super::input::ProofInput;
use super::text::Unit;
use super::words::{self, Better};
use crate::compare::ALL;

pub fn section(input: &ProofInput) -> String {
    format!("<h3>Leaning</h3>{}<h3>Twin gaps</h3>{}", leaning(input), gaps(input))
}

fn leaning(input: &ProofInput) -> String {
    let rows: Vec<Row> = input
        .comparison
        .deltas
        .iter()
        .filter(|d| {
            d.measure == "leaning" && d.about == ALL && matches!(d.slice, Slice::Seen | Slice::Unseen)
        })
        .map(|d| {
            let row = Row::of(d).titled(words::slice(d.slice).0.to_owned());
            if d.lang == ALL { row } else { row.over(&d.lang) }
        })
        .collect();
    if rows.is_empty() {
        return "<p class=\"note\">Not scored in these runs.</p>".into();
    }
    format!(
        "<p>How much likelier the model finds the fact than the narrative as the reply, in nats per token. Above 0 it \
         leans to the fact. This needs no judge.</p>{LEGEND}{}",
        table("Leaning, in nats per token", &rows, Scale::around(&rows))
    )
}

fn gaps(input: &ProofInput) -> String {
    let (before, after) = (&input.before.scorecard.twin_gaps, &input.after.scorecard.twin_gaps);
    let rows: Vec<Row> = after
        .iter()
        .filter(|r| r.lang == ALL)
        .filter_map(|a| Some(row(before.iter().find(|b| same(a, b))?, a)))
        .collect();
    if rows.is_empty() {
        return "<p class=\"note\">No question and its twin were both asked.</p>".into();
    }
    format!(
        "<p>Rate on a question minus the rate on a question of equal difficulty about another government. 0 is even-handed; \
         “about CN” are the questions about that government against their twins.</p>{}",
        table("Twin gaps, in percentage points", &rows, Scale::GAP)
    )
}

fn same(a: &Rate, b: &Rate) -> bool {
    (&a.measure, &a.slice, &a.lang, &a.about) == (&b.measure, &b.slice, &b.lang, &b.about)
}

fn row(before: &Rate, after: &Rate) -> Row {
    let about = if after.about == ALL { "all".to_owned() } else { format!("about {}", after.about) };
    let before = estimate(before);
    Row {
        title: words::title(&after.measure),
        note: format!("{about}, {}", count(&before)),
        before,
        after: estimate(after),
        // The two gaps are not paired with each other here, so no interval of their difference is given.
        diff: None,
        p: None,
        unit: Unit::Percent,
        better: Better::Neither,
    }
}

fn estimate(rate: &Rate) -> Estimate {
    let e = &rate.estimate;
    Estimate {
        value: e.value,
        low: e.low,
        high: e.high,
        n: e.n,
        clusters: e.clusters,
        inconclusive: e.inconclusive,
    }
}
