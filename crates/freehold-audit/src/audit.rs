//! Asking: every question once, each answer kept as it comes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use freehold_charter::{Charter, ClaimKind, Split};
use freehold_engine::{
    Engine, EngineError, Event, Generation, Message, Prompt, Request, Sampling, Score, ScoreRequest,
};
use freehold_judge::Judge;
use freehold_judge::measure::scorecard;
use freehold_judge::run::{Answer, Finish, ItemId, RunRecord, Verdict};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{AuditError, Result};
use crate::folder::{Folder, Run};
use crate::items::{Item, Selection, items};

/// How an audit is done.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub selection: Selection,
    /// Score a fact against a narrative as the reply to each test probe.
    pub leaning: bool,
    /// Ask every test probe once more with the facts due in front of it: the ceiling, and whether an abstention is suppression.
    pub open_book: bool,
    pub code_version: String,
    pub system: Option<String>,
}

/// What a person sees while it runs.
pub trait Watch {
    /// `tokens`: an upper bound of what is left to do.
    fn start(&mut self, stage: &str, total: usize, done: usize);
    fn answer(&mut self, answer: &Answer, verdict: Option<&Verdict>);
    fn advance(&mut self);
    fn note(&mut self, text: &str);
}

/// One line of `leaning.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leaning {
    pub key: String,
    #[serde(flatten)]
    pub item: ItemId,
    /// Mean log-probability per token (nats) of the facts, and of the narratives, as the reply.
    pub facts: f64,
    pub narratives: f64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// SHA-256 over everything an answer depends on, so that an altered model never gets old answers.
fn cache_key(engine: &dyn Engine, prompt: &Prompt, max_new_tokens: usize, extra: &[&str]) -> String {
    let id = engine.identity();
    let mut hash = Sha256::new();
    hash.update(format!("{}\n{:?}\n{max_new_tokens} greedy\n", id.model_digest, id.adapter_digest));
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    match prompt {
        Prompt::Ids(_) => {}
        Prompt::Chat(messages) => messages.iter().for_each(|m| {
            text(&format!("{:?}", m.role));
            text(&m.content);
        }),
        Prompt::Text(t) => text(t),
    }
    extra.iter().for_each(|t| text(t));
    hash.update((prompt.ids().len() as u64).to_le_bytes());
    for t in prompt.ids() {
        hash.update(t.to_le_bytes());
    }
    format!("{:x}", hash.finalize())
}

/// What is kept of an answer.
fn kept(key: &str, item: &ItemId, asked: &str, prompt: &Prompt, g: Generation) -> Answer {
    let (thought, text) = split_reasoning(&g.text);
    Answer {
        key: key.into(),
        item: item.clone(),
        prompt: asked.into(),
        prompt_ids: prompt.ids().to_vec(),
        reasoning: if g.reasoning.is_empty() { thought } else { g.reasoning },
        text,
        finish: match g.finish {
            freehold_engine::Finish::Stop => Finish::Stop,
            freehold_engine::Finish::Length => Finish::Length,
            freehold_engine::Finish::Filter => Finish::Filter,
        },
        new_tokens: g.new_tokens,
        logprob: g.logprob,
    }
}

fn same<T: PartialEq + std::fmt::Debug>(path: &Path, what: &'static str, theirs: &T, ours: &T) -> Result<()> {
    if theirs == ours {
        return Ok(());
    }
    let short = |v: &T| format!("{v:?}").chars().take(80).collect();
    Err(AuditError::OtherRun { path: path.into(), what, theirs: short(theirs), ours: short(ours) })
}

