//! Inspect's log (`EvalLog`, version 2, as JSON): <https://inspect.aisi.org.uk/eval-logs.html>.

use std::collections::BTreeMap;

use freehold_charter::Charter;
use freehold_judge::measure::slice_name;
use freehold_judge::run::{Answer, ItemId, Verdict};
use serde_json::{Map, Value, json};

use super::{measures, slice_of, stop_reason, target, timestamp};
use crate::report::RunData;

/// The whole run as one log. Scores are the judge's labels (0 or 1) and shares, by measure; their metrics are the scorecard's test
/// rows over all languages and governments, `stderr` being half the 95% interval divided by 1.96.
pub fn inspect(charter: &Charter, run: &RunData<'_>) -> Value {
    let r = run.record;
    let verdicts: BTreeMap<&ItemId, &Verdict> = run.verdicts.iter().map(|v| (&v.item, v)).collect();
    let answered: Vec<(&Answer, &Verdict)> =
        run.answers.iter().filter_map(|a| Some((a, *verdicts.get(&a.item)?))).collect();
    let ids: Vec<String> = answered.iter().map(|(a, _)| id(&a.item)).collect();
    let run_id: String = r.charter_digest.chars().take(11).chain(r.model_digest.chars().take(11)).collect();
    json!({
        "version": 2,
        "status": if r.finished.is_some() { "success" } else { "cancelled" },
        "eval": {
            "eval_id": run_id, "run_id": run_id, "task_id": run_id,
            "created": timestamp(r.started),
            "task": format!("freehold/{}", r.charter), "task_version": r.charter_version,
            "task_attribs": {}, "task_args": {}, "model": r.model, "model_args": {},
            "dataset": { "name": r.charter, "location": r.charter_digest, "samples": ids.len(), "sample_ids": ids, "shuffled": r.until_decided },
            "config": { "epochs": 1 },
            "packages": { "freehold": r.code_version },
            "metadata": {
                "model_digest": r.model_digest, "verifiable": r.verifiable, "adapter": r.adapter, "adapter_digest": r.adapter_digest,
                "charter_digest": r.charter_digest, "system_prompt": r.system_prompt,
            },
        },
        "plan": {
            "name": "plan", "steps": [{ "solver": "generate", "params": {} }],
            "config": { "max_tokens": r.max_new_tokens, "temperature": r.temperature },
        },
        "results": { "total_samples": r.items, "completed_samples": answered.len(), "scores": scores(run) },
        "stats": {
            "started_at": timestamp(r.started),
            "completed_at": r.finished.map(timestamp).unwrap_or_default(),
            "model_usage": { r.model.clone(): {
                "input_tokens": r.prompt_tokens, "output_tokens": r.new_tokens, "total_tokens": r.prompt_tokens + r.new_tokens,
            } },
        },
        "samples": answered.iter().map(|(a, v)| sample(charter, &r.model, r.system_prompt.as_deref(), a, v)).collect::<Vec<_>>(),
    })
}

fn id(item: &ItemId) -> String {
    format!("{}@{}", item.id, item.lang)
}

fn scores(run: &RunData<'_>) -> Vec<Value> {
    let mut out = Vec::new();
    for rate in run.scorecard.rates.iter().filter(|r| r.lang == "all" && r.about == "all") {
        let name = format!("{} ({})", rate.measure, rate.slice);
        let stderr = (rate.estimate.high - rate.estimate.low) / (2.0 * 1.96);
        let metric = |name: &str, value: f64| json!({ "name": name, "value": value, "params": {} });
        out.push(json!({
            "name": name, "scorer": rate.measure, "reducer": "mean", "params": {},
            "scored_samples": rate.estimate.n, "unscored_samples": 0,
            "metrics": { "mean": metric("mean", rate.estimate.value), "stderr": metric("stderr", stderr) },
            "metadata": { "low": rate.estimate.low, "high": rate.estimate.high, "clusters": rate.estimate.clusters, "inconclusive": rate.estimate.inconclusive },
        }));
    }
    out
}

fn sample(charter: &Charter, model: &str, system: Option<&str>, a: &Answer, v: &Verdict) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    messages.push(json!({ "role": "user", "content": a.prompt, "source": "input" }));
    let content = if a.reasoning.is_empty() {
        json!(a.text)
    } else {
        json!([{ "type": "reasoning", "reasoning": a.reasoning }, { "type": "text", "text": a.text }])
    };
    let reply = json!({ "role": "assistant", "content": content, "source": "generate", "model": model });
    messages.push(reply.clone());
    let quoted = |label: &str| {
        let spans = v.grounds.iter().filter(|g| g.label == label).filter_map(|g| a.text.get(g.start..g.end));
        spans.collect::<Vec<_>>().join(" … ")
    };
    let scores: Map<String, Value> = measures(v)
        .into_iter()
        .map(|(m, value)| {
            (m.to_string(), json!({ "value": value, "answer": a.text, "explanation": quoted(m) }))
        })
        .collect();
    json!({
        "id": id(&a.item), "epoch": 1, "input": a.prompt, "target": target(charter, &a.item),
        "messages": messages,
        "output": {
            "model": model,
            "choices": [{ "message": reply, "stop_reason": stop_reason(a) }],
            "completion": a.text,
        },
        "scores": scores,
        "metadata": {
            "lang": a.item.lang, "topic": v.topic, "about": v.about, "slice": slice_of(v).map(slice_name), "split": v.split,
            "trained_topic": v.trained_topic, "twin": v.twin,
        },
        "store": {}, "events": [], "model_usage": {}, "attachments": {},
    })
}
