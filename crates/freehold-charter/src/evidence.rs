//! Evidence: literal patterns looked for in normalised text.
//!
//! Normal form is NFKC plus lower case, character by character (so that it does not depend on where a word ends),
//! plus one thing that NFKC leaves: a typographic apostrophe inside a word becomes the plain one, because models
//! and charter writers use both. Nothing else is folded: no white space, no punctuation, no script conversion.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, is_nfc_quick};

pub use crate::sentence::sentences;
use crate::types::{Claim, ClaimKind, Patterns};

/// Within how many neighbouring sentences the evidence of a claim must lie: two for what a reply should state, one
/// for what it must not assert.
pub fn window(kind: ClaimKind) -> usize {
    match kind {
        ClaimKind::Fact | ClaimKind::Position => 2,
        ClaimKind::Narrative | ClaimKind::Frame | ClaimKind::Overclaim => 1,
    }
}

/// Where `normalized` shows the evidence of `claim` in language `lang`, within the claim's [`window`]. Says nothing
/// of negation or attribution: that is for the judge.
pub fn find_claim(claim: &Claim, lang: &str, normalized: &str) -> Option<Vec<(usize, usize)>> {
    Matcher::new(claim.evidence.get(lang)?).find_within(normalized, window(claim.kind))
}

/// Normal form of a text. Spans found in it can be mapped back with [`Normalized`].
pub fn normalize(text: &str) -> String {
    Normalized::new(text).text
}

/// Looks for `patterns` (OR inside a list, AND across lists) in `normalized`, which must come from [`normalize`].
///
/// Returns one byte span of `normalized` per list, in the order of the lists: the leftmost alternative, the longest
/// of those that start there. `None` when a list has no hit, and for patterns without any list: no evidence
/// never counts as evidence. Patterns are normalised here; where the same ones are used often, keep a [`Matcher`].
pub fn matches(patterns: &Patterns, normalized: &str) -> Option<Vec<(usize, usize)>> {
    Matcher::new(patterns).find(normalized)
}

/// Patterns normalised once, to be used many times.
#[derive(Debug, Clone)]
pub struct Matcher {
    lists: Vec<Vec<String>>,
}

impl Matcher {
    pub fn new(patterns: &Patterns) -> Self {
        let list = |l: &Vec<String>| l.iter().map(|p| normalize(p)).filter(|p| !p.is_empty()).collect();
        Self { lists: patterns.iter().map(list).collect() }
    }

    /// As [`matches`].
    pub fn find(&self, normalized: &str) -> Option<Vec<(usize, usize)>> {
        if self.lists.is_empty() {
            return None;
        }
        self.lists.iter().map(|list| first_hit(list, normalized)).collect()
    }

    /// As [`Matcher::find`], but all hits must lie within `sentences` neighbouring sentences; the first such place.
    pub fn find_within(&self, normalized: &str, sentences: usize) -> Option<Vec<(usize, usize)>> {
        // Most patterns are nowhere in most texts.
        self.find(normalized)?;
        let spans = crate::sentence::sentences(normalized);
        let width = sentences.clamp(1, spans.len().max(1));
        spans.windows(width).find_map(|window| {
            let (from, to) = (window.first()?.0, window.last()?.1);
            let hits = self.find(&normalized[from..to])?;
            Some(hits.into_iter().map(|(a, b)| (from + a, from + b)).collect())
        })
    }

    /// Every occurrence of every alternative, list by list, sorted and without duplicates; for a judge that needs
    /// more than the first (hits of two lists that lie near each other).
    pub fn find_all(&self, normalized: &str) -> Vec<Vec<(usize, usize)>> {
        let all = |list: &Vec<String>| {
            let mut hits: Vec<_> = list
                .iter()
                .flat_map(|p| normalized.match_indices(p.as_str()).map(|(at, m)| (at, at + m.len())))
                .collect();
            hits.sort_unstable();
            hits.dedup();
            hits
        };
        self.lists.iter().map(all).collect()
    }
}

fn first_hit(list: &[String], normalized: &str) -> Option<(usize, usize)> {
    list.iter()
        .filter_map(|p| normalized.find(p.as_str()).map(|at| (at, at + p.len())))
        .min_by_key(|&(start, end)| (start, std::cmp::Reverse(end)))
}

/// A text in normal form that remembers where each of its bytes came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalized {
    /// The normal form.
    pub text: String,
    /// For each byte of `text`: start and end (bytes, of the original) of the characters it was made from.
    pub map: Vec<(u32, u32)>,
    original_len: usize,
}

impl Normalized {
    /// Texts above 4 GiB do not occur: the charter's files are at most 8 MiB, and an answer has a token limit.
    pub fn new(original: &str) -> Self {
        let mut out = Self {
            text: String::with_capacity(original.len()),
            map: Vec::with_capacity(original.len()),
            original_len: original.len(),
        };
        let mut start = 0;
        for (at, c) in original.char_indices().skip(1) {
            if starts_segment(c) {
                out.push(original, start, at);
                start = at;
            }
        }
        if start < original.len() {
            out.push(original, start, original.len());
        }
        out
    }

