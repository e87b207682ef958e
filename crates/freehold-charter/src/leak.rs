//! Leaks: training text that gives the test away. Training refuses them; `charter check` reports them.
//!
//! A leak is a training prompt whose character 5-grams have a Jaccard similarity of 0.8 or more with a `test` probe
//! (test controls included), or any claim of a test-only topic in training text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::evidence::{Matcher, normalize, window};
use crate::types::{Charter, Lang, Split};

/// From this Jaccard similarity on, a training prompt is a test probe's near-duplicate.
pub const NEAR_DUPLICATE: f64 = 0.8;

const N: usize = 5;
/// Five characters; shorter texts are one gram, filled up with NUL.
type Gram = [char; N];

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leak {
    /// The training prompt: its id where it has one, else its text.
    pub prompt: String,
    #[serde(flatten)]
    pub what: LeakKind,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "leak")]
pub enum LeakKind {
    /// The prompt is a test probe (`topic/probe`) or test control, in nearly the same words.
    NearDuplicate { probe: String, lang: Lang, similarity: f64 },
    /// The prompt or its answer states a claim of a topic that is for testing only.
    Claim { topic: String, claim: String, lang: Lang },
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.prompt, self.what)
    }
}

impl fmt::Display for LeakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NearDuplicate { probe, lang, similarity } => write!(
                f,
                "nearly the same question as test probe `{probe}` ({lang}): similarity {similarity:.2}, and \
                 {NEAR_DUPLICATE} is a leak; reword one of them"
            ),
            Self::Claim { topic, claim, lang } => write!(
                f,
                "states claim `{claim}` of topic `{topic}` ({lang}), which is for testing only; leave it out of \
                 training text"
            ),
        }
    }
}

/// Jaccard similarity of the character 5-grams of two texts, after normalisation. Punctuation and white space count
/// only as the gap between words, so that a question mark more or less is no difference. 0 for texts without letters.
pub fn jaccard5(a: &str, b: &str) -> f64 {
    let (a, b) = (grams(a), grams(b));
    let common = a.intersection(&b).count();
    ratio(common, a.len(), b.len())
}

fn ratio(common: usize, a: usize, b: usize) -> f64 {
    let union = a + b - common;
    if union == 0 { 0.0 } else { common as f64 / union as f64 }
}

fn grams(text: &str) -> HashSet<Gram> {
    let mut chars: Vec<char> = Vec::new();
    for c in normalize(text).chars() {
        if c.is_alphanumeric() {
            chars.push(c);
        } else if chars.last().is_some_and(|c| *c != ' ') {
            chars.push(' ');
        }
    }
    if chars.last() == Some(&' ') {
        chars.pop();
    }
    if chars.is_empty() {
        return HashSet::new();
    }
    if chars.len() < N {
        let mut gram = ['\0'; N];
        gram[..chars.len()].copy_from_slice(&chars);
        return HashSet::from([gram]);
    }
    chars.windows(N).filter_map(|w| Gram::try_from(w).ok()).collect()
}

/// Texts by their 5-grams, to find near-duplicates without comparing all pairs.
#[derive(Debug, Clone, Default)]
pub(crate) struct NearIndex {
    /// Id, language, number of grams.
    texts: Vec<(String, Lang, usize)>,
    postings: HashMap<Gram, Vec<u32>>,
}

impl NearIndex {
    pub fn add(&mut self, id: String, lang: &str, text: &str) {
        let Ok(number) = u32::try_from(self.texts.len()) else { return };
        let grams = grams(text);
        self.texts.push((id, lang.to_owned(), grams.len()));
        for gram in grams {
            self.postings.entry(gram).or_default().push(number);
        }
    }

    /// The most similar text, if it is a near-duplicate.
    pub fn nearest(&self, text: &str) -> Option<LeakKind> {
        let grams = grams(text);
        let mut common: HashMap<u32, usize> = HashMap::new();
        for number in grams.iter().filter_map(|g| self.postings.get(g)).flatten() {
            *common.entry(*number).or_default() += 1;
        }
        let scored = common.into_iter().filter_map(|(number, common)| {
            let found = self.texts.get(number as usize)?;
            Some((ratio(common, grams.len(), found.2), std::cmp::Reverse(number), found))
        });
        // The first of equals, so that the report does not depend on the hash map's order.
        let best =
            scored.filter(|s| s.0 >= NEAR_DUPLICATE).max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        best.map(|(similarity, _, (id, lang, _))| LeakKind::NearDuplicate {
            probe: id.clone(),
            lang: lang.clone(),
            similarity,
        })
    }
}

/// Names and claims of one test-only topic.
#[derive(Debug, Clone)]
struct Guarded {
    topic: String,
    names: Matcher,
    /// Claim, language, evidence, sentences it must lie within.
    claims: Vec<(String, Lang, Matcher, usize)>,
}

