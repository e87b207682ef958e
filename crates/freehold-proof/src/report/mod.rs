//! `report.html`: one file, without network, that a reader with no statistics can follow from top to bottom.
//!
//! Each section is one file here and returns HTML; [`text::esc`] is the only way in for foreign text. Nothing is handed
//! to the script as JSON: it filters by what stands, escaped, in the page.

mod agreement;
mod chart;
mod confusion;
mod cost;
mod curve;
mod gates;
mod highlight;
mod input;
mod leaning;
mod lineage;
mod scorecard;
mod summary;
pub(crate) mod text;
mod transcripts;
mod untested;
pub(crate) mod words;

use std::fmt::Write as _;

pub use input::{CurvePoint, JudgeAgreement, LabelAgreement, ProofInput, RunData, TrainingSummary};
pub use summary::outcome;
use text::esc;

/// The whole report, as one HTML file.
pub fn html(input: &ProofInput) -> String {
    let sections = [
        ("summary", "Summary", summary::section(input)),
        ("gates", "Gates", gates::section(input)),
        ("scorecard", "Scorecard", scorecard::section(input)),
        ("languages", "By language and government", scorecard::by_language(input)),
        ("judge", "How far to trust the judge", agreement::section(input)),
        ("transcripts", "Transcripts", transcripts::section(input)),
        ("confusion", "Nearest topics", confusion::section(input)),
        ("leaning", "Leaning and twin gaps", leaning::section(input)),
        ("training", "Training", curve::section(input)),
        ("cost", "What it cost", cost::section(input)),
        ("lineage", "Lineage", lineage::section(input)),
        ("not-tested", "What was not tested", untested::section(input)),
        ("glossary", "Glossary", glossary()),
    ];
    let mut nav = String::new();
    let mut main = String::new();
    for (id, title, body) in &sections {
        let _ = write!(nav, "<li><a href=\"#{id}\">{title}</a></li>");
        let _ = writeln!(
            main,
            "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{title}</h2>{body}</section>"
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{CSP}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">\
         <title>{title}</title><style>{CSS}</style></head><body>\n\
         <a class=\"skip\" href=\"#summary\">To the summary</a>\n{header}\n<div class=\"page\">\
         <nav aria-label=\"Contents\"><ol>{nav}</ol></nav>\n<main>\n{main}</main></div>\n\
         <footer>Freehold {version}. This file holds everything it shows; it loads nothing.</footer>\n\
         <script>{JS}</script></body></html>\n",
        title = esc(&format!("{} · Freehold proof", input.after.record.model)),
        header = summary::header(input),
        version = esc(&input.after.record.code_version),
    )
}

const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
                   base-uri 'none'; form-action 'none'";
const CSS: &str = include_str!("report.css");
const JS: &str = include_str!("report.js");

fn glossary() -> String {
    let mut out = String::from("<dl class=\"glossary\">");
    let general = [
        (
            "95% interval",
            "The range, in brackets, in which the true figure plausibly lies. The fewer the topics, the wider it is.",
        ),
        (
            "n, topics",
            "How many answers a figure is over, and how many topics they belong to. Answers on one topic tend to come \
             out alike, so intervals count topics, not only answers; with fewer than 8 a figure decides nothing.",
        ),
        (
            "p",
            "How often chance alone would give a difference this large if nothing had changed (sign-flip test over \
             topics, adjusted by Holm for the number of measures looked at).",
        ),
        (
            "Twin",
            "A question of equal difficulty about another government. A gap between twins shows whom the model spares.",
        ),
        ("Sensitivity", "Of the answers that a person gave a label, the share that the judge gave it too."),
        (
            "Specificity",
            "Of the answers that a person did not give a label, the share that the judge did not give it either.",
        ),
        ("Kappa", "Agreement of judge and person beyond chance: 1 is complete, 0 is no better than chance."),
    ];
    for w in &words::WORDS {
        let _ = write!(
            out,
            "<div><dt>{} <code>{}</code></dt><dd>{}</dd></div>",
            esc(w.title),
            w.measure,
            esc(w.meaning)
        );
    }
    for (term, meaning) in general {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", esc(term), esc(meaning));
    }
    out.push_str("</dl>");
    out
}
