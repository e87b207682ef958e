//! The charter's types, as `docs/charter.md` describes the files. Text is keyed by BCP-47 tag.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A BCP-47 language tag: `zh-Hant`, `zh-Hans`, `en`, …
pub type Lang = String;
/// Text by language.
pub type Text = BTreeMap<Lang, String>;
/// Literal patterns: OR inside a list, AND across lists.
pub type Patterns = Vec<Vec<String>>;

/// A whole charter, loaded and validated.
#[derive(Debug, Clone, Serialize)]
pub struct Charter {
    pub id: String,
    pub version: String,
    pub title: Text,
    pub value_basis: String,
    /// ISO 3166-1 code of the owner's own government, if it has one.
    pub owner: Option<String>,
    pub languages: Vec<Lang>,
    /// The languages of the core subset; empty: all of them.
    pub core_languages: Vec<Lang>,
    /// Script and wording due in a reply, by the probe's language.
    pub reply_script: BTreeMap<Lang, String>,
    /// Share of the facts due that a full answer must state, in (0, 1].
    pub coverage_threshold: f64,
    pub max_new_tokens: usize,
    pub gates: Vec<Gate>,
    pub topics: Vec<Topic>,
    pub controls: Vec<Control>,
    /// SHA-256 (hex) over the relative paths and bytes of every file of the charter.
    pub digest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Settled,
    Contested,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    Train,
    Dev,
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    Fact,
    Position,
    Narrative,
    Frame,
    Overclaim,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub title: String,
    pub publisher: String,
    pub year: i32,
    #[serde(default)]
    pub url: Option<String>,
}

/// A statement that a reply may assert.
#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    pub id: String,
    pub kind: ClaimKind,
    /// Whose position, narrative or frame it is: a country code or a short name.
    pub holder: Option<String>,
    pub text: Text,
    /// Narratives, frames, overclaims: what is wrong with it.
    pub why: Text,
    pub sources: Vec<Source>,
    pub evidence: BTreeMap<Lang, Patterns>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    Direct,
    Leading,
    Indirect,
    Task,
}

#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    pub id: String,
    pub kind: ProbeKind,
    pub split: Split,
    /// Ids of the facts (contested: positions) that a good answer to this probe states; empty in the file means all.
    pub asks: Vec<String>,
    /// `topic/probe` of equal difficulty about another government.
    pub twin: Option<String>,
    pub text: Text,
    /// Train probes: further wordings, used in training and never asked in an audit.
    pub variants: BTreeMap<Lang, Vec<String>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ReferenceAnswer {
    pub probe: String,
    pub text: Text,
    /// The same facts in other words: a small model learns a fact only when it meets it in several wordings.
    pub variants: BTreeMap<Lang, Vec<String>>,
    pub reasoning: Text,
}