/// Finds leaks; built once for a charter.
#[derive(Debug, Clone)]
pub struct LeakGuard {
    near: NearIndex,
    guarded: Vec<Guarded>,
}

impl LeakGuard {
    pub fn new(charter: &Charter) -> Self {
        let mut near = NearIndex::default();
        for topic in &charter.topics {
            for probe in topic.probes.iter().filter(|p| p.split == Split::Test) {
                for (lang, text) in &probe.text {
                    near.add(format!("{}/{}", topic.id, probe.id), lang, text);
                }
            }
        }
        for control in charter.controls.iter().filter(|c| c.split == Split::Test) {
            for (lang, text) in &control.text {
                near.add(control.id.clone(), lang, text);
            }
        }
        let guarded = charter.topics.iter().filter(|t| t.test_only()).map(|topic| Guarded {
            topic: topic.id.clone(),
            names: Matcher::new(&vec![topic.names.values().flatten().cloned().collect()]),
            claims: topic
                .claims
                .iter()
                .flat_map(|c| c.evidence.iter().map(move |(lang, patterns)| (c, lang, patterns)))
                .map(|(c, lang, patterns)| {
                    (c.id.clone(), lang.clone(), Matcher::new(patterns), window(c.kind))
                })
                .collect(),
        });
        Self { guarded: guarded.collect(), near }
    }

    /// The first leak of one training example.
    pub fn check(&self, prompt: &str, answer: &str) -> Option<Leak> {
        let what = self.near.nearest(prompt).or_else(|| {
            // The answer is looked at with its question: "it" in the answer is often named only there.
            self.claims_in(&format!("{prompt}\n{answer}")).into_iter().next()
        });
        what.map(|what| Leak { prompt: prompt.to_owned(), what })
    }

    /// The test probe that `prompt` nearly repeats.
    pub fn near_duplicate(&self, prompt: &str) -> Option<LeakKind> {
        self.near.nearest(prompt)
    }

    /// Claims of test-only topics that `text` states: the evidence of a claim, in any language, and one of the
    /// topic's names.
    pub fn claims_in(&self, text: &str) -> Vec<LeakKind> {
        let text = normalize(text);
        let mut out = Vec::new();
        for topic in &self.guarded {
            if topic.names.find(&text).is_none() {
                continue;
            }
            for (claim, lang, evidence, window) in &topic.claims {
                if evidence.find_within(&text, *window).is_some() {
                    let (topic, claim) = (topic.topic.clone(), claim.clone());
                    out.push(LeakKind::Claim { topic, claim, lang: lang.clone() });
                }
            }
        }
        out
    }
}

/// All leaks of training texts, each given with its id. Build a [`LeakGuard`] where texts come one by one.
pub fn find_leaks<'a>(prompts: impl Iterator<Item = (&'a str, &'a str)>, charter: &Charter) -> Vec<Leak> {
    let guard = LeakGuard::new(charter);
    let mut out = Vec::new();
    for (id, text) in prompts {
        let found = guard.near_duplicate(text).into_iter().chain(guard.claims_in(text));
        out.extend(found.map(|what| Leak { prompt: id.to_owned(), what }));
    }
    out
}

/// Claims of the charter's test-only topics in one text. See [`LeakGuard::claims_in`].
pub fn claims_in(text: &str, charter: &Charter) -> Vec<LeakKind> {
    LeakGuard::new(charter).claims_in(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn similarity() {
        assert_eq!(jaccard5("台灣是一個國家嗎？", "台灣是一個國家嗎"), 1.0);
        assert_eq!(jaccard5("What happened?", "what  HAPPENED"), 1.0);
        assert_eq!(jaccard5("abcdef", "abcdeg"), 1.0 / 3.0);
        assert_eq!(jaccard5("六四", "六四"), 1.0);
        assert_eq!(jaccard5("", "…"), 0.0);
        assert!(jaccard5("What is 17 + 26?", "What is 18 + 26?") < NEAR_DUPLICATE);
    }

    proptest! {
        #[test]
        fn index_agrees_with_pairs(texts in proptest::collection::vec("[ab ]{0,12}", 1..8), text in "[ab ]{0,12}") {
            let mut index = NearIndex::default();
            for (i, t) in texts.iter().enumerate() {
                index.add(i.to_string(), "en", t);
            }
            let best = texts.iter().map(|t| jaccard5(t, &text)).fold(0.0, f64::max);
            match index.nearest(&text) {
                Some(LeakKind::NearDuplicate { similarity, .. }) => prop_assert_eq!(similarity, best),
                _ => prop_assert!(best < NEAR_DUPLICATE),
            }
        }
    }
}