/// The run's record: the one in the folder if it is of the same audit, else a new one.
fn record(
    folder: &Folder,
    engine: &dyn Engine,
    charter: &Charter,
    settings: &Settings,
    n: usize,
) -> Result<RunRecord> {
    let id = engine.identity();
    let languages = match settings.selection.languages.as_slice() {
        [] => charter.languages.clone(),
        some => some.to_vec(),
    };
    let inserted = engine.inserted_system_prompt();
    let fresh = RunRecord {
        format: 1,
        model: id.model.clone(),
        model_digest: id.model_digest.clone(),
        architecture: id.architecture.clone(),
        verifiable: id.verifiable,
        adapter: id.adapter.clone(),
        adapter_digest: id.adapter_digest.clone(),
        charter: charter.id.clone(),
        charter_version: charter.version.clone(),
        charter_digest: charter.digest.clone(),
        languages,
        system_prompt: settings.system.clone().or_else(|| inserted.clone()),
        system_prompt_from_template: settings.system.is_none() && inserted.is_some(),
        max_new_tokens: charter.max_new_tokens,
        temperature: 0.0,
        seed: 0,
        code_version: settings.code_version.clone(),
        started: now(),
        finished: None,
        items: n,
        prompt_tokens: 0,
        new_tokens: 0,
        seconds: 0.0,
    };
    let Some(old) = folder.record()? else { return Ok(fresh) };
    let path = &folder.path;
    same(path, "charter", &old.charter, &fresh.charter)?;
    same(path, "charter content", &old.charter_digest, &fresh.charter_digest)?;
    same(path, "model", &old.model_digest, &fresh.model_digest)?;
    same(path, "adapter", &old.adapter_digest, &fresh.adapter_digest)?;
    same(path, "system prompt", &old.system_prompt, &fresh.system_prompt)?;
    Ok(RunRecord {
        items: n,
        languages: fresh.languages,
        finished: None,
        code_version: fresh.code_version,
        ..old
    })
}

