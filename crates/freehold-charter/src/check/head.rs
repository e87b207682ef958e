//! `charter.toml`: languages, thresholds, gates, and what the charter covers as a whole.

use std::collections::BTreeSet;

use crate::check::lang::{self, is_tag};
use crate::check::{ids, is_country};
use crate::error::Severity;
use crate::measures::{MEASURES, nearest};
use crate::sink::Sink;
use crate::types::{Charter, Gate, GateTest, Slice};

/// Fewer test-only topics, and nothing can be said of topics never trained on: with four clusters a two-sided
/// sign-flip test cannot go below p = 0.125.
const MIN_TEST_ONLY: usize = 8;

/// Measures of probes only, and of controls only: on the other's slices they are never counted.
const PROBE_ONLY: [&str; 11] = [
    "unjudged",
    "full-answer",
    "recital",
    "guidance",
    "false-balance",
    "coverage",
    "overclaim",
    "spill",
    "leaning",
    "open-book",
    "suppression",
];
const CONTROL_ONLY: [&str; 2] = ["correct", "insertion"];

pub(super) fn check(c: &Charter, s: &mut Sink) {
    ids("charter", std::iter::once((c.id.as_str(), "charter".to_owned())), s);
    if c.languages.is_empty() {
        s.error(
            "charter.languages",
            "`languages` is missing or empty; add it, for example: languages = [\"en\"]",
        );
    }
    for (i, lang) in c.languages.iter().enumerate() {
        let path = format!("charter.languages.{i}");
        if !is_tag(lang) {
            let shown: String = lang.chars().take(40).collect();
            s.error(&path, format!("`{shown}` is no BCP-47 language tag; for example: zh-Hant, en, pt-BR"));
        }
        if c.languages[..i].contains(lang) {
            s.error(&path, format!("language `{lang}` is listed twice"));
        }
    }
    for (i, lang) in c.core_languages.iter().enumerate().filter(|(_, l)| !c.languages.contains(l)) {
        s.error(
            &format!("charter.core_languages.{i}"),
            format!("`{lang}` is none of the charter's `languages`"),
        );
    }
    lang::complete(
        c,
        &c.languages,
        s,
        "charter.reply_script",
        "reply_script",
        &c.reply_script,
        Severity::Error,
    );
    lang::complete(c, &c.languages, s, "charter.title", "title", &c.title, Severity::Warning);
    if !(c.coverage_threshold > 0.0 && c.coverage_threshold <= 1.0) {
        s.error("charter.coverage_threshold", "`coverage_threshold` must be above 0 and at most 1");
    }
    if c.max_new_tokens == 0 {
        s.error("charter.max_new_tokens", "`max_new_tokens` is 0: no answer has room");
    }
    if c.value_basis.trim().is_empty() {
        let example = "for example: value_basis = \"Universal Declaration of Human Rights\"";
        s.warn(
            "charter.value_basis",
            format!("`value_basis` is missing: say what the charter rests on, {example}"),
        );
    }
    if c.owner.as_deref().is_some_and(|o| !is_country(o)) {
        s.error("charter.owner", "`owner` must be an ISO 3166-1 code of two capital letters, such as \"TW\"");
    }
    if c.gates.is_empty() {
        s.warn("charter", "no [[gates]]: a proof will show figures and decide nothing; see docs/gates.md");
    }
    ids("gate", c.gates.iter().enumerate().map(|(i, g)| (g.id.as_str(), format!("charter.g{i}"))), s);
    for (i, g) in c.gates.iter().enumerate() {
        gate(c, g, &format!("charter.g{i}"), s);
    }
}

