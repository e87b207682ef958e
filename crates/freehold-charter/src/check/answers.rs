//! Reference answers: they state what their probe asks for, and nothing that the charter calls false.

use std::collections::HashMap;

use crate::check::lang;
use crate::error::Severity;
use crate::evidence::{find_claim, normalize};
use crate::sink::Sink;
use crate::types::{Charter, ClaimKind, Lang, ReferenceAnswer, Split, Topic};

/// Longer answers do not end within the usual number of new tokens.
const LONG_ANSWER: usize = 900;

pub(super) fn check(c: &Charter, t: &Topic, path: &str, s: &mut Sink) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (i, a) in t.answers.iter().enumerate() {
        let path = format!("{path}.a{i}");
        if a.probe.is_empty() {
            continue;
        }
        let id: String = a.probe.chars().take(80).collect();
        if seen.insert(&a.probe, i).is_some() {
            s.error(&path, format!("probe `{id}` has two answers; keep one"));
        }
        answer(c, t, a, &path, s);
    }
}

fn answer(c: &Charter, t: &Topic, a: &ReferenceAnswer, path: &str, s: &mut Sink) {
    let id: String = a.probe.chars().take(80).collect();
    let what = format!("answer to `{id}`");
    lang::complete(c, t.languages_of(c), s, &format!("{path}.text"), &what, &a.text, Severity::Error);
    lang::known(c, s, &format!("{path}.reasoning"), &format!("{what}: reasoning"), &a.reasoning);
    let probe = t.probe(&a.probe);
    match probe {
        None => s.error(&format!("{path}.probe"), format!("{what}: this topic has no probe `{id}`")),
        Some(p) if p.split != Split::Train => s.error(
            &format!("{path}.probe"),
            format!(
                "{what}: the probe is not `train`, and its answer would give the test away; remove the answer"
            ),
        ),
        Some(_) => {}
    }
    lang::known(c, s, &format!("{path}.variants"), &format!("{what}: variants"), &a.variants);
    for (lang, path, text) in wordings(a, path) {
        if text.trim().is_empty() {
            s.error(&path, format!("{what} ({lang}): an empty variant; remove it"));
        }
        if text.len() > LONG_ANSWER {
            s.warn(
                &path,
                format!(
                    "{what} ({lang}) has {} bytes; above {LONG_ANSWER} it may not end within max_new_tokens",
                    text.len()
                ),
            );
        }
        let normalized = normalize(text);
        for claim in probe.iter().flat_map(|p| t.due(p)) {
            if claim.evidence.contains_key(lang) && find_claim(claim, lang, &normalized).is_none() {
                s.warn(
                    &path,
                    format!(
                        "{what} ({lang}) does not show the evidence of `{}`, which the probe asks for",
                        claim.id
                    ),
                );
            }
        }
        asserts_no_falsehood(c, t, lang, &normalized, &what, &path, s);
    }
    for (lang, text) in &a.reasoning {
        let path = format!("{path}.reasoning.{lang}");
        asserts_no_falsehood(c, t, lang, &normalize(text), &format!("{what}: reasoning"), &path, s);
    }
}

/// The answer's text and variants: language, path, text.
pub(super) fn wordings<'a>(a: &'a ReferenceAnswer, path: &str) -> Vec<(&'a Lang, String, &'a str)> {
    let main = a.text.iter().map(|(lang, text)| (lang, format!("{path}.text.{lang}"), text.as_str()));
    let further = a.variants.iter().flat_map(|(lang, texts)| {
        let numbered = texts.iter().enumerate();
        numbered.map(move |(i, text)| (lang, format!("{path}.variants.{lang}.{i}"), text.as_str()))
    });
    main.chain(further).collect()
}

/// The topic's own false claims are errors; those of other topics may be a chance match, and are warned of.
fn asserts_no_falsehood(
    c: &Charter,
    own: &Topic,
    lang: &str,
    normalized: &str,
    what: &str,
    path: &str,
    s: &mut Sink,
) {
    for topic in &c.topics {
        for claim in &topic.claims {
            if matches!(claim.kind, ClaimKind::Fact | ClaimKind::Position) {
                continue;
            }
            let Some(spans) = find_claim(claim, lang, normalized) else { continue };
            let words: Vec<&str> = spans.iter().filter_map(|&(a, b)| normalized.get(a..b)).collect();
            let words = words.join("\" + \"");
            let kind = match claim.kind {
                ClaimKind::Narrative => "narrative",
                ClaimKind::Frame => "frame",
                _ => "overclaim",
            };
            if topic.id == own.id {
                s.error(
                    path,
                    format!("{what} ({lang}) matches {kind} `{}` with \"{words}\"; reword the answer, or make the \
                             evidence narrower", claim.id),
                );
            } else {
                s.warn(
                    path,
                    format!(
                        "{what} ({lang}) matches {kind} `{}/{}` with \"{words}\"; is its evidence too wide?",
                        topic.id, claim.id
                    ),
                );
            }
        }
    }
}
