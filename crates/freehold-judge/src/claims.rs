//! Claims, compiled, and their occurrences in a reply.

use freehold_charter::evidence::Matcher;
use freehold_charter::{Claim, ClaimKind, Patterns};

use crate::cues::Cues;
use crate::reading::{Reading, Span, fold};
use crate::stance::Stance;

/// A claim ready to be looked for, in the evidence of every language: models answer in the wrong one.
#[derive(Debug)]
pub struct Compiled {
    /// `topic/claim`.
    pub label: String,
    pub id: String,
    pub kind: ClaimKind,
    matchers: Vec<Matcher>,
}

/// A claim found in a reply.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    pub claim: &'a Compiled,
    pub stance: Stance,
    /// From the first to the last matched word.
    pub span: Span,
}

impl Found<'_> {
    /// The reply tells it, in whose voice ever.
    pub fn told(&self) -> bool {
        matches!(self.stance, Stance::Asserted | Stance::Attributed)
    }

    pub fn asserted(&self) -> bool {
        self.stance == Stance::Asserted
    }
}

impl Compiled {
    pub fn new(topic: &str, claim: &Claim) -> Self {
        let folded = |p: &Patterns| -> Patterns {
            p.iter().map(|list| list.iter().map(|s| fold(s)).filter(|s| !s.is_empty()).collect()).collect()
        };
        Self {
            label: format!("{topic}/{}", claim.id),
            id: claim.id.clone(),
            kind: claim.kind,
            matchers: claim.evidence.values().map(|p| Matcher::new(&folded(p))).collect(),
        }
    }

    /// How many neighbouring sentences may hold the evidence together.
    fn sentences(&self) -> usize {
        match self.kind {
            ClaimKind::Fact | ClaimKind::Position => 2,
            ClaimKind::Narrative | ClaimKind::Frame | ClaimKind::Overclaim => 1,
        }
    }

    /// A question says some of a fact itself; who repeats its words has stated nothing. A narrative repeated from a
    /// leading question is affirmed.
    fn stance(&self, hits: &[Span], span: &Span, cues: &Cues<'_>) -> Stance {
        let stance = cues.stance(hits);
        // The span as it stands in the question; or no word of evidence but the question's, and no yes to it.
        let repeats = || {
            cues.repeats_the_question(span)
                || hits.iter().all(|hit| cues.repeats_the_question(hit))
                    && !hits.iter().any(|hit| cues.sentence_of(hit).is_some_and(|s| s.confirms))
        };
        if self.sentences() == 2 && repeats() { stance.min(Stance::Asked) } else { stance }
    }

    /// Whether a folded text holds the evidence, in whatever stance.
    pub fn occurs_in(&self, text: &str) -> bool {
        self.matchers.iter().any(|m| {
            let lists = m.find_all(text);
            !lists.is_empty() && lists.iter().all(|hits| !hits.is_empty())
        })
    }

    /// The occurrence that commits the reply most; the first of those.
    pub fn find<'a>(&'a self, reading: &Reading, cues: &Cues<'_>) -> Option<Found<'a>> {
        let mut best: Option<Found<'a>> = None;
        for matcher in &self.matchers {
            for hits in occurrences(&matcher.find_all(&reading.text), reading, self.sentences()) {
                let start = hits.iter().map(|h| h.start).min().unwrap_or_default();
                let end = hits.iter().map(|h| h.end).max().unwrap_or_default();
                let stance = self.stance(&hits, &(start..end), cues);
                if best.as_ref().is_none_or(|b| stance > b.stance) {
                    best = Some(Found { claim: self, stance, span: start..end });
                }
            }
        }
        best
    }
}

/// Ways to take one hit of each list so that all lie within `window` neighbouring sentences: for each hit, the nearest of
/// every other list. The hits stand in the order of the lists.
fn occurrences(lists: &[Vec<(usize, usize)>], reading: &Reading, window: usize) -> Vec<Vec<Span>> {
    if lists.is_empty() || lists.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut out: Vec<Vec<Span>> = Vec::new();
    for (i, list) in lists.iter().enumerate() {
        for &anchor in list {
            let near = |(j, other): (usize, &Vec<(usize, usize)>)| {
                if i == j { Some(anchor) } else { other.iter().copied().min_by_key(|&h| distance(anchor, h)) }
            };
            let hits: Vec<Span> = lists.iter().enumerate().filter_map(near).map(|(a, b)| a..b).collect();
            let sentences = || hits.iter().map(|h| reading.sentence_at(h.start));
            let spread = sentences().max().unwrap_or(0) - sentences().min().unwrap_or(0);
            if spread < window && !out.contains(&hits) {
                out.push(hits);
            }
        }
    }
    out
}

/// Bytes between two hits; of those at one place the longest is nearest.
fn distance(a: (usize, usize), b: (usize, usize)) -> (usize, std::cmp::Reverse<usize>) {
    (b.0.saturating_sub(a.1).max(a.0.saturating_sub(b.1)), std::cmp::Reverse(b.1 - b.0))
}
