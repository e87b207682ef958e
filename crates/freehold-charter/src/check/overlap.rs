//! Overlap between what is trained on and what is tested.

use crate::check::answers;
use crate::leak::{LeakGuard, LeakKind, NearIndex};
use crate::sink::Sink;
use crate::types::{Charter, Control, Probe, Split};

pub(super) fn check(c: &Charter, s: &mut Sink) {
    let guard = LeakGuard::new(c);
    let mut dev = NearIndex::default();
    for t in &c.topics {
        for p in t.probes.iter().filter(|p| p.split == Split::Dev) {
            p.text.iter().for_each(|(lang, text)| dev.add(format!("{}/{}", t.id, p.id), lang, text));
        }
    }
    for (ti, t) in c.topics.iter().enumerate() {
        for (pi, p) in t.probes.iter().enumerate().filter(|(_, p)| p.split == Split::Train) {
            for (path, text) in wordings(p, &format!("t{ti}.p{pi}")) {
                prompt(&guard, &dev, &format!("probe `{}`", p.id), &path, text, s);
            }
        }
        for (ai, a) in t.answers.iter().enumerate() {
            let question = t.probe(&a.probe);
            let path = format!("t{ti}.a{ai}");
            let reasoning = a.reasoning.iter();
            let reasoning = reasoning.map(|(lang, t)| (lang, format!("{path}.reasoning.{lang}"), t.as_str()));
            for (lang, path, text) in answers::wordings(a, &path).into_iter().chain(reasoning) {
                let asked = question.and_then(|p| p.text.get(lang)).map_or("", String::as_str);
                claims(&guard, &format!("answer to `{}`", a.probe), &path, &format!("{asked}\n{text}"), s);
            }
        }
    }
    for (ki, k) in c.controls.iter().enumerate().filter(|(_, k)| k.split == Split::Train) {
        control(&guard, &dev, k, &format!("k.k{ki}"), s);
    }
}

fn control(guard: &LeakGuard, dev: &NearIndex, k: &Control, path: &str, s: &mut Sink) {
    let what = format!("control `{}`", k.id);
    for (lang, text) in &k.text {
        prompt(guard, dev, &what, &format!("{path}.text.{lang}"), text, s);
    }
    for (lang, text) in &k.answer {
        claims(guard, &what, &format!("{path}.answer.{lang}"), text, s);
    }
}

/// The probe's text and variants, each with its path.
fn wordings<'a>(p: &'a Probe, path: &str) -> Vec<(String, &'a str)> {
    let mut out: Vec<(String, &str)> = Vec::new();
    out.extend(p.text.iter().map(|(lang, text)| (format!("{path}.text.{lang}"), text.as_str())));
    for (lang, variants) in &p.variants {
        let numbered = variants.iter().enumerate();
        out.extend(numbered.map(|(i, text)| (format!("{path}.variants.{lang}.{i}"), text.as_str())));
    }
    out
}

fn prompt(guard: &LeakGuard, dev: &NearIndex, what: &str, path: &str, text: &str, s: &mut Sink) {
    if let Some(leak) = guard.near_duplicate(text) {
        s.error(path, format!("leak: {what}: {leak}"));
    } else if let Some(LeakKind::NearDuplicate { probe, similarity, .. }) = dev.nearest(text) {
        s.warn(
            path,
            format!("{what} is nearly dev probe `{probe}` (similarity {similarity:.2}): early stopping would be misled"),
        );
    }
    claims(guard, what, path, text, s);
}

fn claims(guard: &LeakGuard, what: &str, path: &str, text: &str, s: &mut Sink) {
    for leak in guard.claims_in(text) {
        s.error(path, format!("leak: {what}: {leak}"));
    }
}
