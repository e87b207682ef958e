//! Which topic an answer comes nearest to, by the topic it was asked about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::input::ProofInput;
use super::text::esc;
use super::words;

type Table = BTreeMap<String, BTreeMap<String, usize>>;

pub fn section(input: &ProofInput) -> String {
    let (before, after) = (&input.comparison.confusion_before, &input.comparison.confusion_after);
    if before.is_empty() && after.is_empty() {
        return "<p>No test question about a topic was answered in both runs.</p>".into();
    }
    let mut topics: BTreeSet<&str> = BTreeSet::new();
    for table in [before, after] {
        topics.extend(table.keys().map(String::as_str));
        topics.extend(table.values().flat_map(|row| row.keys()).map(String::as_str));
    }
    topics.remove(NONE);
    let topics: Vec<&str> = topics.into_iter().collect();
    format!(
        "<p>Each row is the topic asked about, each column the topic whose names and claims the answer matches best; the \
         last column is “none”. A sound model fills the diagonal (outlined). A column filled from many rows is one memorised \
         answer given to everything. Darker is a larger share of the row; the number is the count.</p>{}{}",
        table("Before", before, &topics, input),
        table("After", after, &topics, input)
    )
}

const NONE: &str = "none";

fn table(title: &str, counts: &Table, topics: &[&str], input: &ProofInput) -> String {
    let (mut own, mut other, mut none) = (0, 0, 0);
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"heat\"><caption>{title}</caption><thead><tr>\
         <th scope=\"col\">Asked about</th>"
    );
    for (i, topic) in topics.iter().enumerate() {
        let _ = write!(
            out,
            "<th scope=\"col\" title=\"{}\"><span aria-hidden=\"true\">{}</span><span class=\"sr\">{}</span></th>",
            esc(&name(topic, input)),
            i + 1,
            esc(topic)
        );
    }
    out.push_str("<th scope=\"col\">none</th></tr></thead><tbody>");
    for (i, topic) in topics.iter().enumerate() {
        let Some(row) = counts.get(*topic) else { continue };
        let total: usize = row.values().sum();
        let _ = write!(
            out,
            "<tr><th scope=\"row\"><span class=\"no\">{}</span> {}</th>",
            i + 1,
            esc(&name(topic, input))
        );
        for column in topics.iter().copied().chain([NONE]) {
            let n = row.get(column).copied().unwrap_or(0);
            match column {
                c if c == *topic => own += n,
                NONE => none += n,
                _ => other += n,
            }
            out.push_str(&cell(n, total, column == *topic));
        }
        out.push_str("</tr>");
    }
    let _ = write!(
        out,
        "</tbody></table></div><p class=\"quiet\">{title}: {own} answers nearest to their own topic, {other} to another, \
         {none} to none.</p>"
    );
    out
}

fn cell(n: usize, total: usize, own: bool) -> String {
    let class = if own { " class=\"own\"" } else { "" };
    if n == 0 {
        return format!("<td{class}></td>");
    }
    let share = n as f64 / total.max(1) as f64;
    // Beyond this tint the figure needs the page's own colour to be read.
    let ink = if share > 0.55 { ";color:var(--paper)" } else { "" };
    format!("<td{class} style=\"--s:{:.0}%{ink}\">{n}</td>", share * 100.0)
}

fn name(topic: &str, input: &ProofInput) -> String {
    input.charter.topic(topic).map_or(topic, |t| words::english(&t.title, topic)).to_owned()
}