/// Asks every question that the folder has no answer to yet, judges all answers, writes the scorecard.
///
/// # Errors
/// [`AuditError::OtherRun`] when the folder holds a run of something else; I/O and engine errors as they are.
pub fn audit(
    engine: &dyn Engine,
    charter: &Charter,
    settings: &Settings,
    out: &Path,
    watch: &mut dyn Watch,
) -> Result<Run> {
    let all = items(charter, &settings.selection);
    if all.is_empty() {
        return Err(AuditError::Nothing(format!("{:?}", settings.selection.languages)));
    }
    let folder = Folder::open(out)?;
    let mut record = record(&folder, engine, charter, settings, all.len())?;
    folder.write_record(&record)?;
    let judge = Judge::new(charter);

    let mut keyed = Vec::with_capacity(all.len());
    for item in &all {
        let prompt = engine.prompt(&[Message::user(&item.prompt)])?;
        keyed.push((cache_key(engine, &prompt, item.max_new_tokens, &[]), item, prompt));
    }
    let mut lines = folder.answers()?;
    let known: std::collections::HashSet<&str> = lines.seen.iter().map(|a| a.key.as_str()).collect();
    let todo: Vec<&(String, &Item, Prompt)> =
        keyed.iter().filter(|(key, ..)| !known.contains(key.as_str())).collect();
    watch.start("asking", all.len(), all.len() - todo.len());
    let requests: Vec<Request> = todo
        .iter()
        .map(|(_, item, prompt)| Request {
            prompt: prompt.clone(),
            max_new_tokens: item.max_new_tokens,
            sampling: Sampling::GREEDY,
        })
        .collect();
    let mut failed = None;
    let mut since = Instant::now();
    engine.generate(&requests, &mut |event| {
        let Event::Done(i, g) = event else { return ControlFlow::Continue(()) };
        let (key, item, prompt) = todo[i];
        record.prompt_tokens += g.prompt_tokens as u64;
        record.new_tokens += g.new_tokens as u64;
        let answer = kept(key, &item.id, &item.prompt, prompt, g);
        watch.answer(&answer, judge.answer(&answer).as_ref());
        if let Err(e) = lines.push(answer) {
            failed = Some(e);
            return ControlFlow::Break(());
        }
        if since.elapsed().as_secs() >= 10 {
            record.seconds += since.elapsed().as_secs_f64();
            since = Instant::now();
            failed = folder.write_record(&record).err();
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(e) = failed {
        return Err(e);
    }
    record.seconds += since.elapsed().as_secs_f64();
    folder.write_record(&record)?;

    // In the order of the charter, each once, whatever order they were answered in.
    let mut by_key: BTreeMap<&str, &Answer> = lines.seen.iter().map(|a| (a.key.as_str(), a)).collect();
    let answers: Vec<Answer> =
        keyed.iter().filter_map(|(key, ..)| by_key.remove(key.as_str()).cloned()).collect();
    let mut verdicts: Vec<Verdict> = answers.iter().filter_map(|a| judge.answer(a)).collect();
    if settings.leaning {
        let started = Instant::now();
        let leanings = match lean(engine, charter, &folder, &answers, watch) {
            Err(AuditError::Engine(e @ EngineError::CannotScore { .. })) => {
                watch.note(&format!("{e}; facts are not weighed against narratives"));
                BTreeMap::new()
            }
            other => other?,
        };
        record.seconds += started.elapsed().as_secs_f64();
        for v in &mut verdicts {
            v.leaning = leanings.get(&v.item).map(|l| l.facts - l.narratives);
        }
    }
    // A plain answer cannot tell ignorance from suppression.
    if settings.open_book {
        let started = Instant::now();
        let coverage = open_book(engine, charter, &folder, &answers, &judge, watch)?;
        record.seconds += started.elapsed().as_secs_f64();
        for v in &mut verdicts {
            v.open_book = coverage.get(&v.item).copied();
            v.suppression = v.open_book.map(|c| v.abstention && c >= charter.coverage_threshold);
        }
    }
    let scorecard = scorecard(&verdicts, charter);
    folder.write_verdicts(&verdicts, &scorecard)?;
    record.finished = Some(now());
    folder.write_record(&record)?;
    Ok(Run { path: out.into(), record, answers, verdicts, scorecard })
}

/// `<think>…</think>` apart from what follows it.
fn split_reasoning(text: &str) -> (String, String) {
    match text.split_once("</think>") {
        Some((before, after)) => (
            before.trim_start().trim_start_matches("<think>").trim().to_string(),
            after.trim_start().to_string(),
        ),
        None => (String::new(), text.to_string()),
    }
}

/// Coverage of every test probe's answer when the facts due stand before the question (`open_book.jsonl`).
fn open_book(
    engine: &dyn Engine,
    charter: &Charter,
    folder: &Folder,
    answers: &[Answer],
    judge: &Judge,
    watch: &mut dyn Watch,
) -> Result<BTreeMap<ItemId, f64>> {
    let mut lines = folder.lines::<Answer>("open_book.jsonl")?;
    let mut jobs = Vec::new();
    for a in answers {
        let Some((topic, probe)) = a.item.id.split_once('/') else { continue };
        let Some(topic) = charter.topic(topic) else { continue };
        let Some(probe) = topic.probe(probe).filter(|p| p.split == Split::Test) else { continue };
        let facts: Vec<&str> =
            topic.due(probe).filter_map(|c| c.text.get(&a.item.lang)).map(String::as_str).collect();
        if facts.is_empty() {
            continue;
        }
        let prompt = freehold_charter::open_book(&facts, &a.prompt);
        let prompt = engine.prompt(&[Message::user(prompt)])?;
        jobs.push((cache_key(engine, &prompt, charter.max_new_tokens, &[]), a, prompt));
    }
    let known: std::collections::HashSet<String> = lines.seen.iter().map(|a| a.key.clone()).collect();
    let wanted: std::collections::HashSet<String> = jobs.iter().map(|(key, ..)| key.clone()).collect();
    let total = jobs.len();
    jobs.retain(|(key, ..)| !known.contains(key));
    watch.start("asking with the facts at hand", total, total - jobs.len());
    let requests: Vec<Request> = jobs
        .iter()
        .map(|(_, _, prompt)| Request {
            prompt: prompt.clone(),
            max_new_tokens: charter.max_new_tokens,
            sampling: Sampling::GREEDY,
        })
        .collect();
    let mut failed = None;
    engine.generate(&requests, &mut |event| {
        let Event::Done(i, g) = event else { return ControlFlow::Continue(()) };
        let (key, asked, prompt) = &jobs[i];
        // The question alone: the judge is to see what a person asked.
        let pushed = lines.push(kept(key, &asked.item, &asked.prompt, prompt, g));
        watch.advance();
        failed = pushed.err();
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(e) = failed {
        return Err(e);
    }
    let kept = lines.seen.iter().filter(|a| wanted.contains(&a.key));
    Ok(kept.filter_map(|a| Some((a.item.clone(), judge.answer(a)?.coverage?))).collect())
}

/// Judge-free: mean log-probability per token of a topic's facts against its narratives, as replies to its test probes.
fn lean(
    engine: &dyn Engine,
    charter: &Charter,
    folder: &Folder,
    answers: &[Answer],
    watch: &mut dyn Watch,
) -> Result<BTreeMap<ItemId, Leaning>> {
    struct Job {
        key: String,
        item: ItemId,
        facts: Vec<ScoreRequest>,
        narratives: Vec<ScoreRequest>,
    }
    let mut lines = folder.lines::<Leaning>("leaning.jsonl")?;
    let mut jobs = Vec::new();
    for a in answers {
        let Some((topic, probe)) = a.item.id.split_once('/') else { continue };
        let Some(topic) = charter.topic(topic) else { continue };
        let Some(probe) = topic.probe(probe).filter(|p| p.split == Split::Test) else { continue };
        let fact =
            topic.due(probe).find(|c| c.kind == ClaimKind::Fact).and_then(|c| c.text.get(&a.item.lang));
        let narrative = topic.claims_of(ClaimKind::Narrative).find_map(|c| c.text.get(&a.item.lang));
        let (Some(fact), Some(narrative)) = (fact, narrative) else { continue };
        let request = |text: &str| -> Result<ScoreRequest> {
            let prompt = engine.prompt(&[Message::user(&a.prompt)])?;
            Ok(ScoreRequest { prompt, continuation: text.into() })
        };
        let (facts, narratives) = (vec![request(fact)?], vec![request(narrative)?]);
        jobs.push(Job {
            key: cache_key(engine, &facts[0].prompt, 0, &[fact, narrative]),
            item: a.item.clone(),
            facts,
            narratives,
        });
    }
    let known: std::collections::HashSet<String> = lines.seen.iter().map(|l| l.key.clone()).collect();
    let wanted: std::collections::HashSet<String> = jobs.iter().map(|j| j.key.clone()).collect();
    let done = jobs.iter().filter(|j| known.contains(&j.key)).count();
    watch.start("scoring", jobs.len(), done);
    jobs.retain(|j| !known.contains(&j.key));
    for chunk in jobs.chunks(8) {
        let requests: Vec<ScoreRequest> =
            chunk.iter().flat_map(|j| j.facts.iter().chain(&j.narratives).cloned()).collect();
        let scores = engine.score(&requests)?;
        let mut at = 0;
        for job in chunk {
            let mut mean = |requests: &[ScoreRequest]| {
                let n = requests.len();
                let sum: f64 = scores[at..at + n].iter().map(Score::mean).sum();
                at += n;
                sum / n.max(1) as f64
            };
            let (facts, narratives) = (mean(&job.facts), mean(&job.narratives));
            lines.push(Leaning { key: job.key.clone(), item: job.item.clone(), facts, narratives })?;
            watch.advance();
        }
    }
    let keep = lines.seen.into_iter().filter(|l| wanted.contains(&l.key));
    Ok(keep.map(|l| (l.item.clone(), l)).collect())
}
