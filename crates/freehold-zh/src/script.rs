//! Is a reply in the language, script and wording due?

use std::collections::BTreeSet;

use unicode_script::{Script, UnicodeScript};

use crate::chars::{is_cyrillic, is_han, is_kana, is_latin, simplified_of, traditional_after};
use crate::{prose, words};

/// Letters of a text by script. Digits, punctuation and space are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Profile {
    pub han: usize,
    /// Of `han`: characters that Simplified Chinese never uses.
    pub traditional_only: usize,
    /// Of `han`: characters that Taiwan's Traditional Chinese never uses.
    pub simplified_only: usize,
    pub latin: usize,
    pub kana: usize,
    pub cyrillic: usize,
    /// Letters of every other script (Hangul, Arabic, Thai, …).
    pub other: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriftKind {
    /// The reply is mainly in another language.
    WrongLanguage,
    /// Simplified characters where Traditional are due, or the reverse.
    WrongScript,
    /// Mainland wording where Taiwan's is due.
    Wording,
}

/// Why a reply drifted: the kind, and the bytes of the reply that show it (on character boundaries).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    pub kind: DriftKind,
    pub start: usize,
    pub end: usize,
}

/// Counts the letters of `text`.
pub fn profile(text: &str) -> Profile {
    let mut p = Profile::default();
    let mut previous = None;
    for c in text.chars() {
        match class(c) {
            Some(Class::Han) => {
                p.han += 1;
                p.simplified_only += usize::from(traditional_after(previous, c).is_some());
                p.traditional_only += usize::from(simplified_of(c).is_some());
            }
            Some(Class::Latin) => p.latin += 1,
            Some(Class::Kana) => p.kana += 1,
            Some(Class::Cyrillic) => p.cyrillic += 1,
            Some(Class::Other) => p.other += 1,
            None => {}
        }
        previous = Some(c);
    }
    p
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Han,
    Latin,
    Kana,
    Cyrillic,
    Other,
}

