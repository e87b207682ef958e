//! Text by language: tags that are known, languages that are missing, text that is empty.

use std::collections::BTreeMap;

use crate::error::Severity;
use crate::measures::nearest;
use crate::sink::Sink;
use crate::types::{Charter, Lang, Patterns};

/// Short words that are parts of many others (war: toward, ban: urban). Acronyms are not, and stay unwarned.
const EVERYWHERE: [&str; 28] = [
    "act", "aid", "all", "and", "any", "art", "ban", "can", "die", "end", "her", "his", "hit", "ill", "its",
    "law", "led", "man", "men", "mob", "not", "one", "out", "the", "use", "war", "was", "win",
];

/// What counts as nothing at all.
pub(super) trait Blank {
    fn blank(&self) -> bool;
}

impl Blank for String {
    fn blank(&self) -> bool {
        self.trim().is_empty()
    }
}

impl<T: Blank> Blank for Vec<T> {
    fn blank(&self) -> bool {
        self.iter().all(Blank::blank)
    }
}

/// Letters and digits in groups joined by hyphens. Whether the tag exists is not looked up.
pub(super) fn is_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let part = |p: &str| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric());
    (2..=8).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic()) && parts.all(part)
}

/// Reports languages that the charter does not have, and empty values.
pub(super) fn known<T: Blank>(
    charter: &Charter,
    sink: &mut Sink,
    path: &str,
    what: &str,
    by_lang: &BTreeMap<Lang, T>,
) {
    for (lang, value) in by_lang {
        let path = format!("{path}.{lang}");
        if !charter.languages.contains(lang) {
            let shown: String = lang.chars().take(40).collect();
            let hint = match nearest(lang, charter.languages.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("charter.toml has {}; add it there if it is meant", charter.languages.join(", "))
                }
            };
            sink.error(&path, format!("{what}: unknown language `{shown}`; {hint}"));
        }
        if value.blank() {
            sink.error(&path, format!("{what} ({lang}) is empty; write it, or leave the key out"));
        }
    }
}

/// As [`known`], and every language that is `due` must be there.
pub(super) fn complete<T: Blank>(
    charter: &Charter,
    due: &[Lang],
    sink: &mut Sink,
    path: &str,
    what: &str,
    by_lang: &BTreeMap<Lang, T>,
    severity: Severity,
) {
    known(charter, sink, path, what, by_lang);
    let key = path.rsplit('.').next().unwrap_or(path);
    let missing: Vec<String> =
        due.iter().filter(|l| !by_lang.contains_key(*l)).map(|l| format!("{key}.{l}")).collect();
    if missing.is_empty() {
        return;
    }
    let message = format!("{what}: {} missing", missing.join(", "));
    match severity {
        Severity::Error => sink.error(path, message),
        Severity::Warning => sink.warn(path, message),
    }
}

/// Evidence in every language, no list and no pattern empty.
pub(super) fn evidence(
    charter: &Charter,
    due: &[Lang],
    sink: &mut Sink,
    path: &str,
    what: &str,
    by_lang: &BTreeMap<Lang, Patterns>,
) {
    let path = format!("{path}.evidence");
    complete(charter, due, sink, &path, &format!("{what}: evidence"), by_lang, Severity::Error);
    for (lang, patterns) in by_lang.iter().filter(|(_, p)| !p.blank()) {
        for (i, list) in patterns.iter().enumerate() {
            let path = format!("{path}.{lang}.{i}");
            if list.is_empty() {
                sink.error(
                    &path,
                    format!(
                        "{what}: list {} of the evidence ({lang}) is empty, so nothing matches it",
                        i + 1
                    ),
                );
            }
            words(sink, &path, what, list);
        }
    }
}

/// Patterns that are looked for literally: none empty, none so short that it occurs inside other words.
pub(super) fn words(sink: &mut Sink, path: &str, what: &str, words: &[String]) {
    for (i, word) in words.iter().enumerate() {
        let path = format!("{path}.{i}");
        if word.blank() {
            sink.error(&path, format!("{what}: an empty pattern matches nothing; remove it"));
        } else if word.bytes().all(|b| b.is_ascii_alphabetic())
            && (word.len() <= 2 || EVERYWHERE.contains(&word.to_ascii_lowercase().as_str()))
        {
            sink.warn(
                &path,
                format!("{what}: \"{word}\" also occurs inside longer words (patterns are literal); write more of it"),
            );
        }
    }
}
