//! The judge against answers labelled by reading (`gold/`; its README is the rule book).

use std::collections::{BTreeMap, BTreeSet};

use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::run::{Answer, Finish, ItemId, Verdict};
use freehold_stats::{Kappa, cohen_kappa};
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
    /// Which half of the set: the judge may be tuned on one, and is reported on the other.
    #[serde(default)]
    pub half: Half,
    /// What each reader said before they were reconciled; empty where one read alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    #[default]
    Tune,
    Report,
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

fn judged(judge: &Judge, g: &GoldAnswer) -> Option<Verdict> {
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
}

/// What the person said of a label, and what the judge; none where it does not apply to the item.
fn pair(charter: &Charter, g: &GoldAnswer, v: &Verdict, label: &str) -> Option<(bool, bool)> {
    let is_probe = v.topic.is_some();
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
            let (topic, probe) = g.item.id.split_once('/')?;
            let topic = charter.topic(topic)?;
            let due = topic.due(topic.probe(probe)?).count();
            let stated = g.states.len() as f64 / due.max(1) as f64;
            let enough = |share: f64| share >= charter.coverage_threshold;
            return (due > 0).then_some((enough(stated), enough(v.coverage?)));
        }
        _ => return None,
    };
    Some((g.labels.iter().any(|l| l == label), machine))
}

/// What the judge says, beside what the person said; none where the charter no longer has the question.
fn pairs(judge: &Judge, charter: &Charter, gold: &[GoldAnswer], label: &str) -> Vec<(bool, bool)> {
    gold.iter().filter_map(|g| pair(charter, g, &judged(judge, g)?, label)).collect()
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

/// The judge against the reader, for one label, in one language and arm.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub label: String,
    /// A language tag, or `all`.
    pub lang: String,
    /// `before`, `after`, or `all`.
    pub arm: String,
    /// The confusion table: `first` is the reader, `second` the judge.
    #[serde(flatten)]
    pub table: Kappa,
}

/// An answer of which judge and reader disagree.
#[derive(Debug, Clone, Serialize)]
pub struct Disagreement {
    pub label: String,
    pub arm: String,
    #[serde(flatten)]
    pub item: ItemId,
    /// The reader gave the label; else the judge did.
    pub reader: bool,
    pub prompt: String,
    pub text: String,
    /// What the judge's label rests on.
    pub grounds: Vec<String>,
}

/// Everything that the labelled answers tell of the judge.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    pub answers: usize,
    /// Labelled, but the charter no longer asks the question.
    pub unknown: usize,
    pub rows: Vec<Row>,
    /// The two readers against each other, by label, where two have read.
    pub readers: Vec<Row>,
    pub disagreements: Vec<Disagreement>,
}

const ALL: &str = "all";

/// Judges the labelled answers of all arms (`before`, `after`) and sets the verdicts beside the labels.
pub fn check(charter: &Charter, arms: &[(&str, Vec<GoldAnswer>)], half: Option<Half>) -> Checked {
    let judge = Judge::new(charter);
    let mut out =
        Checked { answers: 0, unknown: 0, rows: Vec::new(), readers: Vec::new(), disagreements: Vec::new() };
    let mut read: Vec<(&str, &GoldAnswer, Verdict)> = Vec::new();
    for (arm, gold) in arms {
        for g in gold.iter().filter(|g| half.is_none_or(|h| g.half == h)) {
            match judged(&judge, g) {
                Some(v) => read.push((arm, g, v)),
                None => out.unknown += 1,
            }
        }
    }
    out.answers = read.len();
    let langs: BTreeSet<&str> = read.iter().map(|r| r.1.item.lang.as_str()).collect();
    let names: Vec<&str> = arms.iter().map(|a| a.0).collect();
    for label in LABELS {
        let cells: Vec<(&str, &str, (bool, bool))> = read
            .iter()
            .filter_map(|(arm, g, v)| Some((*arm, g.item.lang.as_str(), pair(charter, g, v, label)?)))
            .collect();
        for arm in std::iter::once(ALL).chain(names.iter().copied()) {
            for lang in std::iter::once(ALL).chain(langs.iter().copied()) {
                let of = |c: &&(&str, &str, (bool, bool))| {
                    (arm == ALL || c.0 == arm) && (lang == ALL || c.1 == lang)
                };
                let pairs = cells.iter().filter(of).map(|c| c.2);
                out.rows.extend(row(label, lang, arm, pairs));
            }
        }
        let two =
            read.iter().filter(|(_, g, v)| g.readers.len() >= 2 && pair(charter, g, v, label).is_some());
        let said = |labels: &[String]| labels.iter().any(|l| l == label);
        if label != "coverage" {
            out.readers.extend(row(
                label,
                ALL,
                ALL,
                two.map(|r| (said(&r.1.readers[0]), said(&r.1.readers[1]))),
            ));
        }
        for (arm, g, v) in &read {
            if let Some((reader, machine)) = pair(charter, g, v, label).filter(|(a, b)| a != b) {
                let spans = v.grounds.iter().filter(|x| machine && x.label == label);
                out.disagreements.push(Disagreement {
                    label: label.into(),
                    arm: (*arm).into(),
                    item: g.item.clone(),
                    reader,
                    prompt: g.prompt.clone(),
                    text: g.text.clone(),
                    grounds: spans.filter_map(|x| g.text.get(x.start..x.end)).map(str::to_string).collect(),
                });
            }
        }
    }
    out
}

/// None where there is nothing to compare.
fn row(label: &str, lang: &str, arm: &str, pairs: impl Iterator<Item = (bool, bool)>) -> Option<Row> {
    let (reader, machine): (Vec<bool>, Vec<bool>) = pairs.unzip();
    let table = cohen_kappa(&reader, &machine).ok()?;
    Some(Row { label: label.into(), lang: lang.into(), arm: arm.into(), table })
}