    /// Normalises one segment, whose form does not depend on its neighbours.
    fn push(&mut self, original: &str, start: usize, end: usize) {
        let segment = &original[start..end];
        let from = (clamp(start), clamp(end));
        let before = self.text.len();
        if segment.len() == 1 {
            self.text.push(segment.as_bytes()[0].to_ascii_lowercase() as char);
        } else if segment == "\u{2019}" && inside_word(original, start, end) {
            self.text.push('\'');
        } else {
            // Lower case may undo composition (İ gives i and a dot), and a lowered letter may compose anew: once
            // more NFKC makes the form stable.
            let lowered: String = segment.nfkc().flat_map(char::to_lowercase).map(plain_sigma).collect();
            self.text.extend(lowered.nfkc());
        }
        self.map.extend(std::iter::repeat_n(from, self.text.len() - before));
    }

    /// The span of the original that bytes `start..end` of the normal form came from. Both ends are on character
    /// boundaries of the original; where one original character became several, the whole of it is given.
    /// A span that is out of range or turned round is cut to what there is.
    pub fn original_span(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.map.get(start).map_or(self.original_len, |m| m.0 as usize);
        let last = match end.min(self.map.len()).checked_sub(1) {
            Some(i) if end > start => self.map.get(i).map_or(self.original_len, |m| m.1 as usize),
            _ => first,
        };
        (first, last.max(first))
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Rust lowers Σ to σ outside of words' ends; a final ς would hide the same word from a pattern.
fn plain_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

fn inside_word(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    before.is_some_and(char::is_alphabetic) && after.is_some_and(char::is_alphabetic)
}

/// Whether `c` can neither be reordered with nor compose with what stands before it.
fn starts_segment(c: char) -> bool {
    if c.is_ascii() {
        return true;
    }
    match std::iter::once(c).nfkd().next() {
        Some(d) => canonical_combining_class(d) == 0 && is_nfc_quick(std::iter::once(d)) == IsNormalized::Yes,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn p(lists: &[&[&str]]) -> Patterns {
        lists.iter().map(|l| l.iter().map(|s| s.to_string()).collect()).collect()
    }

    #[test]
    fn folds_width_case_and_apostrophe() {
        assert_eq!(normalize("ＴＡＮＫ Ｍａｎ"), "tank man");
        assert_eq!(normalize("People’s ‘Army’"), "people's ‘army’");
        assert_eq!(normalize("cafe\u{301}"), "café");
        assert_eq!(normalize("ΟΔΟΣ"), normalize("οδος"));
        assert_eq!(normalize("ｶﾞ"), "ガ");
        assert_eq!(normalize("각"), "각");
    }

    #[test]
    fn and_across_lists_or_inside() {
        let pats = p(&[&["軍隊", "坦克"], &["開槍", "鎮壓"]]);
        let text = normalize("六月四日，坦克駛入，軍隊向平民開槍。");
        let spans = matches(&pats, &text).unwrap();
        assert_eq!(spans.iter().map(|&(a, b)| &text[a..b]).collect::<Vec<_>>(), ["坦克", "開槍"]);
        assert!(matches(&pats, &normalize("坦克駛入")).is_none());
        assert!(matches(&p(&[]), &text).is_none());
        assert!(matches(&p(&[&[]]), &text).is_none());
        assert!(matches(&p(&[&[""]]), &text).is_none());
    }

    #[test]
    fn leftmost_then_longest() {
        let text = normalize("The People's Liberation Army");
        let spans = matches(&p(&[&["army", "people", "people's liberation"]]), &text).unwrap();
        assert_eq!(&text[spans[0].0..spans[0].1], "people's liberation");
    }

    #[test]
    fn spans_go_back_to_the_original() {
        let original = "前ＡＢ① cafe\u{301} ﬃ後";
        let n = Normalized::new(original);
        for (pattern, due) in [("ab", "ＡＢ"), ("1", "①"), ("café", "cafe\u{301}"), ("ff", "ﬃ"), ("後", "後")]
        {
            let at = n.text.find(pattern).unwrap();
            let (a, b) = n.original_span(at, at + pattern.len());
            assert_eq!(&original[a..b], due);
        }
        assert_eq!(n.original_span(9999, 3), (original.len(), original.len()));
    }

    proptest! {
        #[test]
        fn segments_give_the_same_as_the_whole(s in "\\PC{0,40}") {
            let s = s.replace(['\u{2019}', 'ς'], "x");
            let whole: String = s.nfkc().flat_map(char::to_lowercase).map(plain_sigma).nfkc().collect();
            let n = Normalized::new(&s);
            prop_assert_eq!(&n.text, &whole);
            prop_assert_eq!(n.text.len(), n.map.len());
        }

        #[test]
        fn any_span_is_on_character_boundaries(s in "\\PC{0,20}", a in 0usize..80, b in 0usize..80) {
            let (x, y) = Normalized::new(&s).original_span(a, b);
            prop_assert!(s.get(x..y).is_some());
        }
    }
}