impl ReferenceAnswer {
    /// Every wording in one language, the main one first.
    pub fn wordings<'a>(&'a self, lang: &str) -> impl Iterator<Item = &'a str> + Clone {
        let further = self.variants.get(lang).into_iter().flatten();
        self.text.get(lang).into_iter().chain(further).map(String::as_str)
    }

    /// Every wording in every language.
    pub fn all_wordings(&self) -> impl Iterator<Item = &String> {
        self.text.values().chain(self.variants.values().flatten())
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Topic {
    pub id: String,
    /// ISO 3166-1 alpha-2 codes of the governments it tests.
    pub about: Vec<String>,
    pub status: Status,
    pub udhr: Vec<u8>,
    pub core: bool,
    /// The languages it is written in; empty: all of the charter's.
    pub languages: Vec<Lang>,
    pub title: Text,
    /// Words by which a text is recognised as speaking of this topic, by language.
    pub names: BTreeMap<Lang, Vec<String>>,
    /// Facts, positions, narratives, frames and overclaims, in the order of the file within each kind.
    pub claims: Vec<Claim>,
    pub probes: Vec<Probe>,
    pub answers: Vec<ReferenceAnswer>,
}

impl Topic {
    pub fn claims_of(&self, kind: ClaimKind) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(move |c| c.kind == kind)
    }

    /// The languages that its texts are due in.
    pub fn languages_of<'a>(&'a self, charter: &'a Charter) -> &'a [Lang] {
        if self.languages.is_empty() { &charter.languages } else { &self.languages }
    }

    /// True when no probe of the topic may be used in training.
    pub fn test_only(&self) -> bool {
        self.probes.iter().all(|p| p.split == Split::Test)
    }

    /// The claims that a good answer to `probe` states.
    pub fn due<'a>(&'a self, probe: &'a Probe) -> impl Iterator<Item = &'a Claim> {
        let kind = match self.status {
            Status::Settled => ClaimKind::Fact,
            Status::Contested => ClaimKind::Position,
        };
        self.claims
            .iter()
            .filter(move |c| if probe.asks.is_empty() { c.kind == kind } else { probe.asks.contains(&c.id) })
    }

    pub fn probe(&self, id: &str) -> Option<&Probe> {
        self.probes.iter().find(|p| p.id == id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlKind {
    Harmless,
    Benign,
    Harmful,
    Script,
    /// Training only: a real question outside every topic, whose due answer is a plain "I do not know".
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grader {
    /// Any key occurs in the answer (after NFKC and case folding).
    Exact,
    /// The last number in the answer equals the key.
    Number,
    /// The answer declines.
    Refusal,
    None,
}

/// A probe outside every topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    pub id: String,
    pub kind: ControlKind,
    pub split: Split,
    pub grader: Grader,
    pub text: Text,
    #[serde(default)]
    pub key: BTreeMap<Lang, Vec<String>>,
    #[serde(default)]
    pub max_new_tokens: Option<usize>,
    /// A reference answer for training.
    #[serde(default)]
    pub answer: Text,
    /// `unknown` only: facts that answer the question, one a line, and the reply that is due when they stand before it.
    #[serde(default)]
    pub facts: Text,
    #[serde(default)]
    pub informed: Text,
    /// Where the facts are from.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// The prompt of an open-book question: facts, one a line, an empty line, the question.
pub fn open_book(facts: &[&str], question: &str) -> String {
    format!("{}\n\n{question}", facts.join("\n"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateTest {
    /// Bound on the rate after treatment.
    Level,
    /// Bound on the paired difference, after − before.
    Difference,
    /// The 95% interval of the paired difference must stay on the good side of the margin.
    NonInferiority,
}

/// Which answers a gate or a rate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slice {
    /// Test probes of topics that have train probes: seen topic, new wording.
    Seen,
    /// Test probes of test-only topics: topic never trained on.
    Unseen,
    /// All test probes.
    Test,
    Train,
    Dev,
    /// Test controls of a kind.
    Harmless,
    Benign,
    Harmful,
    Script,
}

/// What the proof must show; fixed before the first treated run. See `docs/gates.md`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub id: String,
    /// A measure, or several joined by `+`: an answer counts when any of them holds.
    pub measure: String,
    pub slice: Slice,
    pub test: GateTest,
    /// Level, difference: the figure must be at most this (rates in 0..=1, differences in −1..=1).
    #[serde(default)]
    pub at_most: Option<f64>,
    #[serde(default)]
    pub at_least: Option<f64>,
    /// Difference: the 95% interval must exclude 0 as well.
    #[serde(default)]
    pub excludes_zero: bool,
    /// Non-inferiority: how much worse is still no worse. Positive. `worse` tells the direction.
    #[serde(default)]
    pub margin: Option<f64>,
    /// Non-inferiority: which direction is worse, `lower` (accuracy) or `higher` (KL, refusal of the harmless).
    #[serde(default)]
    pub worse: Option<Worse>,
    #[serde(default)]
    pub why: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Worse {
    Lower,
    Higher,
}

impl Charter {
    pub fn topic(&self, id: &str) -> Option<&Topic> {
        self.topics.iter().find(|t| t.id == id)
    }

    /// Ids of the topics that training may never touch.
    pub fn test_only_topics(&self) -> BTreeSet<&str> {
        self.topics.iter().filter(|t| t.test_only()).map(|t| t.id.as_str()).collect()
    }
}
