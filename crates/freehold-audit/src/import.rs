//! Answers made elsewhere, judged here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::measure::scorecard;
use freehold_judge::run::{Answer, Finish, ItemId, RunRecord, Verdict};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::audit::{now, split_reasoning};
use crate::error::{AuditError, Result, io};
use crate::folder::{Folder, Run};
use crate::items::{Selection, items};

/// A line of the file: which question, and what the model said.
#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    /// May be left out where the question has one language only.
    #[serde(default)]
    lang: Option<String>,
    #[serde(alias = "answer", alias = "completion", alias = "response", alias = "output")]
    text: String,
    #[serde(default)]
    reasoning: String,
    #[serde(default)]
    finish: Option<Finish>,
}

/// Judges the answers in a JSONL file and writes them as a run. Each line has `id`, `lang` and `text` (also `answer`, `completion`,
/// `response`, `output`), and may have `reasoning` and `finish` (`stop`, `length`, `filter`); `id` and `lang` are those of
/// `freehold charter questions`.
///
/// # Errors
/// [`AuditError::Answer`] with the line of an answer that is no JSON, answers no question of the charter, or answers one twice.
pub fn import(charter: &Charter, file: &Path, model: &str, code_version: &str, out: &Path) -> Result<Run> {
    let bytes = std::fs::read(file).map_err(io(file))?;
    let text = std::str::from_utf8(&bytes).map_err(|e| AuditError::Answer {
        path: file.into(),
        line: bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1,
        reason: "is not UTF-8".into(),
    })?;
    let all = items(charter, &Selection::default());
    let mut questions: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for item in &all {
        questions.entry(&item.id.id).or_default().insert(&item.id.lang, &item.prompt);
    }
    let mut seen = BTreeSet::new();
    let mut answers = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let fail = |reason: String| AuditError::Answer { path: file.into(), line: i + 1, reason };
        let row: Row = serde_json::from_str(line).map_err(|e| fail(e.to_string()))?;
        let asked = questions
            .get(row.id.as_str())
            .ok_or_else(|| fail(format!("the charter has no question `{}`", row.id)))?;
        let known = || asked.keys().copied().collect::<Vec<_>>().join(", ");
        let lang = match (row.lang, asked.len()) {
            (Some(lang), _) => lang,
            (None, 1) => known(),
            (None, _) => {
                return Err(fail(format!("`{}` is asked in {}: say which, as `lang`", row.id, known())));
            }
        };
        let prompt = asked
            .get(lang.as_str())
            .ok_or_else(|| fail(format!("`{}` is not asked in `{lang}`, only in {}", row.id, known())))?;
        let item = ItemId { id: row.id, lang };
        if !seen.insert(item.clone()) {
            return Err(fail(format!("a second answer to `{}` in {}", item.id, item.lang)));
        }
        let (thought, text) = split_reasoning(&row.text);
        answers.push(Answer {
            key: format!(
                "{:x}",
                Sha256::digest(format!("imported\n{model}\n{}\n{}\n{}", item.id, item.lang, row.text))
            ),
            item,
            prompt: (*prompt).to_string(),
            prompt_ids: Vec::new(),
            reasoning: if row.reasoning.is_empty() { thought } else { row.reasoning },
            text,
            finish: row.finish.unwrap_or(Finish::Stop),
            new_tokens: 0,
            logprob: None,
        });
    }
    if answers.is_empty() {
        return Err(AuditError::Answer {
            path: file.into(),
            line: 1,
            reason: "the file holds no answer".into(),
        });
    }
    let folder = Folder::open(out)?;
    if folder.record()?.is_some() {
        return Err(AuditError::Taken(out.into()));
    }
    let judge = Judge::new(charter);
    let verdicts: Vec<Verdict> = answers.iter().filter_map(|a| judge.answer(a)).collect();
    let languages: BTreeSet<&String> = answers.iter().map(|a| &a.item.lang).collect();
    let record = RunRecord {
        format: 1,
        model: model.into(),
        model_digest: format!("{:x}", Sha256::digest(&bytes)),
        architecture: "unknown (answers imported)".into(),
        verifiable: false,
        adapter: None,
        adapter_digest: None,
        charter: charter.id.clone(),
        charter_version: charter.version.clone(),
        charter_digest: charter.digest.clone(),
        languages: charter.languages.iter().filter(|l| languages.contains(l)).cloned().collect(),
        system_prompt: None,
        system_prompt_from_template: false,
        max_new_tokens: charter.max_new_tokens,
        temperature: 0.0,
        seed: 0,
        code_version: code_version.into(),
        started: now(),
        finished: Some(now()),
        items: all.len(),
        until_decided: false,
        judge: None,
        prompt_tokens: 0,
        new_tokens: 0,
        seconds: 0.0,
    };
    let mut lines = folder.answers()?;
    answers.iter().try_for_each(|a| lines.push(a))?;
    let scorecard = scorecard(&verdicts, charter);
    folder.write_verdicts("verdicts.jsonl", &mut |write| verdicts.iter().try_for_each(write))?;
    folder.write_scorecard(&scorecard)?;
    // Last: a folder with a record is a whole run.
    folder.write_record(&record)?;
    Ok(Run { path: out.into(), record, answers, verdicts, scorecard, decisions: Vec::new() })
}
