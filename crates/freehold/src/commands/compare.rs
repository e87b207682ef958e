use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use freehold_audit::{Run, write_json};
use freehold_charter::{Charter, ControlKind, Split};
use freehold_engine::LocalEngine;
use freehold_judge::run::ItemId;
use freehold_proof::{
    CurvePoint, GateResult, Proof, ProofInput, RunData, TrainingSummary, comparison_text, exit_code,
    gates_text, judge_gates,
};
use freehold_stats::Estimate;
use freehold_treat::Training;
use serde::{Deserialize, Serialize};

use super::judge::agreement;
use super::{print, print_json};
use crate::args::{Common, Compare};
use crate::context::charter;

/// `kl.json` of a run with an adapter: how far it moved from the base model on one harmless reply.
#[derive(Debug, Serialize, Deserialize)]
struct ReplyKl {
    #[serde(flatten)]
    item: ItemId,
    /// Nats per token, mean over the base model's reply.
    kl: f64,
}

pub fn run(common: &Common, args: &Compare) -> Result<u8> {
    let charter = charter(args.charter.as_deref())?;
    let (before, after) = (Run::load(&args.before)?, Run::load(&args.after)?);
    let proof = prove(&charter, (&before, &after), None, None, &args.out)?;
    if common.json {
        print_json(&proof)?;
    } else {
        print(&comparison_text(&proof.comparison))?;
        print(&gates_text(&proof.gates))?;
        print(&format!("report: {}", args.out.join("report.html").display()))?;
    }
    Ok(exit_code(&proof.gates))
}

/// KL of the treated model from the base model over the base model's replies to harmless test controls.
pub fn measure_kl(
    base: &LocalEngine,
    treated: &LocalEngine,
    charter: &Charter,
    before: &Run,
    out: &Path,
) -> Result<()> {
    let path = out.join("kl.json");
    if path.exists() {
        return Ok(());
    }
    let harmless: std::collections::BTreeSet<&str> = charter
        .controls
        .iter()
        .filter(|c| c.kind == ControlKind::Harmless && c.split == Split::Test)
        .map(|c| c.id.as_str())
        .collect();
    let (mut items, mut replies) = (Vec::new(), Vec::new());
    for a in before.answers.iter().filter(|a| harmless.contains(a.item.id.as_str()) && !a.text.is_empty()) {
        items.push(a.item.clone());
        replies.push(freehold_engine::Reply { prompt: a.prompt_ids.clone(), reply: base.tokenize(&a.text)? });
    }
    let kl = base.kl_to(treated, &replies)?;
    let rows: Vec<ReplyKl> = items.into_iter().zip(kl).map(|(item, kl)| ReplyKl { item, kl }).collect();
    Ok(write_json(&path, &rows)?)
}

fn read_kl(run: &Run) -> Result<Option<Estimate>> {
    let path = run.path.join("kl.json");
    let Ok(text) = std::fs::read(&path) else { return Ok(None) };
    let rows: Vec<ReplyKl> = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    if rows.is_empty() {
        return Ok(None);
    }
    let values = rows.iter().map(|r| (r.item.id.clone(), r.kl));
    Ok(Some(freehold_stats::clustered_mean(values, freehold_stats::Bounds::Unbounded)?))
}

/// Compares, judges the gates, writes the proof. `model_parameters`: those a token passes through, where known.
pub fn prove(
    charter: &Charter,
    (before, after): (&Run, &Run),
    training: Option<&Training>,
    model_parameters: Option<u64>,
    out: &Path,
) -> Result<Proof> {
    for run in [before, after] {
        if run.record.charter_digest != charter.digest {
            bail!("{} is a run against another charter or another version of it", run.path.display());
        }
        if run.verdicts.is_empty() {
            bail!(
                "{} is not finished: run the same audit again, it goes on where it was",
                run.path.display()
            );
        }
    }
    let kl = read_kl(after)?;
    let extra: BTreeMap<String, Estimate> = kl.iter().map(|e| ("kl".to_string(), e.clone())).collect();
    let judge = agreement(charter)?;
    let comparison = freehold_proof::compare(&before.verdicts, &after.verdicts, charter, &extra, None)?;
    let gates: Vec<GateResult> = judge_gates(&comparison, charter);
    let training = training.map(summary).transpose()?;
    let input = ProofInput {
        charter,
        before: data(before),
        after: data(after),
        comparison: &comparison,
        gates: &gates,
        training: training.as_ref(),
        judge: judge.as_ref(),
        kl: kl.as_ref(),
        model_parameters,
    };
    Ok(freehold_proof::write_proof(out, &input, &before.path, &after.path)?)
}

fn data(run: &Run) -> RunData<'_> {
    RunData { record: &run.record, answers: &run.answers, verdicts: &run.verdicts, scorecard: &run.scorecard }
}

fn summary(t: &Training) -> Result<TrainingSummary> {
    Ok(TrainingSummary {
        recipe: serde_json::to_value(&t.recipe)?,
        curve: t
            .curve
            .iter()
            .map(|p| CurvePoint { step: p.step, train_loss: p.train, dev_loss: p.dev })
            .collect(),
        examples: t.examples.clone(),
        tokens: t.tokens,
        seconds: t.seconds,
        flops: t.flops,
        best_step: t.best_step,
        adapter_digest: t.adapter_digest.clone(),
        parameters: t.parameters,
    })
}
