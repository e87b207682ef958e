//! Dots with whiskers, before and after, as rows of a table: the figures stand beside each drawing, so the drawing itself
//! is hidden from screen readers. Positions are percentages, so that a row fits any width without scaling its dots.

use std::fmt::Write as _;

use freehold_charter::Slice;
use freehold_stats::Estimate;

use super::text::{Unit, difference, esc, figure, interval, p_value, unit};
use super::words::{self, Better};
use crate::compare::Delta;

/// One measure, before and after.
pub struct Row {
    pub title: String,
    pub note: String,
    pub before: Estimate,
    pub after: Estimate,
    pub diff: Option<Estimate>,
    pub p: Option<f64>,
    pub unit: Unit,
    pub better: Better,
}

impl Row {
    pub fn of(delta: &Delta) -> Self {
        let (before, after, diff) = delta.judged();
        let mut note = count(before);
        let unit = unit(&delta.measure);
        if delta.corrected.is_some() {
            let _ = write!(
                note,
                "; corrected for the judge’s error (as judged: {} → {})",
                figure(delta.before.value, unit),
                figure(delta.after.value, unit)
            );
        }
        Self {
            title: words::title(&delta.measure),
            note,
            before: before.clone(),
            after: after.clone(),
            diff: Some(diff.clone()),
            p: delta.p_holm.or(delta.p_sign_flip),
            unit,
            better: words::better(&delta.measure, delta.slice),
        }
    }

    pub fn titled(mut self, title: String) -> Self {
        self.title = title;
        self
    }

    /// With what it is over before its count.
    pub fn over(mut self, what: &str) -> Self {
        self.note = format!("{what}, {}", self.note);
        self
    }
}

/// `48 answers, 12 topics`
pub fn count(e: &Estimate) -> String {
    let of = if e.clusters == e.n { String::new() } else { format!(", {} topics", e.clusters) };
    format!("n = {}{of}", e.n)
}

/// The scale that rows share.
#[derive(Clone, Copy)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
}

impl Scale {
    pub const RATE: Scale = Scale { low: 0.0, high: 1.0 };
    pub const GAP: Scale = Scale { low: -1.0, high: 1.0 };

    /// Round bounds around 0 that hold every row's intervals.
    pub fn around(rows: &[Row]) -> Self {
        let ends = rows.iter().flat_map(|r| [r.before.low, r.before.high, r.after.low, r.after.high]);
        let reach = ends.filter(|v| v.is_finite()).fold(0.0_f64, |m, v| m.max(v.abs()));
        let nice = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0].into_iter().find(|n| reach <= *n);
        let reach = nice.unwrap_or(reach.max(0.1));
        Self { low: -reach, high: reach }
    }

    /// Position in percent, kept on the scale; the middle for what is no number.
    fn at(self, v: f64) -> f64 {
        let share = (v - self.low) / (self.high - self.low);
        if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 50.0 }
    }

    fn axis(self, unit: Unit) -> String {
        let mid = (self.low + self.high) / 2.0;
        let mut out = String::from("<span class=\"axis\" aria-hidden=\"true\">");
        for v in [self.low, mid, self.high] {
            let _ = write!(out, "<span>{}</span>", figure(v, unit));
        }
        out.push_str("</span>");
        out
    }
}

/// The legend that goes with [`table`].
pub const LEGEND: &str = "<p class=\"key\"><span class=\"pair\"><svg class=\"swatch\" width=\"34\" height=\"14\" aria-hidden=\"true\">\
    <line class=\"w0\" x1=\"1\" x2=\"33\" y1=\"7\" y2=\"7\"></line><circle class=\"d0\" cx=\"17\" cy=\"7\" r=\"4.5\"></circle>\
    </svg> before</span><span class=\"pair\"><svg class=\"swatch\" width=\"34\" height=\"14\" aria-hidden=\"true\"><line class=\"w1\" x1=\"1\" x2=\"33\" \
    y1=\"7\" y2=\"7\"></line><circle class=\"d1\" cx=\"17\" cy=\"7\" r=\"5\"></circle></svg> after</span><span>the lines are 95% \
    intervals</span></p>";

