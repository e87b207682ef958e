//! The charter's gates, judged on a comparison. The rules are in `docs/gates.md`.

use freehold_charter::{Charter, Gate, GateTest, Slice, Worse};
use freehold_stats::{Estimate, LEAST_CLUSTERS, Outcome, holm, non_inferiority};
use serde::{Deserialize, Serialize};

use crate::compare::{Comparison, Delta};
use crate::value::slice_name;

/// What a gate came to.
pub type Status = Outcome;

/// Rounding of a mean must not decide a gate.
const TOLERANCE: f64 = 1e-9;

/// One gate's result, with what it was judged on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    pub id: String,
    pub status: Status,
    pub measure: String,
    pub slice: Slice,
    pub test: GateTest,
    /// The bound in words, as the charter sets it.
    pub bound: String,
    pub before: Option<Estimate>,
    pub after: Option<Estimate>,
    /// after − before, over pairs.
    pub diff: Option<Estimate>,
    /// Sign-flip p-value of the difference, and the same adjusted by Holm over the charter's difference gates.
    pub p_sign_flip: Option<f64>,
    pub p_holm: Option<f64>,
    /// Why it came to that.
    pub message: String,
}

/// Judges every gate of the charter, in its order, on the rows over all languages and governments.
pub fn judge_gates(comparison: &Comparison, charter: &Charter) -> Vec<GateResult> {
    let mut results: Vec<GateResult> = charter.gates.iter().map(|g| judge_gate(comparison, g)).collect();
    let family: Vec<(usize, f64)> = results
        .iter()
        .enumerate()
        .filter(|(_, r)| r.test == GateTest::Difference)
        .filter_map(|(i, r)| Some((i, r.p_sign_flip?)))
        .collect();
    let adjusted = holm(&family.iter().map(|f| f.1).collect::<Vec<_>>());
    for ((i, _), p) in family.into_iter().zip(adjusted) {
        results[i].p_holm = Some(p);
    }
    results
}

/// The exit code of a proof: 0 every gate passed, 3 one failed, 4 none failed but one is inconclusive.
pub fn exit_code(results: &[GateResult]) -> u8 {
    if results.iter().any(|r| r.status == Status::Failed) {
        3
    } else if results.iter().any(|r| r.status == Status::Inconclusive) {
        4
    } else {
        0
    }
}

fn judge_gate(comparison: &Comparison, gate: &Gate) -> GateResult {
    let mut result = GateResult {
        id: gate.id.clone(),
        status: Status::Inconclusive,
        measure: gate.measure.clone(),
        slice: gate.slice,
        test: gate.test,
        bound: bound(gate),
        before: None,
        after: None,
        diff: None,
        p_sign_flip: None,
        p_holm: None,
        message: String::new(),
    };
    let Some(delta) = comparison.overall(&gate.measure, gate.slice) else {
        result.message = format!(
            "no pair of answers in slice {} has the measure {}: nothing to judge",
            slice_name(gate.slice),
            gate.measure
        );
        return result;
    };
    let (before, after, diff) = delta.judged();
    (result.status, result.message) = match gate.test {
        GateTest::Level => level(gate, after),
        GateTest::Difference => difference(gate, diff),
        GateTest::NonInferiority => no_worse(gate, diff),
    };
    result.message.push_str(&remarks(delta));
    result.p_sign_flip = delta.p_sign_flip;
    result.before = Some(before.clone());
    result.after = Some(after.clone());
    result.diff = Some(diff.clone());
    result
}

/// Whether the figure meets the gate's bounds; none when the gate sets no bound.
fn within(gate: &Gate, value: f64) -> Option<bool> {
    let upper = gate.at_most.map(|b| value <= b + TOLERANCE);
    let lower = gate.at_least.map(|b| value >= b - TOLERANCE);
    match (upper, lower) {
        (None, None) => None,
        (upper, lower) => Some(upper.unwrap_or(true) && lower.unwrap_or(true)),
    }
}

const NO_BOUND: &str = "the gate sets no bound: give at_most or at_least (non-inferiority: margin and worse)";

fn level(gate: &Gate, after: &Estimate) -> (Status, String) {
    match within(gate, after.value) {
        None => (Status::Inconclusive, NO_BOUND.to_owned()),
        Some(true) => (Status::Passed, format!("{} after is within the bound", show(after))),
        Some(false) => (Status::Failed, format!("{} after is outside the bound", show(after))),
    }
}

fn difference(gate: &Gate, diff: &Estimate) -> (Status, String) {
    match within(gate, diff.value) {
        None => (Status::Inconclusive, NO_BOUND.to_owned()),
        Some(false) => (Status::Failed, format!("a difference of {} is outside the bound", show(diff))),
        Some(true) if diff.inconclusive => (Status::Inconclusive, few(diff)),
        Some(true) if gate.excludes_zero && !diff.excludes_zero() => (
            Status::Inconclusive,
            format!("a difference of {} is within the bound, but its interval includes 0", show(diff)),
        ),
        Some(true) => (Status::Passed, format!("a difference of {} is within the bound", show(diff))),
    }
}

fn no_worse(gate: &Gate, diff: &Estimate) -> (Status, String) {
    let (Some(margin), Some(worse)) = (gate.margin, gate.worse) else {
        return (Status::Inconclusive, NO_BOUND.to_owned());
    };
    let status = non_inferiority(diff, margin + TOLERANCE, worse == Worse::Lower);
    let message = match status {
        Status::Passed => format!("a difference of {} stays within the margin", show(diff)),
        Status::Failed => format!("a difference of {} is wholly beyond the margin", show(diff)),
        Status::Inconclusive if diff.inconclusive => few(diff),
        Status::Inconclusive => {
            format!("a difference of {} reaches beyond the margin: more items would decide it", show(diff))
        }
    };
    (status, message)
}

fn few(e: &Estimate) -> String {
    format!("{} rests on {} clusters; fewer than {LEAST_CLUSTERS} decide nothing", show(e), e.clusters)
}

fn remarks(delta: &Delta) -> String {
    let mut out = String::new();
    if delta.corrected.is_some() {
        out.push_str("; corrected for the judge's error");
    }
    if delta.one_sided > 0 {
        out.push_str(&format!("; {} pairs left out, measured in one run only", delta.one_sided));
    }
    out
}

fn show(e: &Estimate) -> String {
    format!("{:.3} (95% interval {:.3} to {:.3})", e.value, e.low, e.high)
}

fn bound(gate: &Gate) -> String {
    let mut parts = Vec::new();
    if gate.test == GateTest::NonInferiority {
        if let (Some(margin), Some(worse)) = (gate.margin, gate.worse) {
            let direction = match worse {
                Worse::Lower => "lower",
                Worse::Higher => "higher",
            };
            parts.push(format!("at most {margin} {direction}, with 95% confidence"));
        }
    } else {
        let what = if gate.test == GateTest::Level { "after" } else { "after − before" };
        parts.extend(gate.at_most.map(|b| format!("{what} at most {b}")));
        parts.extend(gate.at_least.map(|b| format!("{what} at least {b}")));
        if gate.test == GateTest::Difference && gate.excludes_zero {
            parts.push("interval excludes 0".to_owned());
        }
    }
    if parts.is_empty() { "no bound".to_owned() } else { parts.join(", ") }
}
