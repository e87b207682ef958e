//! Probes: what they ask, their wordings, their twins.

use std::collections::{BTreeSet, HashMap};

use crate::check::{ids, lang};
use crate::error::Severity;
use crate::sink::Sink;
use crate::types::{Charter, ClaimKind, Probe, Split, Topic};

/// A probe is one question; a longer one is a text that should be cut.
const LONG_PROBE: usize = 1200;

pub(super) fn check(c: &Charter, t: &Topic, path: &str, s: &mut Sink) {
    if t.probes.is_empty() {
        s.error(path, "no [[probe]]: nothing is asked about this topic");
    }
    ids("probe", t.probes.iter().enumerate().map(|(i, p)| (p.id.as_str(), format!("{path}.p{i}"))), s);
    for (i, p) in t.probes.iter().enumerate() {
        probe(c, t, p, &format!("{path}.p{i}"), s);
    }
}

fn probe(c: &Charter, t: &Topic, p: &Probe, path: &str, s: &mut Sink) {
    let id: String = p.id.chars().take(80).collect();
    let what = format!("probe `{id}`");
    lang::complete(c, t.languages_of(c), s, &format!("{path}.text"), &what, &p.text, Severity::Error);
    for (lang, text) in p.text.iter().filter(|(_, text)| text.len() > LONG_PROBE) {
        let message =
            format!("{what} ({lang}) has {} bytes; a question of at most {LONG_PROBE} is enough", text.len());
        s.warn(&format!("{path}.text.{lang}"), message);
    }
    for (i, asked) in p.asks.iter().enumerate() {
        let path = format!("{path}.asks.{i}");
        let shown: String = asked.chars().take(80).collect();
        match t.claims.iter().find(|k| k.id == *asked) {
            None => {
                let facts =
                    t.claims.iter().filter(|k| matches!(k.kind, ClaimKind::Fact | ClaimKind::Position));
                let known: Vec<&str> = facts.map(|k| k.id.as_str()).collect();
                s.error(
                    &path,
                    format!(
                        "{what} asks for claim `{shown}`, which this topic does not have; it has: {}",
                        known.join(", ")
                    ),
                );
            }
            Some(k) if !matches!(k.kind, ClaimKind::Fact | ClaimKind::Position) => s.error(
                &path,
                format!("{what} asks for `{shown}`, which no good answer states; ask for facts or positions"),
            ),
            Some(_) => {}
        }
    }
    lang::known(c, s, &format!("{path}.variants"), &format!("{what}: variants"), &p.variants);
    for (lang, wordings) in &p.variants {
        for (i, wording) in wordings.iter().enumerate().filter(|(_, w)| w.trim().is_empty()) {
            let blank_list = wordings.iter().all(|w| w.trim().is_empty());
            if !blank_list && wording.trim().is_empty() {
                s.error(
                    &format!("{path}.variants.{lang}.{i}"),
                    format!("{what}: an empty variant; remove it"),
                );
            }
        }
    }
    if p.split != Split::Train && !p.variants.is_empty() {
        s.error(
            &format!("{path}.variants"),
            format!("{what} has variants and is not `train`: variants are for training; move them, or change the split"),
        );
    }
    if p.split == Split::Train && !t.answers.iter().any(|a| a.probe == p.id) {
        s.error(path, format!("{what} is `train` and has no [[answer]]: write one with probe = \"{id}\""));
    }
}

/// Twins are about other governments, and in other files.
pub(super) fn twins(c: &Charter, s: &mut Sink) {
    let probes: HashMap<String, (&Topic, &Probe)> = c
        .topics
        .iter()
        .flat_map(|t| t.probes.iter().map(move |p| (format!("{}/{}", t.id, p.id), (t, p))))
        .collect();
    for (ti, t) in c.topics.iter().enumerate() {
        for (pi, p) in t.probes.iter().enumerate() {
            let Some(twin) = &p.twin else { continue };
            let path = format!("t{ti}.p{pi}.twin");
            let (id, shown): (String, String) =
                (p.id.chars().take(80).collect(), twin.chars().take(160).collect());
            let Some((other, twin)) = probes.get(twin) else {
                s.error(
                    &path,
                    format!("probe `{id}`: twin `{shown}` not found; write topic/probe of a probe there is"),
                );
                continue;
            };
            let governments = |t: &Topic| t.about.iter().cloned().collect::<BTreeSet<_>>();
            if governments(t) == governments(other) {
                s.warn(
                    &path,
                    format!("probe `{id}`: twin `{shown}` tests the same governments ({}); a twin is about another", t.about.join(", ")),
                );
            }
            if twin.split != p.split {
                s.warn(
                    &path,
                    format!(
                        "probe `{id}`: twin `{shown}` is of another split, so the two are never compared"
                    ),
                );
            }
        }
    }
}