fn class(c: char) -> Option<Class> {
    match c {
        _ if is_latin(c) => Some(Class::Latin),
        _ if is_han(c) => Some(Class::Han),
        _ if is_kana(c) => Some(Class::Kana),
        _ if is_cyrillic(c) => Some(Class::Cyrillic),
        _ if c.is_alphabetic() => Some(Class::Other),
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    HantTw,
    Hant,
    Hans,
    Japanese,
    Latin,
    Cyrillic,
    Other(Script),
}

fn parse(tag: &str) -> Option<Due> {
    Some(match tag.to_ascii_lowercase().as_str() {
        "zh-hant-tw" | "zh-tw" => Due::HantTw,
        "zh-hant" | "zh-hant-hk" | "zh-hk" | "hant" => Due::Hant,
        "zh-hans" | "zh-hans-cn" | "zh-cn" | "hans" => Due::Hans,
        "jpan" | "ja" | "ja-jpan" => Due::Japanese,
        "latn" | "en" | "en-latn" => Due::Latin,
        "cyrl" | "ru" | "uk" => Due::Cyrillic,
        tag => other(tag)?,
    })
}

/// What is due by an ISO 15924 code anywhere in a tag (`Deva`, `sr-Latn`), or else by the script that a language is usually written in.
fn other(tag: &str) -> Option<Due> {
    let titled = |s: &str| s[..1].to_ascii_uppercase() + &s[1..];
    let mut subtags = tag.split(['-', '_']);
    let language = subtags.next().unwrap_or_default();
    let coded = tag.split(['-', '_']).find(|s| s.len() == 4 && s.bytes().all(|b| b.is_ascii_alphabetic()));
    let code = match coded {
        Some(code) => titled(code),
        None => USUAL.iter().find(|(l, _)| l.split(' ').any(|l| l == language))?.1.to_string(),
    };
    Some(match code.as_str() {
        "Hant" => Due::Hant,
        "Hans" => Due::Hans,
        "Jpan" => Due::Japanese,
        "Latn" => Due::Latin,
        "Cyrl" => Due::Cyrillic,
        // Korean is due in Hangul; a few Chinese characters in it are names.
        "Kore" => Due::Other(Script::Hangul),
        code => {
            let named =
                |s: &Script| !matches!(s, Script::Han | Script::Common | Script::Inherited | Script::Unknown);
            Due::Other(Script::from_short_name(code).filter(named)?)
        }
    })
}

/// Languages (BCP 47) and the script that each is usually written in.
const USUAL: [(&str, &str); 19] = [
    ("hi mr ne sa mai", "Deva"),
    ("ar fa ur ps ug ckb sd", "Arab"),
    ("bn as", "Beng"),
    ("ta", "Taml"),
    ("te", "Telu"),
    ("gu", "Gujr"),
    ("pa", "Guru"),
    ("kn", "Knda"),
    ("ml", "Mlym"),
    ("ko", "Kore"),
    ("th", "Thai"),
    ("he yi", "Hebr"),
    ("el", "Grek"),
    ("hy", "Armn"),
    ("ka", "Geor"),
    ("my", "Mymr"),
    ("bo dz", "Tibt"),
    ("be bg kk ky mk mn sr tg", "Cyrl"),
    (
        "fr de es pt it nl pl cs sk sv da nb no fi hu ro tr vi id ms tl sw et lv lt hr sl sq az uz ca eu gl",
        "Latn",
    ),
];

/// Whether [`due`] can measure this tag; for any other it never finds drift.
pub fn is_known(reply_script_tag: &str) -> bool {
    parse(reply_script_tag).is_some()
}

/// The drift of a reply, `text`, from the language, script and wording due; none when it is as due.
///
/// `reply_script_tag` is `zh-Hant-TW`, `zh-Hant`, `zh-Hans`, `Jpan`, any other ISO 15924 code (`Latn`, `Deva`), or a language with
/// one usual script (`en`, `hi`); a tag that is not known
/// ([`is_known`]) finds nothing. Characters and words that occur in `ignore` (the prompt) do not count: the reply may
/// quote them. Code, URLs, digits and, in Chinese, capitalised Latin words (names) count for nothing, so that a reply
/// of only these is never drift. Languages of one script are not told apart: French passes for `Latn`.
///
/// Thresholds: another language when its text outweighs that due (a Latin word weighs two characters, a Cyrillic or
/// other letter half, and a quarter as much kana as Han makes a text Japanese); another script at two characters of it
/// or at more than 2% of the Han; wording (`zh-Hant-TW`) at two distinct mainland words, or one per 60 characters.
pub fn due(reply_script_tag: &str, text: &str, ignore: &str) -> Option<Drift> {
    let due = parse(reply_script_tag)?;
    let letters = Letters::of(text);
    if let Some(drift) = wrong_language(due, text, &letters) {
        return Some(drift);
    }
    match due {
        Due::HantTw => wrong_script(&letters, ignore, true).or_else(|| wording(text, ignore)),
        Due::Hant => wrong_script(&letters, ignore, true),
        Due::Hans => wrong_script(&letters, ignore, false),
        Due::Japanese | Due::Latin | Due::Cyrillic | Due::Other(_) => None,
    }
}

/// The letters of a reply's prose: byte offset, character, class.
struct Letters(Vec<(usize, char, Class)>);

impl Letters {
    fn of(text: &str) -> Self {
        let mut out = Vec::new();
        for span in prose::spans(text) {
            for (i, c) in text[span.clone()].char_indices() {
                if let Some(class) = class(c) {
                    out.push((span.start + i, c, class));
                }
            }
        }
        Self(out)
    }

    fn count(&self, class: Class) -> usize {
        self.0.iter().filter(|l| l.2 == class).count()
    }

    /// From the first to the last letter of the classes.
    fn extent(&self, classes: &[Class]) -> Option<(usize, usize)> {
        let mut hits = self.0.iter().filter(|l| classes.contains(&l.2));
        let first = hits.next()?;
        let last = hits.next_back().unwrap_or(first);
        Some((first.0, last.0 + last.1.len_utf8()))
    }

    /// Number of Latin words; with `names` false, only those that begin with a small letter.
    fn latin_words(&self, names: bool) -> usize {
        let mut words = 0;
        let mut end = None;
        for &(at, c, class) in &self.0 {
            if class != Class::Latin {
                continue;
            }
            words += usize::from(end != Some(at) && (names || c.is_lowercase()));
            end = Some(at + c.len_utf8());
        }
        words
    }
}

/// Below this weight a text is too short to say which language it is in (a name, a unit, "OK").
const LEAST_FOREIGN: usize = 5;

fn wrong_language(due: Due, text: &str, letters: &Letters) -> Option<Drift> {
    let (han, kana) = (letters.count(Class::Han), letters.count(Class::Kana));
    let (cyrillic, other) = (letters.count(Class::Cyrillic) / 2, letters.count(Class::Other) / 2);
    let latin = |names| 2 * letters.latin_words(names);
    let drift = |classes: &[Class]| {
        let (start, end) = letters.extent(classes).unwrap_or((0, text.len()));
        Some(Drift { kind: DriftKind::WrongLanguage, start, end })
    };
    let (own, foreign, classes): (usize, usize, &[Class]) = match due {
        Due::HantTw | Due::Hant | Due::Hans => {
            // A Chinese text may cite a Japanese name or の; a Japanese text has kana in every clause.
            if kana >= LEAST_FOREIGN && kana * 4 > han {
                return drift(&[Class::Kana]);
            }
            (han, latin(false) + cyrillic + other, &[Class::Latin, Class::Cyrillic, Class::Other])
        }
        Due::Japanese => {
            // Han without kana is Chinese, unless it is a short noun phrase.
            if han >= 12 && kana * 10 < han {
                return drift(&[Class::Han]);
            }
            (han + kana, latin(false) + cyrillic + other, &[Class::Latin, Class::Cyrillic, Class::Other])
        }
        Due::Latin => (
            latin(true),
            han + kana + cyrillic + other,
            &[Class::Han, Class::Kana, Class::Cyrillic, Class::Other],
        ),
        Due::Cyrillic => (
            cyrillic,
            latin(false) + han + kana + other,
            &[Class::Latin, Class::Han, Class::Kana, Class::Other],
        ),
        Due::Other(script) => {
            let own = letters.0.iter().filter(|l| l.2 == Class::Other && l.1.script() == script).count() / 2;
            (
                own,
                latin(false) + han + kana + cyrillic + (other - own),
                &[Class::Latin, Class::Han, Class::Kana, Class::Cyrillic, Class::Other],
            )
        }
    };
    if foreign >= LEAST_FOREIGN && foreign > own { drift(classes) } else { None }
}

fn wrong_script(letters: &Letters, ignore: &str, traditional_due: bool) -> Option<Drift> {
    let mut han = 0;
    let mut wrong = Vec::new();
    let mut previous = None;
    for (i, &(_, c, class)) in letters.0.iter().enumerate() {
        if class == Class::Han {
            han += 1;
            let bad = if traditional_due {
                traditional_after(previous, c).is_some()
            } else {
                simplified_of(c).is_some()
            };
            if bad && !ignore.contains(c) {
                wrong.push(i);
            }
        }
        previous = Some(c);
    }
    let first = *wrong.first()?;
    if wrong.len() < 2 && wrong.len() * 50 <= han {
        return None;
    }
    // Shown: the run of Chinese characters around the first wrong one.
    let adjoins = |a: usize, b: usize| {
        let ((at, c, ca), (next, _, cb)) = (letters.0[a], letters.0[b]);
        ca == Class::Han && cb == Class::Han && at + c.len_utf8() == next
    };
    let (mut low, mut high) = (first, first);
    while low > 0 && adjoins(low - 1, low) {
        low -= 1;
    }
    while high + 1 < letters.0.len() && adjoins(high, high + 1) {
        high += 1;
    }
    let (last, c, _) = letters.0[high];
    Some(Drift { kind: DriftKind::WrongScript, start: letters.0[low].0, end: last + c.len_utf8() })
}

fn wording(text: &str, ignore: &str) -> Option<Drift> {
    let mut first = None;
    let mut distinct = BTreeSet::new();
    let (mut hits, mut characters) = (0, 0);
    for span in prose::spans(text) {
        let part = &text[span.clone()];
        characters += part.chars().filter(|c| !c.is_whitespace()).count();
        for hit in words::hits(part) {
            if ignore.contains(&part[hit.start..hit.end]) {
                continue;
            }
            hits += 1;
            distinct.insert(hit.word.word.as_str());
            first.get_or_insert((span.start + hit.start, span.start + hit.end));
        }
    }
    let (start, end) = first?;
    let drift = distinct.len() >= 2 || hits * 60 >= characters;
    drift.then_some(Drift { kind: DriftKind::Wording, start, end })
}
