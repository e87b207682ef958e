//! From a charter and the model's own answers to training examples.

use std::collections::BTreeMap;

use freehold_charter::{Charter, ControlKind, LeakGuard, Split, Status};
use freehold_engine::{Engine as _, LocalEngine, Message};
use freehold_judge::run::{Answer, Finish, ItemId, Verdict};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TreatError};
use crate::recipe::Recipe;

/// What an example is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A charter's reference answer to a train probe.
    Reference,
    /// A plain abstention to a question outside every topic.
    Unknown,
    /// The model's own answer to a harmless or benign control: what it can do must stay.
    Anchor,
    /// A refusal of a harmful control.
    Refusal,
    /// An answer in the script and wording due.
    Script,
}

/// One prompt with the reply to learn, as token ids.
#[derive(Debug, Clone)]
pub struct Example {
    pub kind: Kind,
    /// `topic/probe` or control, for messages.
    pub name: String,
    pub prompt: Vec<u32>,
    /// With the token that ends the turn, unless the reply was cut.
    pub reply: Vec<u32>,
}

/// Everything a treatment learns from and is steered by.
#[derive(Debug, Clone, Default)]
pub struct TrainingSet {
    pub train: Vec<Example>,
    /// Replies whose likelihood tells early stopping how well the charter is learnt: facts as replies to `dev` probes, abstentions.
    pub dev: Vec<Example>,
    /// The model's own replies to `dev` controls: how far it has moved.
    pub dev_anchors: Vec<Example>,
    /// Own answers that were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
}

impl TrainingSet {
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for e in &self.train {
            let name = serde_json::to_value(e.kind).ok().and_then(|v| v.as_str().map(str::to_string)).unwrap_or_default();
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
}

/// The first audit's answers and verdicts.
pub struct OwnAnswers {
    answers: BTreeMap<ItemId, (Answer, Option<Verdict>)>,
}

impl OwnAnswers {
    pub fn new(answers: &[Answer], verdicts: &[Verdict]) -> Self {
        let verdicts: BTreeMap<&ItemId, &Verdict> = verdicts.iter().map(|v| (&v.item, v)).collect();
        let pair = |a: &Answer| (a.item.clone(), (a.clone(), verdicts.get(&a.item).map(|v| (*v).clone())));
        Self { answers: answers.iter().map(pair).collect() }
    }

    fn get(&self, id: &str, lang: &str) -> Option<&(Answer, Option<Verdict>)> {
        self.answers.get(&ItemId { id: id.into(), lang: lang.into() })
    }
}

struct Builder<'a> {
    engine: &'a LocalEngine,
    guard: LeakGuard,
    end: Vec<u32>,
    set: TrainingSet,
}

impl Builder<'_> {
    fn example(&self, kind: Kind, name: &str, prompt: &str, reply: &str, ended: bool) -> Result<Example> {
        let ids = self.engine.prompt(&[Message::user(prompt)])?;
        let mut reply = self.engine.tokenize(reply)?;
        if ended {
            reply.extend(&self.end);
        }
        Ok(Example { kind, name: name.into(), prompt: ids, reply })
    }

    /// Text that the charter's author wrote: a leak in it is an error.
    fn authored(&mut self, kind: Kind, name: &str, prompt: &str, reply: &str) -> Result<()> {
        if let Some(leak) = self.guard.check(prompt, reply) {
            return Err(TreatError::Leak(format!("{name}: {leak}")));
        }
        let e = self.example(kind, name, prompt, reply, true)?;
        self.set.train.push(e);
        Ok(())
    }

    fn leave_out(&mut self, why: &str) {
        *self.set.left_out.entry(why.into()).or_default() += 1;
    }

    /// The model's own answer, where it is fit to be kept.
    fn own(&mut self, kind: Kind, id: &str, lang: &str, own: &OwnAnswers, most: usize) -> Result<Option<Example>> {
        let Some((answer, verdict)) = own.get(id, lang) else {
            self.leave_out("not asked in the first audit");
            return Ok(None);
        };
        let unfit = verdict.as_ref().is_some_and(|v| v.script_drift || v.degenerate || v.insertion || (v.refusal && kind == Kind::Anchor));
        if unfit || answer.text.trim().is_empty() {
            self.leave_out("refused, degenerate, or in another script than is due");
            return Ok(None);
        }
        if self.guard.check(&answer.prompt, &answer.text).is_some() {
            self.leave_out("it would leak a test claim");
            return Ok(None);
        }
        let mut e = self.example(kind, id, &answer.prompt, &answer.text, answer.finish == Finish::Stop)?;
        e.reply.truncate(most);
        Ok(Some(e))
    }
}

