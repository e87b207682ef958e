//! Asking: every question once, each answer kept as it comes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use freehold_charter::{Charter, ClaimKind, Probe, Split, Topic};
use freehold_engine::{
    Engine, EngineError, Event, Generation, Message, Prompt, Request, Sampling, ScoreRequest,
};
use freehold_judge::Judge;
use freehold_judge::decide::{Decider, Decision};
use freehold_judge::measure::scorecard;
use freehold_judge::run::{Answer, Finish, ItemId, RunRecord, Scorecard, Verdict};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{AuditError, Result};
use crate::folder::{Folder, Keyed, Lines};
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
    /// Draw the questions in random order and stop asking when the charter's gates are decided.
    pub until_decided: Option<Until>,
}

/// What an audit came to. Answers and verdicts are in the folder ([`Run::load`](crate::Run::load)), not in memory.
#[derive(Debug, Clone)]
pub struct Audited {
    pub path: PathBuf,
    pub record: RunRecord,
    /// How many questions have an answer.
    pub answers: usize,
    pub scorecard: Scorecard,
    /// Of an audit that asked until the gates were decided.
    pub decisions: Vec<Decision>,
}

/// Answers that are read back and judged at once.
const JUDGED_AT_ONCE: usize = 256;

/// How an audit that stops early knows when.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// Verdicts of the run that difference gates compare with.
    pub before: Option<Vec<Verdict>>,
    /// Of the order in which questions are drawn.
    pub seed: u64,
}

/// Questions asked at once before the gates are looked at again.
const BATCH: usize = 64;

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

impl Keyed for Leaning {
    fn key(&self) -> &str {
        &self.key
    }
}

pub(crate) fn now() -> u64 {
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
    all: &[Item],
) -> Result<RunRecord> {
    let n = all.len();
    let id = engine.identity();
    let languages = match settings.selection.languages.as_slice() {
        [] => charter.languages.iter().filter(|l| all.iter().any(|i| i.id.lang == **l)).cloned().collect(),
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
        until_decided: settings.until_decided.is_some(),
        judge: None,
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
    // A run that stopped early is a sample; asked to the end, it is a whole one.
    Ok(RunRecord {
        items: n,
        languages: fresh.languages,
        finished: None,
        until_decided: fresh.until_decided,
        judge: None,
        code_version: fresh.code_version,
        ..old
    })
}

/// A question with the key of its answer. Its prompt is made anew when it is asked: all of them at once would fill the memory.
type Question<'a> = (String, &'a Item);

/// Requests that are made at once; the engine batches within them.
const WINDOW: usize = 4096;

/// What asking needs and changes.
struct Asking<'a> {
    engine: &'a dyn Engine,
    folder: &'a Folder,
    judge: &'a Judge,
    lines: &'a mut Lines<Answer>,
    record: &'a mut RunRecord,
}

