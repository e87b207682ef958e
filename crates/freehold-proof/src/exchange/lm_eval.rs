//! lm-evaluation-harness: `results_*.json` and `samples_<task>_*.jsonl`, one task a slice. The format is what its
//! `EvaluationTracker` writes (`lm_eval/loggers/evaluation_tracker.py`).

use std::collections::BTreeMap;

use freehold_charter::{Charter, Slice};
use freehold_judge::measure::slice_name;
use freehold_judge::run::{Answer, ItemId, Verdict};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{SLICES, measures, slice_of, target, timestamp};
use crate::report::RunData;
use crate::report::words::{Better, better};

/// What goes into the folder: `results_*.json`, and by task `samples_*.jsonl`.
pub struct LmEval {
    pub results: Value,
    pub samples: BTreeMap<String, Vec<Value>>,
    /// The part of the files' names that says when, without characters that a file system refuses.
    pub stamp: String,
}

/// A run as the harness would have written it. Rates and standard errors are the scorecard's (half the 95% interval divided by
/// 1.96), over all languages and governments.
pub fn lm_eval(charter: &Charter, run: &RunData<'_>) -> LmEval {
    let r = run.record;
    let verdicts: BTreeMap<&ItemId, &Verdict> = run.verdicts.iter().map(|v| (&v.item, v)).collect();
    let mut samples: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for a in run.answers {
        let Some(v) = verdicts.get(&a.item) else { continue };
        let Some(slice) = slice_of(v) else { continue };
        let rows = samples.entry(task(&r.charter, slice)).or_default();
        rows.push(sample(charter, rows.len(), a, v));
    }
    let (mut results, mut higher, mut counts, mut configs, mut versions, mut shots) =
        (Map::new(), Map::new(), Map::new(), Map::new(), Map::new(), Map::new());
    for slice in SLICES {
        let name = task(&r.charter, slice);
        let Some(rows) = samples.get(&name) else { continue };
        let mut row = Map::from_iter([("alias".to_string(), json!(name))]);
        let mut directions = Map::new();
        let mine = |rate: &&freehold_judge::run::Rate| {
            rate.lang == "all" && rate.about == "all" && rate.slice == slice_name(slice)
        };
        for rate in run.scorecard.rates.iter().filter(mine) {
            let e = &rate.estimate;
            row.insert(format!("{},none", rate.measure), json!(e.value));
            row.insert(format!("{}_stderr,none", rate.measure), json!((e.high - e.low) / (2.0 * 1.96)));
            let direction = match better(&rate.measure, slice) {
                Better::Higher => json!(true),
                Better::Lower => json!(false),
                Better::Neither => Value::Null,
            };
            directions.insert(rate.measure.clone(), direction);
        }
        results.insert(name.clone(), Value::Object(row));
        higher.insert(name.clone(), Value::Object(directions));
        counts.insert(name.clone(), json!({ "original": rows.len(), "effective": rows.len() }));
        versions.insert(name.clone(), json!(r.charter_version));
        shots.insert(name.clone(), json!(0));
        configs.insert(
            name.clone(),
            json!({
                "task": name, "dataset_path": r.charter, "output_type": "generate_until", "num_fewshot": 0, "repeats": 1,
                "generation_kwargs": { "max_gen_toks": r.max_new_tokens, "temperature": r.temperature, "do_sample": r.temperature > 0.0 },
                "metadata": { "version": r.charter_version, "charter_digest": r.charter_digest },
            }),
        );
    }
    let hashes: Map<String, Value> = samples
        .iter()
        .map(|(task, rows)| {
            let all: String = rows.iter().filter_map(|r| r["doc_hash"].as_str()).collect();
            (task.clone(), json!(hash(&all)))
        })
        .collect();
    let date = timestamp(r.started);
    let results = json!({
        "results": results, "group_subtasks": {}, "configs": configs, "versions": versions, "n-shot": shots,
        "higher_is_better": higher, "n-samples": counts,
        "config": {
            "model": "freehold", "model_args": format!("pretrained={}", r.model), "model_sha": r.model_digest,
            "batch_size": null, "device": null, "limit": null, "bootstrap_iters": 0, "gen_kwargs": null, "random_seed": r.seed,
        },
        "git_hash": null, "date": r.started, "pretty_env_info": null, "lm_eval_version": null,
        "freehold_version": r.code_version, "model_source": "freehold", "model_name": r.model,
        "model_name_sanitized": sanitized(&r.model), "system_instruction": r.system_prompt, "chat_template": null,
        "task_hashes": hashes, "start_time": r.started, "end_time": r.finished, "total_evaluation_time_seconds": r.seconds.to_string(),
    });
    // As the harness writes it: colons are no characters for a file's name everywhere.
    LmEval { results, samples, stamp: date.trim_end_matches("+00:00").replace(':', "-") }
}

fn task(charter: &str, slice: Slice) -> String {
    format!("freehold_{}_{}", sanitized(charter), slice_name(slice))
}

fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}

fn hash(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

fn sample(charter: &Charter, index: usize, a: &Answer, v: &Verdict) -> Value {
    let doc = json!({ "id": a.item.id, "lang": a.item.lang, "prompt": a.prompt, "topic": v.topic, "about": v.about });
    let target = target(charter, &a.item);
    let mut row = json!({
        "doc_id": index, "doc": doc, "target": target,
        "arguments": { "gen_args_0": { "arg_0": a.prompt, "arg_1": { "until": [] } } },
        "resps": [[a.text]], "filtered_resps": [a.text], "filter": "none",
        "doc_hash": hash(&doc.to_string()), "prompt_hash": hash(&a.prompt), "target_hash": hash(&target),
    });
    let of = measures(v);
    row["metrics"] = of.iter().map(|m| json!(m.0)).collect();
    for (measure, value) in of {
        row[measure] = json!(value);
    }
    row
}