fn gate(c: &Charter, g: &Gate, path: &str, s: &mut Sink) {
    let id: String = g.id.chars().take(80).collect();
    for name in g.measure.split('+').map(str::trim) {
        if !MEASURES.contains(&name) {
            let hint = match nearest(name, MEASURES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the measures are: {}", MEASURES.join(", ")),
            };
            let name: String = name.chars().take(80).collect();
            s.error(&format!("{path}.measure"), format!("gate `{id}`: unknown measure `{name}`; {hint}"));
        }
        let of_controls = matches!(g.slice, Slice::Harmless | Slice::Benign | Slice::Harmful | Slice::Script);
        let never = if of_controls { PROBE_ONLY.contains(&name) } else { CONTROL_ONLY.contains(&name) };
        if never {
            s.warn(
                &format!("{path}.slice"),
                format!("gate `{id}`: `{name}` is never counted on this slice, so the gate decides nothing"),
            );
        }
    }
    lang::known(c, s, &format!("{path}.why"), &format!("gate `{id}`: why"), &g.why);
    let bound = g.at_most.is_some() || g.at_least.is_some();
    match g.test {
        GateTest::Level | GateTest::Difference => {
            if !bound {
                s.error(
                    path,
                    format!("gate `{id}` has no bound, so it passes always; add at_most or at_least"),
                );
            }
            if g.margin.is_some() || g.worse.is_some() {
                s.error(path, format!("gate `{id}`: margin and worse belong to test = \"non-inferiority\""));
            }
        }
        GateTest::NonInferiority => {
            if g.margin.is_none() || g.worse.is_none() {
                s.error(
                    path,
                    format!("gate `{id}` has no bound: non-inferiority needs margin (how much worse is still no worse) \
                             and worse (\"lower\" or \"higher\")"),
                );
            }
            if g.margin.is_some_and(|m| m <= 0.0) {
                s.error(&format!("{path}.margin"), format!("gate `{id}`: margin must be above 0"));
            }
            if bound {
                s.error(
                    path,
                    format!("gate `{id}`: at_most and at_least do not go with non-inferiority; use margin"),
                );
            }
        }
    }
    if g.excludes_zero && g.test != GateTest::Difference {
        s.error(
            &format!("{path}.excludes_zero"),
            format!("gate `{id}`: excludes_zero belongs to test = \"difference\""),
        );
    }
    if let (Some(low), Some(high)) = (g.at_least, g.at_most)
        && low > high
    {
        s.error(path, format!("gate `{id}`: at_least {low} is above at_most {high}, so it passes never"));
    }
    // KL and leaning are in nats; all else is a rate.
    if g.measure.split('+').all(|m| !matches!(m.trim(), "kl" | "leaning")) {
        let low = if g.test == GateTest::Level { 0.0 } else { -1.0 };
        for (key, value) in [("at_most", g.at_most), ("at_least", g.at_least), ("margin", g.margin)] {
            if value.is_some_and(|v| !(low..=1.0).contains(&v)) {
                s.error(
                    &format!("{path}.{key}"),
                    format!("gate `{id}`: {key} of a rate lies between {low} and 1 (0.05 is five per cent)"),
                );
            }
        }
    }
}

/// What the charter tests, taken together.
pub(super) fn coverage(c: &Charter, s: &mut Sink) {
    if c.topics.is_empty() {
        s.error("charter", "no topics; add at least one file to topics/");
        return;
    }
    let governments: BTreeSet<&str> = c.topics.iter().flat_map(|t| &t.about).map(String::as_str).collect();
    if let (Some(only), 1) = (governments.first(), governments.len()) {
        s.warn(
            "charter",
            format!(
                "only one government is tested ({only}): add topics about others, or the result is one-sided"
            ),
        );
    }
    if let Some(owner) = c.owner.as_deref().filter(|o| !governments.contains(o)) {
        s.warn(
            "charter.owner",
            format!("the owner's own government ({owner}) is never tested; add a topic about it"),
        );
    }
    let test_only = c.test_only_topics().len();
    if test_only < MIN_TEST_ONLY {
        s.warn(
            "charter",
            format!(
                "{test_only} topics are for testing only, of {MIN_TEST_ONLY} needed: a proof cannot speak of \
                     topics never trained on"
            ),
        );
    }
    if c.topics.iter().all(|t| t.test_only()) {
        s.warn("charter", "every probe is `test`: there is nothing to train on");
    }
    if !c.topics.iter().any(|t| t.core) {
        s.warn("charter", "no topic has core = true: `freehold refit` by default asks only those");
    }
}
