//! How a statement stands in a reply: asserted, attributed, denied, asked, or only named.

use crate::cues::{Cues, Sentence, is_hiragana, overlap};
use crate::reading::{Span, is_cjk};

/// How a statement that was found in a reply stands there, from the least to the most that the reply commits itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stance {
    /// Part of a refusal or of an admission of not knowing: named, not stated.
    Disclaimed,
    /// Part of a question, or a fact in the very words of the question.
    Asked,
    /// Denied, or shown to be wrong right after.
    Denied,
    /// Said to be someone's.
    Attributed,
    /// In the reply's own voice.
    Asserted,
}

/// How far a `near` cue reaches, in bytes: a few words, or two Chinese characters.
const NEAR_LATIN: usize = 16;
const NEAR_CJK: usize = 6;
/// After a comma, a denial of what stands before refers to it (`…, which is false`; `…，這種說法不符合事實`) and is
/// short, in bytes.
const AFTER_COMMA: usize = 40;
/// A rebuttal in the next sentence opens it, within these bytes.
const OPENING: usize = 24;

impl Cues<'_> {
    /// The stance of a statement whose parts are `hits`, in the order of the claim's lists; at least one.
    pub fn stance(&self, hits: &[Span]) -> Stance {
        let (Some(last), Some(predicate)) = (hits.iter().max_by_key(|h| h.end), hits.last()) else {
            return Stance::Asked;
        };
        let Some(home) = self.sentence_of(last) else { return Stance::Asserted };
        if hits.iter().all(|h| self.sentence_of(h).is_some_and(|s| s.disclaims(h))) {
            return Stance::Disclaimed;
        }
        if hits.iter().all(|h| self.sentence_of(h).is_some_and(|s| s.asks(h))) {
            return Stance::Asked;
        }
        // By custom a claim's last list holds what is said, the ones before it of whom.
        let denied_before = [last, predicate]
            .into_iter()
            .any(|h| self.sentence_of(h).is_some_and(|s| s.denies(h, hits, &self.reading.text)));
        if denied_before || home.denies_back(last, hits, &self.reading.text) || self.rebutted(last) {
            return Stance::Denied;
        }
        if home.attributes(last) || home.marks(last) || self.quoted(last) {
            Stance::Attributed
        } else {
            Stance::Asserted
        }
    }

    /// A rebuttal follows: in the sentence, or at the opening of the next one. Statements that semicolons join are
    /// rebutted together.
    fn rebutted(&self, last: &Span) -> bool {
        let mut index = self.reading.sentence_at(last.start);
        if self.sentences.get(index).is_some_and(|s| s.rebuttals.iter().any(|r| r.start >= last.end)) {
            return true;
        }
        while self.text_of(index).trim_end().ends_with(';') {
            index += 1;
        }
        let next = self.sentences.get(index + 1).zip(self.reading.sentences.get(index + 1));
        next.is_some_and(|(s, span)| s.rebuttals.iter().any(|r| r.start <= span.start + OPENING))
    }

    /// Inside quotation marks after which someone is named as the speaker.
    fn quoted(&self, last: &Span) -> bool {
        let text = &self.reading.text;
        let opened = text[..last.start].matches('"').count() % 2 == 1;
        let close = text[last.end..].find('"').filter(|_| opened).map(|at| last.end + at);
        close.is_some_and(|at| {
            let sentence = self.sentences.get(self.reading.sentence_at(at));
            sentence.is_some_and(|s| s.said_after.iter().any(|c| c.start <= at + 1 && c.end > at))
        })
    }

    fn text_of(&self, index: usize) -> &str {
        self.reading.sentences.get(index).map_or("", |s| &self.reading.text[s.clone()])
    }
}

impl Sentence {
    /// What stands before a contrast is said, not asked: "it was a riot, but is the law not what people wanted?"
    fn asks(&self, hit: &Span) -> bool {
        self.question && !self.contrasts.iter().any(|c| *c >= hit.end)
    }

