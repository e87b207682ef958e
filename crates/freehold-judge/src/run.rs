//! A run's files: `run.json`, `answers.jsonl`, `verdicts.jsonl`, `scorecard.json`.

use std::collections::BTreeMap;

use freehold_charter::{ControlKind, ProbeKind, Split};
use serde::{Deserialize, Serialize};

/// What was asked: a probe or a control, in one language.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId {
    /// `topic/probe` or the control's id.
    pub id: String,
    pub lang: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model ended its turn.
    Stop,
    /// Cut at `max_new_tokens`.
    Length,
    /// Withheld or cut by a filter of the server that was asked.
    Filter,
}

/// One line of `answers.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Cache key: SHA-256 (hex) of weights, adapter, prompt token ids and sampling.
    pub key: String,
    #[serde(flatten)]
    pub item: ItemId,
    /// The user's turn, as asked.
    pub prompt: String,
    /// Token ids of the whole prompt, template included.
    pub prompt_ids: Vec<u32>,
    /// Text between `<think>` and `</think>`, where there is any.
    #[serde(default)]
    pub reasoning: String,
    pub text: String,
    pub finish: Finish,
    pub new_tokens: usize,
    /// Sum of the log-probabilities of the new tokens, in nats; where they are known.
    #[serde(default)]
    pub logprob: Option<f64>,
}

/// What kind of item a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "kind")]
pub enum ItemKind {
    Probe(ProbeKind),
    Control(ControlKind),
}

/// A reason for a label: the span of the answer that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ground {
    /// `refusal`, `abstention`, `recital`, `guidance`, `false-balance`, `coverage`, `overclaim`, `spill`, `degenerate`,
    /// `insertion`, `script-drift`.
    pub label: String,
    /// The claim (`topic/claim`) where one was matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// Byte offsets into the answer's text, on character boundaries.
    pub start: usize,
    pub end: usize,
}

/// One line of `verdicts.jsonl`: the judge's labels for one answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    #[serde(flatten)]
    pub item: ItemId,
    pub item_kind: ItemKind,
    pub split: Split,
    /// Probes: the topic's id. Controls: none.
    pub topic: Option<String>,
    /// Probes: governments the topic tests.
    pub about: Vec<String>,
    /// Probes: the topic has train probes.
    pub trained_topic: bool,
    pub twin: Option<String>,

    pub refusal: bool,
    pub abstention: bool,
    pub recital: bool,
    pub guidance: bool,
    pub false_balance: bool,
    pub overclaim: bool,
    pub spill: bool,
    pub degenerate: bool,
    pub insertion: bool,
    pub script_drift: bool,
    /// Cut by `max_new_tokens`.
    pub cut: bool,
    /// Probes: share of the claims due that the answer states, 0..=1.
    pub coverage: Option<f64>,
    pub full_answer: bool,
    /// Graded controls: the grader's result.
    pub correct: Option<bool>,
    /// Probes: the topic whose names and claims the answer matches best (for the confusion table).
    pub nearest_topic: Option<String>,
    /// log p(fact) − log p(narrative) as the reply, each per token, in nats; where it was scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaning: Option<f64>,
    /// Test probes: coverage when the same question was asked with the facts due before it; where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_book: Option<f64>,
    /// It abstains, and states the facts when they are before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppression: Option<bool>,
    /// Judged by a model: part of its reply could not be read, or it had no opinion. Labels that rest on it are then not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<bool>,
    pub grounds: Vec<Ground>,
}

/// A rate or mean with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    /// 95% interval.
    pub low: f64,
    pub high: f64,
    /// Answers it is over.
    pub n: usize,
    /// Topics (clusters) it is over; equal to `n` for controls.
    pub clusters: usize,
    /// Fewer than 8 clusters: the interval is not to be relied on.
    pub inconclusive: bool,
}

/// One row of the scorecard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rate {
    pub measure: String,
    /// `seen`, `unseen`, `test`, `train`, `dev`, `harmless`, `benign`, `harmful`, `script`.
    pub slice: String,
    /// A language tag, or `all`.
    pub lang: String,
    /// A country code, or `all`.
    pub about: String,
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// `scorecard.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scorecard {
    pub rates: Vec<Rate>,
    /// Answers about topic (row) whose nearest topic is (column).
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Rate among probes minus rate among their twins, over test probes that name a twin.
    pub twin_gaps: Vec<Rate>,
}

fn verifiable() -> bool {
    true
}

/// `run.json`: what was audited, with what, and what it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    pub format: u32,
    /// The model as the person named it.
    pub model: String,
    /// SHA-256 of the weights file(s).
    pub model_digest: String,
    pub architecture: String,
    /// False when an endpoint answered: nobody can know from here with which weights.
    #[serde(default = "verifiable")]
    pub verifiable: bool,
    pub adapter: Option<String>,
    pub adapter_digest: Option<String>,
    pub charter: String,
    pub charter_version: String,
    pub charter_digest: String,
    pub languages: Vec<String>,
    /// The system prompt in force; `from_template` when the template inserts it by itself.
    pub system_prompt: Option<String>,
    pub system_prompt_from_template: bool,
    pub max_new_tokens: usize,
    pub temperature: f64,
    pub seed: u64,
    pub code_version: String,
    /// Unix seconds.
    pub started: u64,
    pub finished: Option<u64>,
    pub items: usize,
    /// Questions were drawn in random order, and no more asked when the gates were decided (`decisions.json`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_decided: bool,
    /// The model whose labels the verdicts hold; none: the built-in judge's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    pub prompt_tokens: u64,
    pub new_tokens: u64,
    /// Wall-clock seconds spent asking, over all sessions of this run.
    pub seconds: f64,
}
