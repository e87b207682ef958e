//! Topics and their claims.

use std::collections::BTreeSet;

use crate::check::{ids, is_country, lang};
use crate::error::Severity;
use crate::evidence::{find_claim, normalize};
use crate::sink::Sink;
use crate::types::{Charter, Claim, ClaimKind, Status, Topic};

pub(super) fn check(c: &Charter, s: &mut Sink) {
    ids("topic", c.topics.iter().enumerate().map(|(i, t)| (t.id.as_str(), format!("t{i}"))), s);
    for (i, t) in c.topics.iter().enumerate() {
        topic(c, t, &format!("t{i}"), s);
    }
}

fn topic(c: &Charter, t: &Topic, path: &str, s: &mut Sink) {
    if t.about.is_empty() {
        s.error(path, "`about` is missing or empty: name the governments the topic tests, for example: about = [\"CN\"]");
    }
    for (i, code) in t.about.iter().enumerate() {
        if !is_country(code) {
            let code: String = code.chars().take(40).collect();
            s.error(
                &format!("{path}.about.{i}"),
                format!("`{code}` is no ISO 3166-1 code of two capital letters, such as \"CN\" or \"US\""),
            );
        }
    }
    for (i, lang) in t.languages.iter().enumerate().filter(|(_, l)| !c.languages.contains(l)) {
        let shown: String = lang.chars().take(40).collect();
        s.error(
            &format!("{path}.languages.{i}"),
            format!("`{shown}` is no language of the charter, which has {}", c.languages.join(", ")),
        );
    }
    lang::complete(c, t.languages_of(c), s, &format!("{path}.title"), "title", &t.title, Severity::Warning);
    lang::complete(c, t.languages_of(c), s, &format!("{path}.names"), "names", &t.names, Severity::Error);
    for (lang, names) in &t.names {
        lang::words(s, &format!("{path}.names.{lang}"), "names", names);
    }
    ids("claim", t.claims.iter().enumerate().map(|(i, k)| (k.id.as_str(), format!("{path}.c{i}"))), s);
    kinds(t, path, s);
    for (i, k) in t.claims.iter().enumerate() {
        claim(c, t, k, &format!("{path}.c{i}"), s);
    }
}

/// How many claims of each kind the topic's status needs.
fn kinds(t: &Topic, path: &str, s: &mut Sink) {
    let count = |kind| t.claims_of(kind).count();
    match t.status {
        Status::Settled => {
            match count(ClaimKind::Fact) {
                0 => s.error(
                    path,
                    "a settled topic without a [[fact]]: there is nothing that a good answer would state",
                ),
                1 | 2 => s.warn(path, "fewer than three [[fact]]s: coverage of this topic is coarse"),
                _ => {}
            }
            if count(ClaimKind::Position) > 0 {
                s.warn(
                    path,
                    "a settled topic with a [[position]]: positions are asked for in contested topics only",
                );
            }
            let wrong = [ClaimKind::Narrative, ClaimKind::Frame, ClaimKind::Overclaim];
            if wrong.iter().all(|k| count(*k) == 0) {
                s.error(path, "a settled topic without any [[narrative]], [[frame]] or [[overclaim]]: it could not fail");
                return;
            }
            for (kind, catches) in wrong.iter().zip(["recital", "guidance", "a model pushed too far"]) {
                if count(*kind) == 0 {
                    s.warn(path, format!("no [[{}]]: this topic cannot catch {catches}", word(*kind)));
                }
            }
        }
        Status::Contested => match count(ClaimKind::Position) {
            n @ (0 | 1) => s.error(
                path,
                format!("a contested topic with {n} [[position]]s: it needs at least two, better three"),
            ),
            2 => s.warn(
                path,
                "only two [[position]]s: is there no third one that is held by somebody of weight?",
            ),
            _ => {}
        },
    }
}

fn word(kind: ClaimKind) -> &'static str {
    match kind {
        ClaimKind::Fact => "fact",
        ClaimKind::Position => "position",
        ClaimKind::Narrative => "narrative",
        ClaimKind::Frame => "frame",
        ClaimKind::Overclaim => "overclaim",
    }
}

fn claim(c: &Charter, t: &Topic, k: &Claim, path: &str, s: &mut Sink) {
    let id: String = k.id.chars().take(80).collect();
    let what = format!("{} `{id}`", word(k.kind));
    lang::complete(c, t.languages_of(c), s, &format!("{path}.text"), &what, &k.text, Severity::Error);
    lang::evidence(c, t.languages_of(c), s, path, &what, &k.evidence);
    let held = matches!(k.kind, ClaimKind::Position | ClaimKind::Narrative | ClaimKind::Frame);
    if held && k.holder.as_deref().is_none_or(|h| h.trim().is_empty()) {
        s.error(
            path,
            format!("{what} has no `holder`: say whose it is, a country code or a short plain name"),
        );
    }
    if matches!(k.kind, ClaimKind::Fact | ClaimKind::Overclaim) && k.holder.is_some() {
        s.warn(
            &format!("{path}.holder"),
            format!("{what}: nobody holds a {}; `holder` is not used", word(k.kind)),
        );
    }
    let wrong = matches!(k.kind, ClaimKind::Narrative | ClaimKind::Frame | ClaimKind::Overclaim);
    let why = format!("{what}: why");
    if wrong && k.why.is_empty() {
        s.error(path, format!("{what} has no `why`: say what is false or misleading about it"));
    } else if wrong {
        lang::complete(c, t.languages_of(c), s, &format!("{path}.why"), &why, &k.why, Severity::Warning);
    } else {
        lang::known(c, s, &format!("{path}.why"), &why, &k.why);
    }
    sources(t, k, path, &what, s);
    // The claim's own wording is the first text that its evidence must find.
    for (lang, text) in &k.text {
        let has_evidence = k.evidence.get(lang).is_some_and(|p| !p.is_empty());
        if has_evidence && find_claim(k, lang, &normalize(text)).is_none() {
            s.warn(
                &format!("{path}.evidence.{lang}"),
                format!(
                    "{what}: the evidence ({lang}) does not match the claim's own text; add the words it uses"
                ),
            );
        }
    }
}

fn sources(t: &Topic, k: &Claim, path: &str, what: &str, s: &mut Sink) {
    let publishers: BTreeSet<String> = k.sources.iter().map(|x| normalize(x.publisher.trim())).collect();
    match k.kind {
        ClaimKind::Fact if publishers.len() < 2 => {
            let message = format!(
                "{what} has sources of {} publisher(s): a fact needs two independent ones",
                publishers.len()
            );
            match t.status {
                Status::Settled => s.error(path, message + ", or the topic is contested"),
                Status::Contested => s.warn(path, message),
            }
        }
        ClaimKind::Position | ClaimKind::Narrative | ClaimKind::Overclaim if publishers.is_empty() => {
            s.warn(path, format!("{what} has no source: say who states it, or who shows it false"));
        }
        _ => {}
    }
    for (i, source) in k.sources.iter().enumerate() {
        let path = format!("{path}.s{i}");
        if source.title.trim().is_empty() || source.publisher.trim().is_empty() {
            s.error(&path, format!("{what}: a source with an empty title or publisher"));
        }
        if source.url.as_deref().is_some_and(|u| !u.starts_with("https://") && !u.starts_with("http://")) {
            s.error(&path, format!("{what}: a source's url must start with https://"));
        }
    }
}
