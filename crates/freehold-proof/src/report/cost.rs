//! What the audits and the training took.

use std::fmt::Write as _;

use freehold_judge::run::RunRecord;

use super::input::ProofInput;
use super::text::{duration, esc, power, thousands};

pub fn section(input: &ProofInput) -> String {
    let mut out = String::from(
        "<div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><caption>Time, tokens and operations</caption><thead><tr>\
         <th scope=\"col\">Step</th><th scope=\"col\">Items</th><th scope=\"col\">Time</th><th scope=\"col\">Tokens read</th>\
         <th scope=\"col\">Tokens written</th><th scope=\"col\">FLOPs</th></tr></thead><tbody>",
    );
    let audit = |record: &RunRecord| {
        let tokens = record.prompt_tokens.saturating_add(record.new_tokens);
        let flops = input.model_parameters.map(|p| 2.0 * p as f64 * tokens as f64);
        [
            thousands(record.items as u64),
            duration(record.seconds),
            thousands(record.prompt_tokens),
            thousands(record.new_tokens),
            flops.map_or("not recorded".into(), |f| format!("≈ {}", power(f))),
        ]
    };
    row(&mut out, "Audit before", &audit(input.before.record));
    if let Some(t) = input.training {
        let examples = t.examples.values().sum::<usize>() as u64;
        let cells =
            [thousands(examples), duration(t.seconds), thousands(t.tokens), "—".into(), power(t.flops)];
        row(&mut out, "Training", &cells);
    }
    row(&mut out, "Audit after", &audit(input.after.record));
    out.push_str("</tbody></table></div>");
    out.push_str(
        "<p class=\"quiet\">Time is wall-clock time on the machine used, over all sessions of a run. Prompts that were \
         answered out of the cache cost nothing again, so real operations can be fewer. FLOPs of audits are 2 × parameters \
         × tokens.</p>",
    );
    out
}

fn row(out: &mut String, name: &str, cells: &[String]) {
    let _ = write!(out, "<tr><th scope=\"row\">{name}</th>");
    for cell in cells {
        let _ = write!(out, "<td class=\"num\">{}</td>", esc(cell));
    }
    out.push_str("</tr>");
}