    fn disclaims(&self, hit: &Span) -> bool {
        self.disclaimers.iter().any(|d| {
            let between = if d.end <= hit.start { d.end..hit.start } else { hit.end..d.start };
            overlap(d, hit) || !within(&self.contrasts, &between)
        })
    }

    /// Whether a denial before the hit reaches it. Denials inside the matched words are part of the claim: "does not
    /// mention Taiwan" is asserted by these words.
    fn denies(&self, hit: &Span, hits: &[Span], text: &str) -> bool {
        if self.double.iter().any(|d| overlap(d, hit) && d.start < hit.start) {
            return true;
        }
        let before = |c: &&Span| c.end <= hit.start && !hits.iter().any(|h| overlap(c, h));
        let reaches = |c: &Span, ends: &[usize]| !within(ends, &(c.end..hit.start));
        let clause = self.clause.iter().filter(before).any(|c| reaches(c, &self.breaks));
        let near = self.near.iter().filter(before).any(|c| hit.start - c.end <= reach(&text[c.clone()]));
        let complement = self.complement.iter().filter(before).any(|c| reaches(c, &self.complement_ends));
        // "No evidence that the army did not fire" asserts.
        complement != (clause || near)
    }

    /// Whether a denial after the last hit takes it back.
    fn denies_back(&self, last: &Span, hits: &[Span], text: &str) -> bool {
        let behind = |c: &&Span| c.start >= last.end && !hits.iter().any(|h| overlap(c, h));
        self.after.iter().filter(behind).any(|c| {
            let between = &text[last.end..c.start];
            let Some(comma) = comma_end(between) else { return !between.contains(" that ") };
            let rest = &between[comma..];
            let start = last.end + comma + (rest.len() - rest.trim_start().len());
            // "The massacre is a fabrication, is propaganda": the second denial repeats the first.
            let points_back = rest.trim().is_empty() || self.refers.iter().any(|r| r.start == start);
            !self.is_denial(last) && rest.len() <= AFTER_COMMA && points_back
        })
    }

    /// Whether the matched words deny something themselves.
    fn is_denial(&self, hit: &Span) -> bool {
        [&self.complement, &self.clause, &self.after].into_iter().flatten().any(|c| overlap(c, hit))
    }

    fn attributes(&self, last: &Span) -> bool {
        let before = |c: &Span| {
            c.start < last.start
                && c.end <= last.end
                && !within(&self.contrasts, &(c.start..last.start))
                && !self.own.iter().any(|o| o.start >= c.end && o.start < last.start)
        };
        self.introduced
            || self.said_before.iter().any(before)
            // These begin with the comma or the quotation mark that closes the statement.
            || self.said_after.iter().any(|c| c.start + 1 >= last.end)
            || self.said_tail.iter().any(|c| c.start >= last.end && c.start - last.end <= NEAR_CJK)
    }

    /// `So-called` marks the words after it, unless these deny it themselves: "the so-called massacre is a lie" is in
    /// the reply's own voice.
    fn marks(&self, hit: &Span) -> bool {
        let near = |c: &Span| c.end <= hit.start && hit.start - c.end <= NEAR_CJK;
        !self.is_denial(hit) && self.said_near.iter().any(near)
    }
}

/// Where the last comma or colon of a text ends; 、 is one after kana (elsewhere it joins a list).
fn comma_end(text: &str) -> Option<usize> {
    let comma = |&(at, c): &(usize, char)| match c {
        ',' | ':' => true,
        '、' => text[..at].chars().next_back().is_some_and(is_hiragana),
        _ => false,
    };
    text.char_indices().rfind(comma).map(|(at, c)| at + c.len_utf8())
}

fn reach(cue: &str) -> usize {
    if cue.chars().any(is_cjk) { NEAR_CJK } else { NEAR_LATIN }
}

fn within(places: &[usize], span: &Span) -> bool {
    places.iter().any(|p| span.contains(p))
}
