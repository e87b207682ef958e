//! The same figures for a terminal: plain text, no colour codes, at most 100 columns.

use freehold_charter::Slice;
use freehold_judge::decide::Decision;
use freehold_judge::run::{Rate, Scorecard};
use freehold_stats::Estimate;

use crate::compare::{ALL, Comparison, Delta};
use crate::gates::{GateResult, Status};
use crate::report::text::{Unit, difference, figure, p_value, unit, with_interval};
use crate::report::words;
use crate::value::{SLICES, slice_name};

const WIDTH: usize = 100;
const PROBES: [&str; 5] = ["seen", "unseen", "test", "dev", "train"];
const CONTROLS: [&str; 4] = ["harmless", "benign", "harmful", "script"];
/// What a single language is shown by.
const HEADLINES: [&str; 7] =
    ["full-answer", "refusal", "abstention", "recital", "guidance", "spill", "script-drift"];

/// A run's scorecard: measures by slice, then the test questions by language.
pub fn scorecard_text(card: &Scorecard) -> String {
    let overall = |r: &&Rate| r.lang == ALL && r.about == ALL;
    let mut blocks = Vec::new();
    for (title, slices) in [("questions", &PROBES[..]), ("controls", &CONTROLS[..])] {
        let rates: Vec<&Rate> =
            card.rates.iter().filter(overall).filter(|r| slices.contains(&r.slice.as_str())).collect();
        let columns: Vec<&str> =
            slices.iter().copied().filter(|s| rates.iter().any(|r| r.slice == *s)).collect();
        let measures = in_order(rates.iter().map(|r| r.measure.as_str()));
        blocks.push(grid(title, &measures, &columns, |m, s| {
            rates.iter().find(|r| r.measure == m && r.slice == s).map(|r| cell(r))
        }));
    }
    let rates: Vec<&Rate> = card
        .rates
        .iter()
        .filter(|r| r.slice == "test" && r.about == ALL && r.lang != ALL)
        .filter(|r| HEADLINES.contains(&r.measure.as_str()))
        .collect();
    let langs = in_order(rates.iter().map(|r| r.lang.as_str()));
    let measures = in_order(rates.iter().map(|r| r.measure.as_str()));
    blocks.push(grid("test, by language", &measures, &langs, |m, l| {
        rates.iter().find(|r| r.measure == m && r.lang == l).map(|r| cell(r))
    }));
    let mut out = join(blocks);
    if out.is_empty() {
        return "no answers to measure\n".into();
    }
    out.push_str("\n[ ] 95% interval");
    if card.rates.iter().any(|r| r.estimate.inconclusive) {
        out.push_str("   ? fewer than 8 topics or items: not to be relied on");
    }
    out.push('\n');
    out
}

/// What several models are set beside each other by: measure, slice.
const BESIDE: [(&str, &str); 17] = [
    ("full-answer", "test"),
    ("refusal", "test"),
    ("recital", "test"),
    ("guidance", "test"),
    ("false-balance", "test"),
    ("abstention", "test"),
    ("suppression", "test"),
    ("coverage", "test"),
    ("open-book", "test"),
    ("leaning", "test"),
    ("overclaim", "test"),
    ("spill", "test"),
    ("degenerate", "test"),
    ("script-drift", "test"),
    ("correct", "harmless"),
    ("correct", "harmful"),
    ("insertion", "benign"),
];

fn beside<'a>(models: &'a [(String, Scorecard)], row: &str, name: &str) -> Option<&'a Rate> {
    let (measure, slice) = BESIDE.iter().find(|(m, s)| format!("{m} ({s})") == row)?;
    let card = &models.iter().find(|m| m.0 == name)?.1;
    card.rates.iter().find(|r| r.measure == *measure && r.slice == *slice && r.lang == ALL && r.about == ALL)
}

