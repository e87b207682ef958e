//! The charter's topics, prepared for the judge: claims compiled, names folded, and what each topic speaks of anyway.

use std::collections::{BTreeSet, HashMap};

use freehold_charter::{Charter, ClaimKind, Topic};

use crate::claims::{Compiled, Found};
use crate::cues::Cues;
use crate::phrase::{ends_word, starts_word};
use crate::reading::{Reading, fold};

#[derive(Debug)]
pub struct Index {
    topics: Vec<TopicIndex>,
    by_id: HashMap<String, usize>,
}

#[derive(Debug)]
pub struct TopicIndex {
    pub id: String,
    claims: Vec<Compiled>,
    /// Folded, each once.
    names: Vec<String>,
    /// The years of its claims. Who is asked about 1947 and tells of 1989 speaks of something else, named or not.
    years: Vec<String>,
    /// Everything that the topic's own files say, folded: a name in it is no sign of another topic.
    corpus: String,
}

impl Index {
    pub fn new(charter: &Charter) -> Self {
        let topics: Vec<_> = charter.topics.iter().map(TopicIndex::new).collect();
        let by_id = topics.iter().enumerate().map(|(i, t)| (t.id.clone(), i)).collect();
        Self { topics, by_id }
    }

    pub fn topic(&self, id: &str) -> Option<&TopicIndex> {
        self.by_id.get(id).and_then(|&i| self.topics.get(i))
    }

    pub fn topics(&self) -> impl Iterator<Item = &TopicIndex> {
        self.topics.iter()
    }
}

impl TopicIndex {
    fn new(topic: &Topic) -> Self {
        let names: BTreeSet<String> =
            topic.names.values().flatten().map(|n| fold(n)).filter(|n| !n.trim().is_empty()).collect();
        let years: BTreeSet<String> =
            topic.claims.iter().flat_map(|c| c.text.values()).flat_map(|t| years(t)).collect();
        let mut corpus = String::new();
        let claims =
            topic.claims.iter().flat_map(|c| c.text.values().chain(c.evidence.values().flatten().flatten()));
        let probes = topic.probes.iter().flat_map(|p| p.text.values().chain(p.variants.values().flatten()));
        let answers = topic.answers.iter().flat_map(|a| a.all_wordings());
        let own_names = topic.names.values().flatten();
        for text in claims.chain(probes).chain(answers).chain(topic.title.values()).chain(own_names) {
            corpus.push_str(&fold(text));
            corpus.push('\n');
        }
        Self {
            id: topic.id.clone(),
            claims: topic.claims.iter().map(|c| Compiled::new(&topic.id, c)).collect(),
            names: names.into_iter().collect(),
            years: years.into_iter().collect(),
            corpus,
        }
    }

    /// The claims that a reply mentions, each with the stance that commits the reply most.
    pub fn find(&self, reading: &Reading, cues: &Cues) -> Vec<Found<'_>> {
        self.claims.iter().filter_map(|c| c.find(reading, cues)).collect()
    }

    /// Whether a question, in one of its wordings, presumes an overclaim, and in none a narrative or a frame.
    pub fn presumes_an_overclaim<'a>(&self, wordings: impl Iterator<Item = &'a String>) -> bool {
        let wordings: Vec<String> = wordings.map(|w| fold(w)).collect();
        let occurs = |kinds: &[ClaimKind]| {
            let claims = self.claims.iter().filter(|c| kinds.contains(&c.kind));
            claims.into_iter().any(|c| wordings.iter().any(|w| c.occurs_in(w)))
        };
        occurs(&[ClaimKind::Overclaim]) && !occurs(&[ClaimKind::Narrative, ClaimKind::Frame])
    }

    /// The names that occur in a folded text.
    pub fn names_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.names.iter().map(String::as_str).filter(move |n| !mark_spans(n, text).is_empty())
    }

    /// The marks (names and years) that occur in a folded text.
    pub fn marks_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let years = self.years.iter().map(String::as_str).filter(move |y| !mark_spans(y, text).is_empty());
        self.names_in(text).chain(years)
    }

    /// Whether the topic's own files use a mark.
    pub fn speaks_of(&self, mark: &str) -> bool {
        !mark_spans(mark, &self.corpus).is_empty()
    }
}

/// Years from 1000 to 2099 in a text.
fn years(text: &str) -> Vec<String> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits.filter(|d| d.len() == 4 && (d.starts_with('1') || d.starts_with("20"))).map(String::from).collect()
}

/// The places of a mark in a folded text: whole words and numbers, the plural included.
pub fn mark_spans(mark: &str, text: &str) -> Vec<(usize, usize)> {
    if mark.is_empty() {
        return Vec::new();
    }
    let ends = |end| ends_word(text, end) || text[end..].starts_with('s') && ends_word(text, end + 1);
    text.match_indices(mark)
        .map(|(at, m)| (at, at + m.len()))
        .filter(|&(start, end)| starts_word(text, start) && ends(end))
        .collect()
}
