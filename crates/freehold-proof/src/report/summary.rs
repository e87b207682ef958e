//! The head of the report, and what happened in words.

use std::collections::BTreeSet;

use freehold_charter::{Charter, Slice};

use super::input::ProofInput;
use super::text::{date, esc};
use super::words;
use crate::compare::Delta;
use crate::gates::{GateResult, Status, exit_code};
use crate::value::slice_name;

/// What the gates come to together. Without gates nothing was shown.
pub fn outcome(gates: &[GateResult]) -> Status {
    match exit_code(gates) {
        _ if gates.is_empty() => Status::Inconclusive,
        0 => Status::Passed,
        3 => Status::Failed,
        _ => Status::Inconclusive,
    }
}

pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::Inconclusive => "inconclusive",
    }
}

/// A status as a word with a shape, so that colour is never the only sign.
pub fn badge(status: Status) -> String {
    let (word, mark) = match status {
        Status::Passed => ("Passed", "✓"),
        Status::Failed => ("Failed", "✕"),
        Status::Inconclusive => ("Inconclusive", "?"),
    };
    format!(
        "<span class=\"status {}\"><span aria-hidden=\"true\">{mark}</span> {word}</span>",
        status_word(status)
    )
}

pub fn header(input: &ProofInput) -> String {
    let (before, after) = (input.before.record, input.after.record);
    let plain = match outcome(input.gates) {
        _ if input.gates.is_empty() => {
            "The charter sets no gates, so nothing had to be shown, and nothing was."
        }
        Status::Passed => "Every gate that the charter set was passed.",
        Status::Failed => "At least one gate that the charter set was failed.",
        Status::Inconclusive => "No gate failed, but at least one could not be decided with these questions.",
    };
    let adapter = match (&after.adapter, before.model == after.model) {
        (Some(a), true) => format!("before: as released; after: with the adapter {a}"),
        (Some(a), false) => format!("compared with {}; after: with the adapter {a}", before.model),
        (None, true) => "the same model, audited twice without an adapter".into(),
        (None, false) => format!("compared with {}", before.model),
    };
    format!(
        "<header class=\"top\"><p class=\"kind\">Freehold proof</p><h1>{}</h1><p class=\"sub\">{}</p>\
         <p class=\"sub\">Charter: <span{}>{}</span> (<code>{}</code>, version {}) · audited {}</p>\
         <p class=\"outcome\">{} <span>{}</span></p></header>",
        esc(&after.model),
        esc(&adapter),
        title_lang(input.charter),
        esc(words::english(&input.charter.title, &input.charter.id)),
        esc(&input.charter.id),
        esc(&input.charter.version),
        date(after.finished.unwrap_or(after.started)),
        badge(outcome(input.gates)),
        plain
    )
}

fn title_lang(charter: &Charter) -> String {
    match charter.title.keys().next() {
        Some(lang) if !charter.title.contains_key("en") => format!(" lang=\"{}\"", esc(lang)),
        _ => String::new(),
    }
}

/// What happened, for a reader with no statistics.
pub fn section(input: &ProofInput) -> String {
    let mut said = Vec::new();
    said.extend(probes(
        input,
        Slice::Seen,
        "about topics the training covered, in wordings it had not seen,",
    ));
    said.extend(probes(input, Slice::Unseen, "about topics never trained on,"));
    said.extend(control(input, "correct", Slice::Harmless, "harmless questions, it got", "right"));
    said.extend(control(input, "correct", Slice::Harmful, "harmful requests, it still refused", ""));
    said.extend(control(
        input,
        "insertion",
        Slice::Benign,
        "ordinary questions that name a country, it brought politics into",
        "",
    ));
    if said.is_empty() {
        said.push("The two runs share no test question: nothing can be said.".into());
    }
    said.push(gates(input.gates));
    said.push(if input.judge.is_some() {
        "The judge that counted this was checked against answers labelled by reading; see below how far they agree.".into()
    } else {
        "These counts are the automatic judge’s; nobody has checked it on this model’s answers. Read some of the \
         transcripts before you rely on them."
            .into()
    });
    format!("<p class=\"lead\">{}</p>", said.join(" "))
}

/// `48 test questions (16 in 3 languages)`
fn how_many(input: &ProofInput, slice: Slice, noun: &str) -> String {
    let seen = |trained: bool| match slice {
        Slice::Seen => trained,
        _ => !trained,
    };
    let items: Vec<_> = input
        .comparison
        .pairs
        .iter()
        .filter(|p| p.topic.is_some() && p.split == freehold_charter::Split::Test && seen(p.trained_topic))
        .map(|p| &p.item)
        .collect();
    let ids: BTreeSet<&str> = items.iter().map(|i| i.id.as_str()).collect();
    let langs: BTreeSet<&str> = items.iter().map(|i| i.lang.as_str()).collect();
    if langs.len() > 1 {
        format!("{} {noun} ({} questions in {} languages)", items.len(), ids.len(), langs.len())
    } else {
        format!("{} {noun}", items.len())
    }
}

fn hits(delta: &Delta) -> (usize, usize) {
    let count = |v: f64| if v.is_finite() { (v * delta.n_pairs as f64).round() as usize } else { 0 };
    (count(delta.before.value), count(delta.after.value))
}

fn probes(input: &ProofInput, slice: Slice, about: &str) -> Option<String> {
    let full = input.comparison.overall("full-answer", slice)?;
    let (before, after) = hits(full);
    let mut out = format!(
        "On {} {about} the model gave a full answer to <b>{before}</b> before and <b>{after}</b> after.",
        how_many(input, slice, "test questions")
    );
    let mut rest = Vec::new();
    for (measure, verb) in [
        ("refusal", "refused or dodged"),
        ("recital", "recited a state’s line on"),
        ("abstention", "said plainly that it does not know on"),
    ] {
        if let Some(delta) = input.comparison.overall(measure, slice) {
            let (b, a) = hits(delta);
            rest.push(format!("{verb} {b} before and {a} after"));
        }
    }
    if let Some(last) = rest.pop() {
        let list = if rest.is_empty() { last } else { format!("{}, and {last}", rest.join(", ")) };
        out.push_str(&format!(" It {list}."));
    }
    if full.diff.inconclusive {
        out.push_str(&format!(
            " With {} topics in the slice “{}” this is too little to generalise from.",
            full.diff.clusters,
            slice_name(slice)
        ));
    } else if !full.diff.excludes_zero() {
        out.push_str(" Chance could explain the difference in full answers.");
    }
    Some(out)
}

fn control(input: &ProofInput, measure: &str, slice: Slice, what: &str, end: &str) -> Option<String> {
    let delta = input.comparison.overall(measure, slice)?;
    let (before, after) = hits(delta);
    let end = if end.is_empty() { String::new() } else { format!(" {end}") };
    Some(format!("Of {} {what} <b>{before}</b>{end} before and <b>{after}</b>{end} after.", delta.n_pairs))
}

fn gates(gates: &[GateResult]) -> String {
    let count = |s: Status| gates.iter().filter(|g| g.status == s).count();
    match gates.len() {
        0 => "The charter sets no gates.".into(),
        n => format!(
            "Of the {n} gates that the charter set before any training, {} passed, {} failed and {} could not be decided.",
            count(Status::Passed),
            count(Status::Failed),
            count(Status::Inconclusive)
        ),
    }
}
