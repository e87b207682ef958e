//! Controls: graders and their keys.

use crate::check::{ids, lang};
use crate::evidence::normalize;
use crate::sink::Sink;
use crate::types::{Charter, Control, ControlKind, Grader, Split};

pub(super) fn check(c: &Charter, s: &mut Sink) {
    ids("control", c.controls.iter().enumerate().map(|(i, k)| (k.id.as_str(), format!("k.k{i}"))), s);
    for (i, k) in c.controls.iter().enumerate() {
        control(c, k, &format!("k.k{i}"), s);
    }
}

fn control(c: &Charter, k: &Control, path: &str, s: &mut Sink) {
    let id: String = k.id.chars().take(80).collect();
    let what = format!("control `{id}`");
    if k.text.is_empty() {
        s.error(path, format!("{what} has no text; add it, for example: text.en = \"…\""));
    }
    lang::known(c, s, &format!("{path}.text"), &what, &k.text);
    lang::known(c, s, &format!("{path}.key"), &format!("{what}: key"), &k.key);
    lang::known(c, s, &format!("{path}.answer"), &format!("{what}: answer"), &k.answer);
    informed(c, k, path, &what, s);
    if k.max_new_tokens == Some(0) {
        s.error(
            &format!("{path}.max_new_tokens"),
            format!("{what}: max_new_tokens is 0: no answer has room"),
        );
    }
    let keyed = k.key.keys().map(|l| ("key", l)).chain(k.answer.keys().map(|l| ("answer", l)));
    let keyed = keyed.chain(k.facts.keys().map(|l| ("facts", l)));
    for (key, lang) in keyed.filter(|(_, l)| !k.text.contains_key(*l)) {
        s.error(&format!("{path}.{key}.{lang}"), format!("{what} has {key}.{lang} and no text.{lang}"));
    }
    match k.grader {
        Grader::Exact | Grader::Number => keys(k, path, &what, s),
        Grader::Refusal | Grader::None if !k.key.is_empty() => {
            s.warn(&format!("{path}.key"), format!("{what}: this grader uses no key"));
        }
        Grader::Refusal | Grader::None => {}
    }
    kind(k, path, &what, s);
}

/// Facts come with the reply that is due from them, and with where they are from.
fn informed(c: &Charter, k: &Control, path: &str, what: &str, s: &mut Sink) {
    for (key, texts) in [("facts", &k.facts), ("informed", &k.informed)] {
        lang::known(c, s, &format!("{path}.{key}"), &format!("{what}: {key}"), texts);
        if !texts.is_empty() && k.kind != ControlKind::Unknown {
            s.warn(&format!("{path}.{key}"), format!("{what}: only `unknown` controls use {key}"));
        }
    }
    for (lang, other, has) in (k.facts.keys().map(|l| (l, "informed", k.informed.contains_key(l))))
        .chain(k.informed.keys().map(|l| (l, "facts", k.facts.contains_key(l))))
    {
        if !has {
            s.error(
                path,
                format!("{what} lacks {other}.{lang}: facts and the reply due from them come together"),
            );
        }
    }
    if !k.facts.is_empty() && k.sources.is_empty() {
        s.error(path, format!("{what} states facts without a source; add sources = [\"…\"]"));
    }
}

fn kind(k: &Control, path: &str, what: &str, s: &mut Sink) {
    if k.kind == ControlKind::Harmful && k.grader != Grader::Refusal {
        s.warn(&format!("{path}.grader"), format!("{what} is harmful: its grader should be \"refusal\""));
    }
    if k.kind != ControlKind::Harmful && k.grader == Grader::Refusal {
        s.warn(&format!("{path}.grader"), format!("{what} is graded by refusal and is not `harmful`"));
    }
    if k.kind == ControlKind::Unknown && k.split == Split::Test {
        s.error(
            &format!("{path}.split"),
            format!("{what}: `unknown` controls serve training only; split = \"train\" or \"dev\""),
        );
    }
    let needs_answer =
        k.split == Split::Train && matches!(k.kind, ControlKind::Harmful | ControlKind::Unknown);
    if needs_answer && k.answer.is_empty() {
        s.warn(path, format!("{what} is `train` and has no answer, so training cannot use it"));
    }
    if k.split == Split::Test && !k.answer.is_empty() {
        s.warn(&format!("{path}.answer"), format!("{what} is `test`: its answer is not used"));
    }
}

fn keys(k: &Control, path: &str, what: &str, s: &mut Sink) {
    for lang in k.text.keys().filter(|l| !k.key.contains_key(*l)) {
        let example = if k.grader == Grader::Number { "[\"43\"]" } else { "[\"…\"]" };
        s.error(
            path,
            format!(
                "{what} has no key for {lang}, so its grader cannot be right; add key.{lang} = {example}"
            ),
        );
    }
    for (lang, keys) in &k.key {
        let question = k.text.get(lang).map(|t| normalize(t)).unwrap_or_default();
        let numbers = numbers(&question);
        for (i, key) in keys.iter().enumerate() {
            let path = format!("{path}.key.{lang}.{i}");
            let normal = normalize(key.trim());
            let shown: String = key.chars().take(80).collect();
            if normal.is_empty() {
                s.error(&path, format!("{what}: an empty key is in every answer; remove it"));
                continue;
            }
            let in_question = if k.grader == Grader::Number {
                let value = parse(&normal);
                if value.is_none() {
                    s.error(
                        &path,
                        format!("{what}: key \"{shown}\" is no number, and its grader is \"number\""),
                    );
                }
                value.is_some_and(|v| numbers.contains(&v))
            } else {
                question.contains(&normal)
            };
            if in_question {
                s.warn(
                    &path,
                    format!(
                        "{what}: key \"{shown}\" occurs in the question: repeating it would count as right"
                    ),
                );
            }
        }
    }
    for (lang, answer) in &k.answer {
        let Some(keys) = k.key.get(lang) else { continue };
        let answer = normalize(answer);
        let right = match k.grader {
            Grader::Number => {
                numbers(&answer).last().is_some_and(|n| keys.iter().any(|k| parse(&normalize(k)) == Some(*n)))
            }
            _ => keys.iter().any(|k| answer.contains(&normalize(k.trim()))),
        };
        if !right {
            s.warn(
                &format!("{path}.answer.{lang}"),
                format!("{what}: its own answer ({lang}) is graded as wrong"),
            );
        }
    }
}

fn parse(text: &str) -> Option<f64> {
    text.trim().replace(',', "").parse().ok().filter(|n: &f64| n.is_finite())
}

/// Numbers as written in a text: digits with a decimal point and thousands commas.
fn numbers(text: &str) -> Vec<f64> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
        .filter_map(|n| parse(n.trim_matches(['.', ','])))
        .collect()
}
