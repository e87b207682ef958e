//! How the judge does against labels made by reading, before and after separately.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use freehold_stats::wilson;

use super::input::{LabelAgreement, ProofInput};
use super::text::{Unit, esc, with_interval};
use super::words;

pub fn section(input: &ProofInput) -> String {
    let mut out = String::from(
        "<p>The judge looks for literal evidence: words and phrases of the charter, and of its own lists. It cannot see \
         an invention that uses none of them.</p>",
    );
    let Some(judge) = input.judge else {
        out.push_str(
            "<p class=\"note\"><b>Not measured for this model.</b> Nobody has labelled answers of this model by hand, so \
             the judge’s own error is not in any interval here. The rates are what the judge counted, not more.</p>",
        );
        return out;
    };
    let _ = write!(
        out,
        "<p>People labelled <b>{}</b> answers from before and <b>{}</b> from after. The two are kept apart: a judge that reads a censored model well may read a treated one badly.</p>",
        judge.n_before, judge.n_after
    );
    out.push_str(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><caption>Agreement of the judge with labels made by reading</caption>\
         <thead><tr><th scope=\"col\">Label</th><th scope=\"col\">Run</th><th scope=\"col\">n</th><th scope=\"col\">Agree</th>\
         <th scope=\"col\">Kappa</th><th scope=\"col\">Sensitivity</th><th scope=\"col\">Specificity</th></tr></thead><tbody>",
    );
    let labels: BTreeSet<&String> = judge.before.keys().chain(judge.after.keys()).collect();
    for label in labels {
        row(&mut out, label, "before", &judge.before);
        row(&mut out, label, "after", &judge.after);
    }
    out.push_str("</tbody></table></div>");
    out
}

fn row(out: &mut String, label: &str, run: &str, of: &BTreeMap<String, LabelAgreement>) {
    let Some(a) = of.get(label) else {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{run}</td><td colspan=\"5\">not labelled</td></tr>",
            esc(&words::title(label))
        );
        return;
    };
    let kappa = a.kappa.filter(|k| k.is_finite()).map_or("—".into(), |k| format!("{k:.2}"));
    let _ = write!(
        out,
        "<tr><th scope=\"row\">{}</th><td>{run}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>\
         <td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
        esc(&words::title(label)),
        a.n,
        share((a.agree, a.n)),
        esc(&kappa.replace('-', "−")),
        share(a.sensitivity),
        share(a.specificity),
    );
}

/// `14 of 15, 93% [70–99]`
fn share((hits, total): (usize, usize)) -> String {
    match wilson(hits, total) {
        Ok(e) => format!("{hits} of {total}, {}", with_interval(&e, Unit::Percent)),
        Err(_) => "no case".into(),
    }
}