/// A table of rows with their drawings; empty when there is no row.
pub fn table(caption: &str, rows: &[Row], scale: Scale) -> String {
    let Some(first) = rows.first() else { return String::new() };
    // The roles are spelt out because a narrow screen lays the rows out as blocks, which would take them away.
    let mut out = format!(
        "<table class=\"dots\" role=\"table\"><caption>{}</caption><thead role=\"rowgroup\"><tr role=\"row\">\
         <th role=\"columnheader\" scope=\"col\">Measure</th><th role=\"columnheader\" scope=\"col\" class=\"plot\">{}</th>\
         <th role=\"columnheader\" scope=\"col\">Before</th><th role=\"columnheader\" scope=\"col\">After</th>\
         <th role=\"columnheader\" scope=\"col\">Change</th></tr></thead><tbody role=\"rowgroup\">",
        esc(caption),
        scale.axis(first.unit)
    );
    for row in rows {
        push_row(&mut out, row, scale);
    }
    out.push_str("</tbody></table>");
    out
}

fn push_row(out: &mut String, row: &Row, scale: Scale) {
    let change = row.diff.as_ref().map_or_else(String::new, |d| {
        let p = row
            .p
            .map_or_else(String::new, |p| format!("<span class=\"p\">p {}</span>", esc(&p_value(Some(p)))));
        // The interval stays together where a narrow column breaks the figure from it.
        let figures = difference(d, row.unit).replace(", ", ",\u{a0}");
        let word = words::verdict(d, row.better, row.p);
        format!("<span class=\"num\">{}</span><small>{} {p}</small>", esc(&figures), esc(word))
    });
    let _ = write!(
        out,
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}<small>{}</small></th><td role=\"cell\" class=\"plot\">{}</td>\
         <td role=\"cell\" data-h=\"before\">{}</td><td role=\"cell\" data-h=\"after\">{}</td>\
         <td role=\"cell\" data-h=\"change\">{change}</td></tr>",
        esc(&row.title),
        esc(&row.note),
        drawing(row, scale),
        cell(&row.before, row.unit),
        cell(&row.after, row.unit),
    );
}

fn cell(e: &Estimate, unit: Unit) -> String {
    let few = if e.inconclusive { "<small>too few topics</small>" } else { "" };
    format!(
        "<span class=\"num\"><b>{}</b> <span class=\"ci\">{}</span></span>{few}",
        esc(&figure(e.value, unit)),
        esc(&interval(e, unit))
    )
}

fn drawing(row: &Row, scale: Scale) -> String {
    let mut out = String::from("<svg class=\"dw\" width=\"100%\" height=\"30\" aria-hidden=\"true\">");
    for share in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let _ =
            write!(out, "<line class=\"grid\" x1=\"{share}%\" x2=\"{share}%\" y1=\"0\" y2=\"30\"></line>");
    }
    if scale.low < 0.0 && scale.high > 0.0 {
        let zero = scale.at(0.0);
        let _ = write!(
            out,
            "<line class=\"zero\" x1=\"{zero:.2}%\" x2=\"{zero:.2}%\" y1=\"0\" y2=\"30\"></line>"
        );
    }
    for (e, y, class, radius) in [(&row.before, 9, 0, "4.5"), (&row.after, 21, 1, "5")] {
        let _ = write!(
            out,
            "<line class=\"w{class}\" x1=\"{:.2}%\" x2=\"{:.2}%\" y1=\"{y}\" y2=\"{y}\"></line>\
             <circle class=\"d{class}\" cx=\"{:.2}%\" cy=\"{y}\" r=\"{radius}\"></circle>",
            scale.at(e.low),
            scale.at(e.high),
            scale.at(e.value)
        );
    }
    out.push_str("</svg>");
    out
}

/// The rows of a slice over all languages and governments; only single rates, in the order of the measures.
pub fn rate_rows(deltas: &[Delta], slice: Slice, lang: &str, about: &str) -> Vec<Row> {
    let wanted = |d: &&Delta| {
        d.slice == slice
            && d.lang == lang
            && d.about == about
            && words::shown(&d.measure, slice)
            && unit(&d.measure) == Unit::Percent
    };
    deltas.iter().filter(wanted).map(Row::of).collect()
}
