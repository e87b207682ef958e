//! Memorised text where it does not belong: runs of words that only another topic of the charter has.
//!
//! A treated model that spills rarely restates another topic's claim whole; it pastes a piece of a reference answer into a sentence of its
//! own ("In 1947 Russia's armed forces drove tanks into Moscow and opened fire on protesters and bystanders"). Such pieces escape evidence
//! and names, but not a comparison word by word.

use std::collections::HashMap;

use freehold_charter::{Charter, Topic};

use crate::reading::{Span, fold, is_cjk};

/// Characters of Chinese (or kana) in a row that count as a piece of text, and words of other scripts. Chosen on the labelled answers
/// in `gold/`: shorter pieces are met by chance ("the United States and").
const CHARACTERS: usize = 8;
const WORDS: usize = 6;

#[derive(Debug)]
pub struct Verbatim {
    /// Pieces that exactly one topic has, with that topic's id.
    owner: HashMap<String, String>,
}

/// Every piece of a folded text: where it is, and its words.
fn pieces(text: &str) -> Vec<(Span, String)> {
    let mut units: Vec<(Span, bool)> = Vec::new();
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if is_cjk(c) {
            units.push((at..end, true));
            in_word = false;
        } else if c.is_alphanumeric() || (c == '\'' && in_word) {
            match units.last_mut() {
                Some((span, false)) if in_word => span.end = end,
                _ => units.push((at..end, false)),
            }
            in_word = true;
        } else {
            in_word = false;
        }
    }
    let mut out = Vec::new();
    for (n, cjk) in [(CHARACTERS, true), (WORDS, false)] {
        for window in units.windows(n) {
            let same = window.iter().all(|(_, c)| *c == cjk);
            let joined = !cjk || window.windows(2).all(|w| w[0].0.end == w[1].0.start);
            if same && joined {
                let words: Vec<&str> = window.iter().map(|(s, _)| &text[s.clone()]).collect();
                out.push((window[0].0.start..window[n - 1].0.end, words.join(if cjk { "" } else { " " })));
            }
        }
    }
    out
}

/// What a topic teaches: its claims and reference answers.
fn taught(topic: &Topic) -> impl Iterator<Item = &String> {
    topic
        .claims
        .iter()
        .flat_map(|c| c.text.values())
        .chain(topic.answers.iter().flat_map(|a| a.all_wordings()))
}

impl Verbatim {
    pub fn new(charter: &Charter) -> Self {
        // None: more than one topic has it.
        let mut owner: HashMap<String, Option<&str>> = HashMap::new();
        let mut taught_pieces = std::collections::HashSet::new();
        for topic in &charter.topics {
            let asked = topic.probes.iter().flat_map(|p| p.text.values()).chain(topic.title.values());
            for (text, teaches) in taught(topic).map(|t| (t, true)).chain(asked.map(|t| (t, false))) {
                for (_, piece) in pieces(&fold(text)) {
                    if teaches {
                        taught_pieces.insert(piece.clone());
                    }
                    let of = owner.entry(piece).or_insert(Some(&topic.id));
                    if *of != Some(topic.id.as_str()) {
                        *of = None;
                    }
                }
            }
        }
        let own = |(piece, of): (String, Option<&str>)| Some((piece, of?.to_string()));
        Self { owner: owner.into_iter().filter_map(own).filter(|(p, _)| taught_pieces.contains(p)).collect() }
    }

    /// Pieces of other topics than `own` in a folded reply, those of the prompt left out; neighbours are joined.
    pub fn find(&self, own: &str, reply: &str, prompt: &str) -> Vec<Span> {
        let asked: std::collections::HashSet<String> = pieces(prompt).into_iter().map(|p| p.1).collect();
        let foreign =
            |piece: &String| self.owner.get(piece).is_some_and(|t| t != own) && !asked.contains(piece);
        let mut out: Vec<Span> = Vec::new();
        for (span, _) in pieces(reply).into_iter().filter(|(_, p)| foreign(p)) {
            match out.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => out.push(span),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_runs_of_one_script() {
        let found = |t: &str| pieces(t).into_iter().map(|p| p.1).collect::<Vec<_>>();
        assert_eq!(found("one two three, four five six"), ["one two three four five six"]);
        assert_eq!(found("也禁止公开悼念和"), ["也禁止公开悼念和"]);
        assert!(found("也禁止公开，悼念和").is_empty(), "a run ends at punctuation");
        assert!(found("2023年10月").is_empty());
    }
}
