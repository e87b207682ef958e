//! Where everything comes from: digests, versions, settings.

use std::fmt::Write as _;

use freehold_judge::run::RunRecord;

use super::input::ProofInput;
use super::text::{date, esc};

pub fn section(input: &ProofInput) -> String {
    let (before, after) = (fields(input.before.record), fields(input.after.record));
    let mut out = String::from(
        "<p>Digests are SHA-256. The digests of every file of both runs are in <code>proof.json</code> beside this page.</p>\
         <div class=\"scroll\" tabindex=\"0\"><table class=\"plain lineage\"><caption>Lineage</caption><thead><tr>\
         <th scope=\"col\">What</th><th scope=\"col\">Before</th><th scope=\"col\">After</th></tr></thead><tbody>",
    );
    for ((name, b), (_, a)) in before.iter().zip(&after) {
        let _ = if a == b {
            write!(out, "<tr><th scope=\"row\">{name}</th><td colspan=\"2\">{}</td></tr>", value(a))
        } else {
            write!(out, "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td></tr>", value(b), value(a))
        };
    }
    let own = &input.charter.digest;
    let _ = write!(
        out,
        "<tr><th scope=\"row\">Charter of this report</th><td colspan=\"2\">{}</td></tr>",
        value(own)
    );
    if let Some(t) = input.training {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">Adapter as trained</th><td colspan=\"2\">{}</td></tr>",
            value(&t.adapter_digest)
        );
    }
    out.push_str("</tbody></table></div>");
    let foreign = [input.before.record, input.after.record].iter().any(|r| r.charter_digest != *own);
    if foreign {
        out.push_str(
            "<p class=\"note\"><b>The charters differ.</b> A run was made with another version of the charter than this \
             report was written with.</p>",
        );
    }
    if let Some(t) = input.training
        && input.after.record.adapter_digest.as_ref() != Some(&t.adapter_digest)
    {
        out.push_str(
            "<p class=\"note\"><b>The adapters differ.</b> The adapter audited is not the one whose training is shown.</p>",
        );
    }
    out
}

fn value(text: &str) -> String {
    if text.is_empty() { "—".into() } else { format!("<code>{}</code>", esc(text)) }
}

/// An endpoint's digest is of what it says of itself.
fn unverifiable(digest: &str) -> String {
    format!(
        "{digest} (not verifiable: an endpoint answered, and nobody can know from here with which weights)"
    )
}

fn fields(r: &RunRecord) -> Vec<(&'static str, String)> {
    let system = match (&r.system_prompt, r.system_prompt_from_template) {
        (None, _) => "none".into(),
        (Some(s), true) => format!("{s} (put in by the model’s own template)"),
        (Some(s), false) => s.clone(),
    };
    vec![
        ("Model", r.model.clone()),
        ("Weights", if r.verifiable { r.model_digest.clone() } else { unverifiable(&r.model_digest) }),
        ("Architecture", r.architecture.clone()),
        ("Adapter", r.adapter.clone().unwrap_or_else(|| "none".into())),
        ("Adapter digest", r.adapter_digest.clone().unwrap_or_default()),
        ("Charter", format!("{}, version {}", r.charter, r.charter_version)),
        ("Charter digest", r.charter_digest.clone()),
        ("Languages asked", r.languages.join(", ")),
        ("System prompt", system),
        ("Longest reply", format!("{} tokens", r.max_new_tokens)),
        (
            "Sampling",
            if r.temperature == 0.0 { "greedy".into() } else { format!("temperature {}", r.temperature) },
        ),
        ("Seed", r.seed.to_string()),
        ("Freehold", r.code_version.clone()),
        ("Begun", date(r.started)),
        ("Finished", r.finished.map_or("not finished".into(), date)),
        ("Items", r.items.to_string()),
    ]
}