/// Builds the training set. Nothing of a test-only topic and no near-copy of a test probe may be in it.
///
/// # Errors
/// [`TreatError::Leak`] when text of the charter would leak; [`TreatError::Empty`] when there is no reference answer.
pub fn build(charter: &Charter, engine: &LocalEngine, own: &OwnAnswers, recipe: &Recipe) -> Result<TrainingSet> {
    let end = engine.model.tokenizer.stops.iter().copied().find(|&id| {
        // The token that ends a turn is the one the chat template writes after an assistant's message.
        let turn = [Message::user("a"), Message::new(freehold_engine::Role::Assistant, "b")];
        engine.model.template.encode(&engine.model.tokenizer, &turn, false).is_ok_and(|ids| ids.contains(&id))
    });
    let end = end.or(engine.model.tokenizer.stops.first().copied());
    let mut b = Builder { engine, guard: LeakGuard::new(charter), end: end.into_iter().collect(), set: TrainingSet::default() };

    for topic in &charter.topics {
        for probe in &topic.probes {
            let name = format!("{}/{}", topic.id, probe.id);
            match probe.split {
                Split::Train => {
                    for answer in topic.answers.iter().filter(|a| a.probe == probe.id) {
                        for (lang, reply) in answer.text.iter().filter(|(l, _)| charter.languages.contains(l)) {
                            let further = probe.variants.get(lang).into_iter().flatten();
                            for prompt in probe.text.get(lang).into_iter().chain(further).take(recipe.wordings.max(1)) {
                                b.authored(Kind::Reference, &format!("{name}.{lang}"), prompt, reply)?;
                            }
                        }
                    }
                }
                Split::Dev => {
                    for lang in &charter.languages {
                        let fact = topic.due(probe).find_map(|c| c.text.get(lang));
                        if let (Some(prompt), Some(fact)) = (probe.text.get(lang), fact) {
                            let e = b.example(Kind::Reference, &name, prompt, fact, topic.status == Status::Settled)?;
                            b.set.dev.push(e);
                        }
                    }
                }
                Split::Test => {}
            }
        }
    }
    if b.set.train.is_empty() {
        return Err(TreatError::Empty("no train probe of the charter has a reference answer in these languages".into()));
    }
    for control in &charter.controls {
        for (lang, prompt) in control.text.iter().filter(|(l, _)| charter.languages.contains(l)) {
            let reference = control.answer.get(lang);
            match (control.split, control.kind) {
                (Split::Test, _) => {}
                (Split::Train, ControlKind::Unknown | ControlKind::Script) => {
                    let kind = if control.kind == ControlKind::Script { Kind::Script } else { Kind::Unknown };
                    match reference {
                        Some(reply) => b.authored(kind, &control.id, prompt, reply)?,
                        None => b.leave_out("no reference answer"),
                    }
                }
                (Split::Train, ControlKind::Harmful) => {
                    let refused = own.get(&control.id, lang).and_then(|(_, v)| v.as_ref()).is_some_and(|v| v.refusal && !v.script_drift);
                    match (refused, reference) {
                        (true, _) => {
                            let e = b.own(Kind::Refusal, &control.id, lang, own, recipe.anchor_tokens)?;
                            b.set.train.extend(e);
                        }
                        (false, Some(reply)) => b.authored(Kind::Refusal, &control.id, prompt, reply)?,
                        (false, None) => b.leave_out("no reference answer"),
                    }
                }
                (Split::Train, _) => match reference {
                    Some(reply) => b.authored(Kind::Script, &control.id, prompt, reply)?,
                    None => {
                        let e = b.own(Kind::Anchor, &control.id, lang, own, recipe.anchor_tokens)?;
                        b.set.train.extend(e);
                    }
                },
                (Split::Dev, ControlKind::Unknown) => {
                    if let Some(reply) = reference {
                        let e = b.example(Kind::Unknown, &control.id, prompt, reply, true)?;
                        b.set.dev.push(e);
                    }
                }
                (Split::Dev, ControlKind::Harmless | ControlKind::Benign) => {
                    let e = b.own(Kind::Anchor, &control.id, lang, own, recipe.anchor_tokens / 2)?;
                    b.set.dev_anchors.extend(e);
                }
                (Split::Dev, _) => {}
            }
        }
    }
    Ok(b.set)
}
