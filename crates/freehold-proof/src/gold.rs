//! The judge against answers labelled by reading (`gold/`; its README is the rule book).

use std::collections::BTreeMap;

use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::run::{Answer, Finish, ItemId, Verdict};
use freehold_stats::cohen_kappa;
use serde::{Deserialize, Serialize};

use crate::report::{JudgeAgreement, LabelAgreement};

/// Labels of a reader; `coverage` is agreement on whether the answer states enough of the facts due.
pub const LABELS: [&str; 11] = [
    "refusal",
    "abstention",
    "recital",
    "guidance",
    "false-balance",
    "overclaim",
    "spill",
    "degenerate",
    "insertion",
    "script-drift",
    "coverage",
];

/// One labelled answer: a line of `gold/<charter>/<arm>.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GoldAnswer {
    #[serde(flatten)]
    pub item: ItemId,
    pub prompt: String,
    pub text: String,
    pub finish: Finish,
    pub labels: Vec<String>,
    /// Claims due that the answer truthfully states.
    pub states: Vec<String>,
    /// It invents: what the built-in judge cannot see.
    #[serde(default)]
    pub invented: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum GoldError {
    #[error("{name}, line {line}: {reason}")]
    Line { name: String, line: usize, reason: String },
}

/// Reads one arm's labelled answers.
pub fn read(name: &str, text: &str) -> Result<Vec<GoldAnswer>, GoldError> {
    let rows = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    rows.map(|(i, l)| {
        let fail = |reason: String| GoldError::Line { name: name.into(), line: i + 1, reason };
        let gold: GoldAnswer = serde_json::from_str(l).map_err(|e| fail(e.to_string()))?;
        match gold.labels.iter().find(|l| !LABELS.contains(&l.as_str())) {
            Some(l) => Err(fail(format!("`{l}` is no label"))),
            None => Ok(gold),
        }
    })
    .collect()
}

/// What the judge says, beside what the person said; none where the charter no longer has the question.
fn pairs(judge: &Judge, charter: &Charter, gold: &[GoldAnswer], label: &str) -> Vec<(bool, bool)> {
    let judged = |g: &GoldAnswer| -> Option<Verdict> {
        judge.answer(&Answer {
            key: String::new(),
            item: g.item.clone(),
            prompt: g.prompt.clone(),
            prompt_ids: Vec::new(),
            reasoning: String::new(),
            text: g.text.clone(),
            finish: g.finish,
            new_tokens: 0,
            logprob: Some(0.0),
        })
    };
    let mut out = Vec::new();
    for g in gold {
        let Some(v) = judged(g) else { continue };
        let is_probe = v.topic.is_some();
        let person = g.labels.iter().any(|l| l == label);
        let machine = match label {
            "refusal" => v.refusal,
            "abstention" => v.abstention,
            "degenerate" => v.degenerate,
            "script-drift" => v.script_drift,
            "insertion" if !is_probe => v.insertion,
            "recital" if is_probe => v.recital,
            "guidance" if is_probe => v.guidance,
            "false-balance" if is_probe => v.false_balance,
            "overclaim" if is_probe => v.overclaim,
            "spill" if is_probe => v.spill,
            "coverage" => {
                let due = g.item.id.split_once('/').and_then(|(t, p)| {
                    let topic = charter.topic(t)?;
                    Some(topic.due(topic.probe(p)?).count())
                });
                let (Some(due), Some(coverage)) = (due.filter(|d| *d > 0), v.coverage) else { continue };
                let stated = g.states.len() as f64 / due as f64;
                out.push((stated >= charter.coverage_threshold, coverage >= charter.coverage_threshold));
                continue;
            }
            _ => continue,
        };
        out.push((person, machine));
    }
    out
}

fn agreement(pairs: &[(bool, bool)]) -> LabelAgreement {
    let count = |f: &dyn Fn(&(bool, bool)) -> bool| pairs.iter().filter(|p| f(p)).count();
    let (person, machine): (Vec<bool>, Vec<bool>) = pairs.iter().copied().unzip();
    LabelAgreement {
        n: pairs.len(),
        agree: count(&|p| p.0 == p.1),
        kappa: cohen_kappa(&person, &machine)
            .ok()
            .filter(|_| {
                person.iter().chain(&machine).any(|v| *v) && !person.iter().chain(&machine).all(|v| *v)
            })
            .map(|k| k.value),
        sensitivity: (count(&|p| p.0 && p.1), count(&|p| p.0)),
        specificity: (count(&|p| !p.0 && !p.1), count(&|p| !p.0)),
    }
}

/// The judge's agreement with the reader, before and after treatment apart.
pub fn agree(charter: &Charter, before: &[GoldAnswer], after: &[GoldAnswer]) -> JudgeAgreement {
    let judge = Judge::new(charter);
    let arm = |gold: &[GoldAnswer]| -> BTreeMap<String, LabelAgreement> {
        let labels = LABELS.iter().map(|l| (l.to_string(), agreement(&pairs(&judge, charter, gold, l))));
        labels.filter(|(_, a)| a.n > 0).collect()
    };
    JudgeAgreement { n_before: before.len(), n_after: after.len(), before: arm(before), after: arm(after) }
}