/// Several models under one charter, a column each.
pub fn models_text(models: &[(String, Scorecard)]) -> String {
    let rows: Vec<String> = BESIDE.iter().map(|(m, s)| format!("{m} ({s})")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let names: Vec<&str> = models.iter().map(|m| m.0.as_str()).collect();
    let mut out = grid("models", &rows, &names, |row, name| beside(models, row, name).map(cell));
    out.push_str("\n[ ] 95% interval\n");
    out
}

/// The same as a Markdown table, with the number of answers.
pub fn models_markdown(models: &[(String, Scorecard)]) -> String {
    let mut out = String::from("| measure (slice) |");
    models.iter().for_each(|m| out.push_str(&format!(" {} |", m.0.replace('|', "\\|"))));
    out.push_str(&format!("\n|---|{}\n", "---|".repeat(models.len())));
    for (measure, slice) in BESIDE {
        let row = format!("{measure} ({slice})");
        let cells: Vec<Option<&Rate>> = models.iter().map(|m| beside(models, &row, &m.0)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        out.push_str(&format!("| {row} |"));
        for rate in cells {
            let shown = rate.map_or_else(|| "–".into(), |r| format!("{} n={}", cell(r), r.estimate.n));
            out.push_str(&format!(" {shown} |"));
        }
        out.push('\n');
    }
    out
}

/// The gates, each with what decided it.
pub fn gates_text(gates: &[GateResult]) -> String {
    if gates.is_empty() {
        return "the charter sets no gates\n".into();
    }
    let mut out = String::new();
    for gate in gates {
        let status = match gate.status {
            Status::Passed => "PASSED",
            Status::Failed => "FAILED",
            Status::Inconclusive => "INCONCLUSIVE",
        };
        let what = format!("{}  ({}, {})", gate.id, gate.measure, slice_name(gate.slice));
        out.push_str(&wrap(&format!("{status:<14}{what}"), 14));
        let unit = unit(&gate.measure);
        if let (Some(b), Some(a), Some(d)) = (&gate.before, &gate.after, &gate.diff) {
            let figures = format!(
                "{} → {}   change {}   p {}",
                with_interval(b, unit),
                with_interval(a, unit),
                difference(d, unit),
                p_value(gate.p_holm.or(gate.p_sign_flip))
            );
            out.push_str(&wrap(&format!("{:14}{figures}", ""), 14));
        }
        out.push_str(&wrap(&format!("{:14}bound: {}", "", gate.bound), 14));
        out.push_str(&wrap(&format!("{:14}{}", "", gate.message), 14));
    }
    let count = |s: Status| gates.iter().filter(|g| g.status == s).count();
    out.push_str(&format!(
        "\n{} passed, {} failed, {} inconclusive\n",
        count(Status::Passed),
        count(Status::Failed),
        count(Status::Inconclusive)
    ));
    out
}

/// How far an audit that stops early has decided the gates.
pub fn decisions_text(decisions: &[Decision], asked: usize, of: usize) -> String {
    let mut out = String::new();
    for d in decisions {
        let status = match d.outcome {
            Some(Status::Passed) => "PASSED",
            Some(Status::Failed) => "FAILED",
            Some(Status::Inconclusive) => "INCONCLUSIVE",
            None => "undecided",
        };
        let figure = d.value.map(|v| format!(": {v:.3}")).unwrap_or_default();
        let reason = d.reason.as_ref().map(|r| format!("; {r}")).unwrap_or_default();
        let what = format!("{status:<14}{}  {} of {} asked{figure}{reason}", d.gate, d.asked, d.of);
        out.push_str(&wrap(&what, 14));
    }
    out.push_str(&format!("\n{asked} of {of} questions asked. A proof needs them all: the same command without --until-decided asks the rest.\n"));
    out
}

/// Before and after, slice by slice, over all languages and governments.
pub fn comparison_text(comparison: &Comparison) -> String {
    let mut blocks = Vec::new();
    for slice in SLICES {
        let rows: Vec<&Delta> = comparison
            .deltas
            .iter()
            .filter(|d| {
                d.slice == slice && d.lang == ALL && d.about == ALL && words::shown(&d.measure, slice)
            })
            .collect();
        blocks.push(slice_block(slice, &rows));
    }
    let mut out = join(blocks);
    if out.is_empty() {
        out.push_str("the two runs share no question\n");
    } else {
        out.push_str("\n[ ] 95% interval; change in percentage points; p: sign-flip over topics, Holm within the slice\n");
    }
    if comparison.unpaired.count() > 0 {
        out.push_str(&wrap(
            &format!("{} items are in one run only and enter no figure", comparison.unpaired.count()),
            0,
        ));
    }
    for note in &comparison.notes {
        out.push_str(&wrap(&format!("note: {note}"), 6));
    }
    out
}

fn slice_block(slice: Slice, rows: &[&Delta]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut head = vec![slice_name(slice).to_owned()];
    head.extend(["before", "after", "change", "p", ""].map(str::to_owned));
    let mut table = vec![head];
    for d in rows {
        let (before, after, diff) = d.judged();
        let unit = unit(&d.measure);
        let p = d.p_holm.or(d.p_sign_flip);
        let mark = if d.corrected.is_some() { "*" } else { "" };
        table.push(vec![
            format!("{}{mark}", d.measure),
            with_interval(before, unit),
            with_interval(after, unit),
            difference(diff, unit),
            p_value(p),
            words::verdict(diff, words::better(&d.measure, slice), p).to_owned(),
        ]);
    }
    let mut out = lines(&table);
    out.push_str(&format!("{} pairs, {} clusters", first.n_pairs, first.diff.clusters));
    if rows.iter().any(|d| d.corrected.is_some()) {
        out.push_str("; * corrected for the judge's error");
    }
    out.push('\n');
    out
}

fn cell(rate: &Rate) -> String {
    let e = &rate.estimate;
    let unit = unit(&rate.measure);
    let shown = Estimate {
        value: e.value,
        low: e.low,
        high: e.high,
        n: e.n,
        clusters: e.clusters,
        inconclusive: e.inconclusive,
    };
    // An interval without a figure in it would only puzzle.
    let text =
        if e.value.is_finite() { with_interval(&shown, unit) } else { figure(f64::NAN, Unit::Percent) };
    if e.inconclusive { format!("{text}?") } else { text }
}

/// Each value once, in the order of its first occurrence.
fn in_order<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out = Vec::new();
    for value in values {
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}

/// Rows by columns; as many columns side by side as the width allows, the others below.
fn grid(title: &str, rows: &[&str], columns: &[&str], cell: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut blocks = Vec::new();
    let mut rest = columns;
    while !rest.is_empty() {
        let block = |n: usize| {
            let mut table = vec![vec![title.to_owned()]];
            table[0].extend(rest[..n].iter().map(|c| (*c).to_owned()));
            for row in rows {
                let cells: Vec<Option<String>> = rest[..n].iter().map(|c| cell(row, c)).collect();
                if cells.iter().any(Option::is_some) {
                    let mut line = vec![(*row).to_owned()];
                    line.extend(cells.into_iter().map(Option::unwrap_or_default));
                    table.push(line);
                }
            }
            lines(&table)
        };
        let fits = |text: &String| text.lines().all(|l| l.chars().count() <= WIDTH);
        let n = (1..=rest.len()).rev().find(|n| fits(&block(*n))).unwrap_or(1);
        blocks.push(block(n));
        rest = &rest[n..];
    }
    join(blocks)
}

fn lines(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |i: usize| table.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in table {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

fn join(blocks: Vec<String>) -> String {
    blocks.into_iter().filter(|b| !b.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Breaks at spaces to the width; further lines are indented. What has no space (a long name) stays whole.
fn wrap(text: &str, indent: usize) -> String {
    let lead: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut out = String::new();
    let mut line = lead;
    let mut empty = true;
    // Runs of spaces within a line keep columns apart, so only single words are moved.
    for word in text.trim_start().split(' ') {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}
