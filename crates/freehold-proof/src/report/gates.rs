//! The gates, with the figures that decided them.

use std::fmt::Write as _;

use super::input::ProofInput;
use super::summary::{badge, status_word};
use super::text::{difference, esc, p_value, unit, with_interval};
use super::words;

pub fn section(input: &ProofInput) -> String {
    if input.gates.is_empty() {
        return "<p>The charter sets no gates.</p>".into();
    }
    let mut out = String::from(
        "<p>What the charter demands of the treated model. Gates are fixed before the first treated run.</p>\
         <ul class=\"gates\">",
    );
    for gate in input.gates {
        let why = input.charter.gates.iter().find(|g| g.id == gate.id).map(|g| words::english(&g.why, ""));
        let unit = unit(&gate.measure);
        let _ = write!(
            out,
            "<li class=\"{}\"><div class=\"head\">{}<h3>{} <code>{}</code></h3></div><p>{}</p>\
             <dl><div><dt>Slice</dt><dd>{}</dd></div><div><dt>Bound</dt><dd>{}</dd></div>",
            status_word(gate.status),
            badge(gate.status),
            esc(&words::title(&gate.measure)),
            esc(&gate.id),
            esc(why.unwrap_or("")),
            esc(words::slice(gate.slice).0),
            esc(&gate.bound),
        );
        if let (Some(b), Some(a)) = (&gate.before, &gate.after) {
            let _ = write!(
                out,
                "<div><dt>Before → after</dt><dd class=\"num\">{} → {}</dd></div>",
                esc(&with_interval(b, unit)),
                esc(&with_interval(a, unit))
            );
        }
        if let Some(d) = &gate.diff {
            let p = gate.p_holm.or(gate.p_sign_flip);
            let p = p.map_or_else(String::new, |p| format!(", p {}", p_value(Some(p))));
            let _ = write!(
                out,
                "<div><dt>Difference</dt><dd class=\"num\">{}{} (n = {}, {} clusters)</dd></div>",
                esc(&difference(d, unit)),
                esc(&p),
                d.n,
                d.clusters
            );
        }
        let _ = write!(out, "</dl><p class=\"why\">{}</p></li>", esc(&sentence(&gate.message)),);
    }
    out.push_str("</ul>");
    out
}

/// Messages are written to follow a colon; here they stand alone.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |c| format!("{}{}.", c.to_uppercase(), chars.as_str()))
}
