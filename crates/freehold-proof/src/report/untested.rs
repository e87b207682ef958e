//! What the proof does not show. Written out of the data where the data tell it, so that it cannot be forgotten.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use freehold_charter::{Slice, Split};

use super::input::ProofInput;
use super::text::{esc, thousands};
use super::words;
use crate::compare::ALL;
use crate::value::SLICES;

pub fn section(input: &ProofInput) -> String {
    let mut list = Vec::new();
    list.extend(languages(input));
    list.extend(left_out(input));
    if input.before.record.until_decided || input.after.record.until_decided {
        list.push(
            "<b>Part of the questions.</b> An audit stopped when its gates were decided; the figures are over the questions \
             that both runs asked, drawn at random."
                .into(),
        );
    }
    list.push(if input.after.record.temperature == 0.0 {
        "<b>One sample.</b> Each question was asked once, with greedy decoding. What the model may say when it is sampled \
         was not seen."
            .into()
    } else {
        "<b>One sample.</b> Each question was asked once. What else the model may say was not seen.".to_owned()
    });
    list.push(
        "<b>Free invention.</b> The judge matches literal evidence. A false statement in words that neither the charter nor \
         the judge’s lists foresee goes unseen, and so does a fact stated in unforeseen words."
            .into(),
    );
    if input.judge.is_none() {
        list.push("<b>The judge itself.</b> Its error on this model’s answers was not measured.".into());
    }
    list.push(
        "<b>Other weights.</b> The figures hold for the weights of the digest in the lineage. Another quantisation, or the \
         unquantised model, may answer otherwise."
            .into(),
    );
    list.push(
        "<b>Conversation.</b> Single questions only: no second turn, no pressure, no other system prompt."
            .into(),
    );
    list.push(
        "<b>Adversaries.</b> No jailbreak, injected instruction or disguised request was tried.".into(),
    );
    list.extend(small(input));
    list.extend(inconclusive(input));
    if input.comparison.overall("leaning", Slice::Test).is_none() {
        list.push("<b>Leaning</b> was not scored.".into());
    }
    if input.comparison.overall("open-book", Slice::Test).is_none() {
        list.push(
            "<b>Open book.</b> The questions were not asked with the facts at hand, so that an abstention may be \
             ignorance or suppression."
                .into(),
        );
    }
    if input.kl.is_none() && input.comparison.overall("kl", Slice::Harmless).is_none() {
        list.push(
            "<b>KL divergence</b> from the original model on harmless replies was not measured.".into(),
        );
    }
    list.extend(input.comparison.notes.iter().map(|n| esc(n)));
    let mut out = String::from("<div class=\"box\"><ul>");
    for entry in list {
        let _ = write!(out, "<li>{entry}</li>");
    }
    out.push_str("</ul></div>");
    out
}

fn languages(input: &ProofInput) -> Option<String> {
    let asked: BTreeSet<&str> = input.comparison.pairs.iter().map(|p| p.item.lang.as_str()).collect();
    let left: Vec<String> = input
        .charter
        .languages
        .iter()
        .filter(|l| !asked.contains(l.as_str()))
        .map(|l| esc(&words::language(l)))
        .collect();
    (!left.is_empty())
        .then(|| format!("<b>Languages left out</b> of those the charter has: {}.", left.join("; ")))
}

/// Test items of the charter, in the languages asked, that are in no pair.
fn left_out(input: &ProofInput) -> Option<String> {
    let have: BTreeSet<(&str, &str)> =
        input.comparison.pairs.iter().map(|p| (p.item.id.as_str(), p.item.lang.as_str())).collect();
    let langs: BTreeSet<&str> = have.iter().map(|h| h.1).collect();
    let mut due = 0_u64;
    let mut missing = 0_u64;
    let mut look = |id: &str, text: &freehold_charter::Text| {
        for lang in text.keys().filter(|l| langs.contains(l.as_str())) {
            due += 1;
            missing += u64::from(!have.contains(&(id, lang.as_str())));
        }
    };
    for topic in &input.charter.topics {
        for probe in topic.probes.iter().filter(|p| p.split == Split::Test) {
            look(&format!("{}/{}", topic.id, probe.id), &probe.text);
        }
    }
    for control in input.charter.controls.iter().filter(|c| c.split == Split::Test) {
        look(&control.id, &control.text);
    }
    let one_run = input.comparison.unpaired.count() as u64;
    let mut out = String::new();
    if missing > 0 {
        let _ = write!(
            out,
            "<b>Questions left out.</b> {} of the charter’s {} test items in these languages are in no figure.",
            thousands(missing),
            thousands(due)
        );
    }
    if one_run > 0 {
        let _ = write!(out, " {} items were answered in one run only.", thousands(one_run));
    }
    (!out.is_empty()).then(|| out.trim_start().to_owned())
}

fn small(input: &ProofInput) -> Option<String> {
    let deltas = &input.comparison.deltas;
    let langs = input.charter.languages.iter().filter_map(|lang| {
        let d = deltas.iter().find(|d| {
            d.measure == "full-answer" && d.slice == Slice::Test && d.lang == *lang && d.about == ALL
        })?;
        Some(format!("{} {} in {} topics", esc(&words::language(lang)), d.n_pairs, d.before.clusters))
    });
    let langs: Vec<String> = langs.collect();
    (!langs.is_empty()).then(|| {
        format!(
            "<b>Few questions per language</b> (test questions: {}). Only large differences show.",
            langs.join("; ")
        )
    })
}

fn inconclusive(input: &ProofInput) -> Option<String> {
    let unsure = |slice: &Slice| {
        let mut rows = input
            .comparison
            .deltas
            .iter()
            .filter(|d| d.slice == *slice && d.lang == ALL && d.about == ALL)
            .peekable();
        rows.peek().is_some() && rows.all(|d| d.diff.inconclusive)
    };
    let slices: Vec<&str> = SLICES.iter().filter(|s| unsure(s)).map(|s| words::slice(*s).0).collect();
    (!slices.is_empty()).then(|| {
        format!(
            "<b>Too few topics or items to decide anything:</b> {}.",
            esc(&slices.join("; ").to_lowercase())
        )
    })
}
