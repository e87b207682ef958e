//! What a report is made of. Borrowed: a report changes nothing and computes no statistics of its own.

use std::collections::BTreeMap;

use freehold_charter::Charter;
use freehold_judge::run::{Answer, RunRecord, Scorecard, Verdict};
use freehold_stats::Estimate;
use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::gates::GateResult;

/// One run, as its folder holds it.
#[derive(Debug, Clone, Copy)]
pub struct RunData<'a> {
    pub record: &'a RunRecord,
    pub answers: &'a [Answer],
    pub verdicts: &'a [Verdict],
    pub scorecard: &'a Scorecard,
}

/// Everything that a proof shows.
#[derive(Debug, Clone, Copy)]
pub struct ProofInput<'a> {
    pub charter: &'a Charter,
    pub before: RunData<'a>,
    pub after: RunData<'a>,
    pub comparison: &'a Comparison,
    pub gates: &'a [GateResult],
    /// None when the model after was not trained here.
    pub training: Option<&'a TrainingSummary>,
    /// None when nobody labelled answers of these models by hand.
    pub judge: Option<&'a JudgeAgreement>,
    /// Nats per token, over whole replies to harmless test controls.
    pub kl: Option<&'a Estimate>,
    /// Parameters that one token passes through, from which the audits' FLOPs are estimated (2 × parameters × tokens).
    pub model_parameters: Option<u64>,
}

/// How the adapter was made, and what that took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    pub recipe: serde_json::Value,
    pub curve: Vec<CurvePoint>,
    /// Number of training examples by kind.
    pub examples: BTreeMap<String, usize>,
    pub tokens: u64,
    pub seconds: f64,
    pub flops: f64,
    /// The step whose weights the adapter holds.
    pub best_step: usize,
    pub adapter_digest: String,
    /// Trainable parameters of the adapter.
    pub parameters: usize,
}

/// Losses at one step, where they were measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    pub step: usize,
    pub train_loss: Option<f64>,
    pub dev_loss: Option<f64>,
}

/// The judge against labels made by reading, separately for the answers before and after: a judge that reads a censored model
/// well may read a treated one badly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JudgeAgreement {
    /// Answers labelled by hand.
    pub n_before: usize,
    pub n_after: usize,
    /// By label.
    pub before: BTreeMap<String, LabelAgreement>,
    pub after: BTreeMap<String, LabelAgreement>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelAgreement {
    pub n: usize,
    pub agree: usize,
    /// Cohen's kappa; none where it is not defined (both gave one and the same label throughout).
    pub kappa: Option<f64>,
    /// Of the answers that a person labelled yes: (those that the judge labelled yes, all).
    pub sensitivity: (usize, usize),
    /// Of the answers that a person labelled no: (those that the judge labelled no, all).
    pub specificity: (usize, usize),
}