impl Asking<'_> {
    fn all(&mut self, keyed: &[Question], watch: &mut dyn Watch) -> Result<()> {
        let todo: Vec<&Question> = keyed.iter().filter(|(key, _)| !self.lines.has(key)).collect();
        watch.start("asking", keyed.len(), keyed.len() - todo.len());
        todo.chunks(WINDOW).try_for_each(|window| self.ask(window, watch))
    }

    /// In an order that the seed alone decides, so that a run that goes on after a kill draws the same.
    fn until_decided(
        &mut self,
        keyed: &[Question],
        decider: &mut Decider,
        seed: u64,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let mut order: Vec<&Question> = keyed.iter().collect();
        order.sort_by_cached_key(|(_, item)| {
            Sha256::digest(format!("{seed}\n{}\n{}", item.id.id, item.id.lang))
        });
        watch.start("asking until decided", order.iter().filter(|k| decider.needs(&k.1.id)).count(), 0);
        let mut drawn = order.into_iter();
        loop {
            let (mut batch, mut todo) = (Vec::new(), Vec::new());
            while todo.len() < BATCH {
                let Some(next) = drawn.find(|(_, item)| decider.needs(&item.id)) else { break };
                batch.push(next);
                if self.lines.has(&next.0) {
                    watch.advance();
                } else {
                    todo.push(next);
                }
            }
            if batch.is_empty() {
                return Ok(());
            }
            self.ask(&todo, watch)?;
            for (key, _) in batch {
                let answer = self.lines.get(key)?;
                if let Some(verdict) = answer.and_then(|a| self.judge.answer(&a)) {
                    decider.take(&verdict);
                }
            }
        }
    }

    /// Asks, and keeps each answer as it comes.
    fn ask(&mut self, todo: &[&Question], watch: &mut dyn Watch) -> Result<()> {
        let mut requests = Vec::with_capacity(todo.len());
        for (_, item) in todo {
            requests.push(Request {
                prompt: self.engine.prompt(&[Message::user(&item.prompt)])?,
                max_new_tokens: item.max_new_tokens,
                sampling: Sampling::GREEDY,
            });
        }
        let mut failed = None;
        let mut since = Instant::now();
        let Self { engine, folder, judge, lines, record } = self;
        engine.generate(&requests, &mut |event| {
            let Event::Done(i, g) = event else { return ControlFlow::Continue(()) };
            let (key, item) = todo[i];
            record.prompt_tokens += g.prompt_tokens as u64;
            record.new_tokens += g.new_tokens as u64;
            let answer = kept(key, &item.id, &item.prompt, &requests[i].prompt, g);
            watch.answer(&answer, judge.answer(&answer).as_ref());
            if let Err(e) = lines.push(&answer) {
                failed = Some(e);
                return ControlFlow::Break(());
            }
            if since.elapsed().as_secs() >= 10 {
                record.seconds += since.elapsed().as_secs_f64();
                since = Instant::now();
                failed = folder.write_record(record).err();
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
        record.seconds += since.elapsed().as_secs_f64();
        Ok(())
    }
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
) -> Result<Audited> {
    let all = items(charter, &settings.selection);
    if all.is_empty() {
        return Err(AuditError::Nothing(format!("{:?}", settings.selection.languages)));
    }
    let folder = Folder::open(out)?;
    let mut record = record(&folder, engine, charter, settings, &all)?;
    folder.write_record(&record)?;
    let judge = Judge::new(charter);

    let mut keyed: Vec<Question> = Vec::with_capacity(all.len());
    for item in &all {
        let prompt = engine.prompt(&[Message::user(&item.prompt)])?;
        keyed.push((cache_key(engine, &prompt, item.max_new_tokens, &[]), item));
    }
    let mut lines = folder.answers()?;
    let mut asking =
        Asking { engine, folder: &folder, judge: &judge, lines: &mut lines, record: &mut record };
    let mut decisions = Vec::new();
    match &settings.until_decided {
        None => asking.all(&keyed, watch)?,
        Some(until) => {
            let ids: Vec<ItemId> = all.iter().map(|i| i.id.clone()).collect();
            let mut decider = Decider::new(charter, &judge, &ids, until.before.as_deref());
            asking.until_decided(&keyed, &mut decider, until.seed, watch)?;
            decisions = decider.decisions();
            folder.write_decisions(&decisions)?;
        }
    }
    folder.write_record(&record)?;

    let asked: Vec<&Question> = keyed.iter().filter(|(key, _)| lines.has(key)).collect();
    let mut leanings = HashMap::new();
    if settings.leaning {
        let started = Instant::now();
        leanings = match lean(engine, charter, &folder, &asked, watch) {
            Err(AuditError::Engine(e @ EngineError::CannotScore { .. })) => {
                watch.note(&format!("{e}; facts are not weighed against narratives"));
                HashMap::new()
            }
            other => other?,
        };
        record.seconds += started.elapsed().as_secs_f64();
    }
    // A plain answer cannot tell ignorance from suppression.
    let mut informed = HashMap::new();
    if settings.open_book {
        let started = Instant::now();
        informed = open_book(engine, charter, &folder, &asked, &judge, watch)?;
        record.seconds += started.elapsed().as_secs_f64();
    }

    // In the order of the charter, whatever order they were answered in. What the verdicts rest on goes to the file only.
    let mut verdicts = Vec::with_capacity(asked.len());
    folder.write_verdicts("verdicts.jsonl", &mut |write| {
        for some in asked.chunks(JUDGED_AT_ONCE) {
            let answers: Vec<Answer> =
                some.iter().filter_map(|(key, _)| lines.get(key).transpose()).collect::<Result<_>>()?;
            let judged: Vec<Option<Verdict>> = answers.par_iter().map(|a| judge.answer(a)).collect();
            for mut v in judged.into_iter().flatten() {
                v.leaning = leanings.get(&v.item).map(|l: &Leaning| l.facts - l.narratives);
                v.open_book = informed.get(&v.item).copied();
                v.suppression = v.open_book.map(|c| v.abstention && c >= charter.coverage_threshold);
                write(&v)?;
                v.grounds = Vec::new();
                verdicts.push(v);
            }
        }
        Ok(())
    })?;
    let scorecard = scorecard(&verdicts, charter);
    folder.write_scorecard(&scorecard)?;
    record.finished = Some(now());
    folder.write_record(&record)?;
    Ok(Audited { path: out.into(), record, answers: asked.len(), scorecard, decisions })
}

/// `<think>…</think>` apart from what follows it.
pub(crate) fn split_reasoning(text: &str) -> (String, String) {
    match text.split_once("</think>") {
        Some((before, after)) => (
            before.trim_start().trim_start_matches("<think>").trim().to_string(),
            after.trim_start().to_string(),
        ),
        None => (String::new(), text.to_string()),
    }
}

/// The topic and test probe that an item asks, if it does.
fn test_probe<'a>(charter: &'a Charter, item: &Item) -> Option<(&'a Topic, &'a Probe)> {
    let (topic, probe) = item.id.id.split_once('/')?;
    let topic = charter.topic(topic)?;
    Some((topic, topic.probe(probe).filter(|p| p.split == Split::Test)?))
}

/// Coverage of every test probe's answer when the facts due stand before the question (`open_book.jsonl`).
fn open_book(
    engine: &dyn Engine,
    charter: &Charter,
    folder: &Folder,
    asked: &[&Question],
    judge: &Judge,
    watch: &mut dyn Watch,
) -> Result<HashMap<ItemId, f64>> {
    let prompt_of = |item: &Item| -> Result<Option<Prompt>> {
        let Some((topic, probe)) = test_probe(charter, item) else { return Ok(None) };
        let facts: Vec<&str> =
            topic.due(probe).filter_map(|c| c.text.get(&item.id.lang)).map(String::as_str).collect();
        if facts.is_empty() {
            return Ok(None);
        }
        let prompt = freehold_charter::open_book(&facts, &item.prompt);
        Ok(Some(engine.prompt(&[Message::user(prompt)])?))
    };
    let mut lines = folder.lines::<Answer>("open_book.jsonl")?;
    let mut jobs: Vec<Question> = Vec::new();
    for (_, item) in asked {
        if let Some(prompt) = prompt_of(item)? {
            jobs.push((cache_key(engine, &prompt, charter.max_new_tokens, &[]), item));
        }
    }
    let todo: Vec<&Question> = jobs.iter().filter(|(key, _)| !lines.has(key)).collect();
    watch.start("asking with the facts at hand", jobs.len(), jobs.len() - todo.len());
    for window in todo.chunks(WINDOW) {
        let mut requests = Vec::with_capacity(window.len());
        for (_, item) in window {
            let Some(prompt) = prompt_of(item)? else { continue };
            let (max_new_tokens, sampling) = (charter.max_new_tokens, Sampling::GREEDY);
            requests.push(Request { prompt, max_new_tokens, sampling });
        }
        let mut failed = None;
        engine.generate(&requests, &mut |event| {
            let Event::Done(i, g) = event else { return ControlFlow::Continue(()) };
            let (key, item) = window[i];
            // The question alone: the judge is to see what a person asked.
            failed = lines.push(&kept(key, &item.id, &item.prompt, &requests[i].prompt, g)).err();
            watch.advance();
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
    }
    let mut out = HashMap::with_capacity(jobs.len());
    for some in jobs.chunks(JUDGED_AT_ONCE) {
        let answers: Vec<Answer> =
            some.iter().filter_map(|(key, _)| lines.get(key).transpose()).collect::<Result<_>>()?;
        let judged: Vec<_> =
            answers.par_iter().map(|a| Some((a.item.clone(), judge.answer(a)?.coverage?))).collect();
        out.extend(judged.into_iter().flatten());
    }
    Ok(out)
}

/// Judge-free: mean log-probability per token of a topic's facts against its narratives, as replies to its test probes.
fn lean(
    engine: &dyn Engine,
    charter: &Charter,
    folder: &Folder,
    asked: &[&Question],
    watch: &mut dyn Watch,
) -> Result<HashMap<ItemId, Leaning>> {
    let texts = |item: &Item| {
        let (topic, probe) = test_probe(charter, item)?;
        let lang = &item.id.lang;
        let fact = topic.due(probe).find(|c| c.kind == ClaimKind::Fact)?.text.get(lang)?;
        let narrative = topic.claims_of(ClaimKind::Narrative).find_map(|c| c.text.get(lang))?;
        Some((fact.as_str(), narrative.as_str()))
    };
    let mut lines = folder.lines::<Leaning>("leaning.jsonl")?;
    let mut jobs: Vec<(String, &Item, (&str, &str))> = Vec::new();
    for (_, item) in asked {
        let Some((fact, narrative)) = texts(item) else { continue };
        let prompt = engine.prompt(&[Message::user(&item.prompt)])?;
        jobs.push((cache_key(engine, &prompt, 0, &[fact, narrative]), item, (fact, narrative)));
    }
    let todo: Vec<_> = jobs.iter().filter(|(key, ..)| !lines.has(key)).collect();
    watch.start("scoring", jobs.len(), jobs.len() - todo.len());
    for chunk in todo.chunks(8) {
        let mut requests = Vec::with_capacity(2 * chunk.len());
        for (_, item, (fact, narrative)) in chunk {
            let prompt = engine.prompt(&[Message::user(&item.prompt)])?;
            requests.push(ScoreRequest { prompt: prompt.clone(), continuation: (*fact).into() });
            requests.push(ScoreRequest { prompt, continuation: (*narrative).into() });
        }
        let scores = engine.score(&requests)?;
        for ((key, item, _), score) in chunk.iter().zip(scores.chunks_exact(2)) {
            let (facts, narratives) = (score[0].mean(), score[1].mean());
            lines.push(&Leaning { key: key.clone(), item: item.id.clone(), facts, narratives })?;
            watch.advance();
        }
    }
    let mut out = HashMap::with_capacity(jobs.len());
    for (key, ..) in &jobs {
        out.extend(lines.get(key)?.map(|l| (l.item.clone(), l)));
    }
    Ok(out)
}
