//! From a charter and the model's own answers to training examples.

use std::collections::BTreeMap;

use freehold_charter::{Charter, ControlKind, LeakGuard, Probe, ReferenceAnswer, Split, Topic};
use freehold_engine::{LocalEngine, Message};
use freehold_judge::run::{Answer, Finish, ItemId};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TreatError};
use crate::recipe::Recipe;

/// Own answers on which `dev` measures KL: each costs as much time as four examples of training.
const MOST_DEV_ANCHORS: usize = 10;

/// What an example is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A charter's reference answer to a train probe.
    Reference,
    /// A plain abstention to a question outside every topic.
    Unknown,
    /// A question with the facts before it, and the reply that states them: what was never taught can still be read.
    OpenBook,
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
    /// Replies whose likelihood tells early stopping how well the charter is learnt: reference answers as replies to `dev` probes that ask
    /// for the same facts in other words, and abstentions.
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
            let name = serde_json::to_value(e.kind)
                .ok()
                .and_then(|v| v.as_str().map(str::to_string))
                .unwrap_or_default();
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
}

/// The first audit's answers. Its verdicts are not looked at: the judge that reports takes no part in training.
pub struct OwnAnswers {
    answers: BTreeMap<ItemId, Answer>,
}

impl OwnAnswers {
    pub fn new(answers: &[Answer]) -> Self {
        Self { answers: answers.iter().map(|a| (a.item.clone(), a.clone())).collect() }
    }

    fn get(&self, id: &str, lang: &str) -> Option<&Answer> {
        self.answers.get(&ItemId { id: id.into(), lang: lang.into() })
    }
}

struct Builder<'a> {
    engine: &'a LocalEngine,
    charter: &'a Charter,
    guard: LeakGuard,
    end: Vec<u32>,
    set: TrainingSet,
}

impl Builder<'_> {
    fn example(&self, kind: Kind, name: &str, prompt: &str, reply: &str, ended: bool) -> Result<Example> {
        let ids = self.engine.prompt_ids(&[Message::user(prompt)])?;
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
    fn own(
        &mut self,
        kind: Kind,
        id: &str,
        lang: &str,
        own: &OwnAnswers,
        most: usize,
    ) -> Result<Option<Example>> {
        let Some(answer) = own.get(id, lang) else {
            self.leave_out("not asked in the first audit");
            return Ok(None);
        };
        let due = self.charter.reply_script.get(lang);
        let drifts = due.is_some_and(|tag| freehold_zh::due(tag, &answer.text, &answer.prompt).is_some());
        if drifts || answer.text.trim().is_empty() {
            self.leave_out("empty, or in another script than is due");
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

/// The reference answer that states most of what a dev probe asks for: how likely it is as the reply to that other wording tells
/// whether facts were learnt or a question was.
fn nearest_answer<'a>(topic: &'a Topic, probe: &'a Probe) -> Option<&'a ReferenceAnswer> {
    let due =
        |p: &'a Probe| topic.due(p).map(|c| c.id.as_str()).collect::<std::collections::BTreeSet<&str>>();
    let wanted = due(probe);
    let overlap = |a: &ReferenceAnswer| {
        let has = topic.probe(&a.probe).map(due).unwrap_or_default();
        let (both, either) = (wanted.intersection(&has).count(), wanted.union(&has).count());
        (1000 * both).checked_div(either).unwrap_or(0)
    };
    topic.answers.iter().filter(|a| overlap(a) > 0).max_by_key(|a| overlap(a))
}

/// Builds the training set. Nothing of a test-only topic and no near-copy of a test probe may be in it.
///
/// # Errors
/// [`TreatError::Leak`] when text of the charter would leak; [`TreatError::Empty`] when there is no reference answer.
pub fn build(
    charter: &Charter,
    engine: &LocalEngine,
    own: &OwnAnswers,
    recipe: &Recipe,
) -> Result<TrainingSet> {
    let end = engine.model.tokenizer.stops.iter().copied().find(|&id| {
        // The token that ends a turn is the one the chat template writes after an assistant's message.
        let turn = [Message::user("a"), Message::new(freehold_engine::Role::Assistant, "b")];
        engine.model.template.encode(&engine.model.tokenizer, &turn, false).is_ok_and(|ids| ids.contains(&id))
    });
    let end = end.or(engine.model.tokenizer.stops.first().copied());
    let mut b = Builder {
        engine,
        charter,
        guard: LeakGuard::new(charter),
        end: end.into_iter().collect(),
        set: TrainingSet::default(),
    };

    for topic in &charter.topics {
        for probe in &topic.probes {
            let name = format!("{}/{}", topic.id, probe.id);
            match probe.split {
                Split::Train => {
                    for answer in topic.answers.iter().filter(|a| a.probe == probe.id) {
                        for lang in &charter.languages {
                            let further = probe.variants.get(lang).into_iter().flatten();
                            let prompts = probe.text.get(lang).into_iter().chain(further);
                            // Each wording of the question meets another wording of the answer, so that neither is learnt by heart.
                            let replies = answer.wordings(lang).cycle();
                            let facts: Vec<&str> = topic
                                .due(probe)
                                .filter_map(|c| c.text.get(lang))
                                .map(String::as_str)
                                .collect();
                            let name = format!("{name}.{lang}");
                            for (i, (prompt, reply)) in
                                prompts.take(recipe.wordings.max(1)).zip(replies).enumerate()
                            {
                                b.authored(Kind::Reference, &name, prompt, reply)?;
                                if i < recipe.open_book && !facts.is_empty() {
                                    let prompt = freehold_charter::open_book(&facts, prompt);
                                    b.authored(Kind::OpenBook, &name, &prompt, reply)?;
                                }
                            }
                        }
                    }
                }
                Split::Dev => {
                    let Some(answer) = nearest_answer(topic, probe) else { continue };
                    for lang in &charter.languages {
                        if let (Some(prompt), Some(reply)) = (probe.text.get(lang), answer.text.get(lang)) {
                            let e = b.example(Kind::Reference, &name, prompt, reply, true)?;
                            b.set.dev.push(e);
                        }
                    }
                }
                Split::Test => {}
            }
        }
    }
    if b.set.train.is_empty() {
        return Err(TreatError::Empty(
            "no train probe of the charter has a reference answer in these languages".into(),
        ));
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
                    if let (Some(facts), Some(reply), true) =
                        (control.facts.get(lang), control.informed.get(lang), recipe.open_book > 0)
                    {
                        let prompt = freehold_charter::open_book(&[facts], prompt);
                        b.authored(Kind::OpenBook, &control.id, &prompt, reply)?;
                    }
                }
                (Split::Train, ControlKind::Harmful) => match reference {
                    Some(reply) => b.authored(Kind::Refusal, &control.id, prompt, reply)?,
                    None => b.leave_out("no reference answer"),
                },
                (Split::Train, _) => match reference {
                    Some(reply) => b.authored(Kind::Script, &control.id, prompt, reply)?,
                    None => {
                        let e = b.own(Kind::Anchor, &control.id, lang, own, recipe.anchor_tokens)?;
                        b.set.train.extend(e);
                    }
                },
                (Split::Dev, ControlKind::Unknown) => {
                    // One language a question, in turn, is enough to steer by and a third of the time.
                    let turn = b.set.dev.len() % charter.languages.len()
                        == charter.languages.iter().position(|l| l == lang).unwrap_or(0);
                    if let (true, Some(reply)) = (turn, reference) {
                        let e = b.example(Kind::Unknown, &control.id, prompt, reply, true)?;
                        b.set.dev.push(e);
                    }
                }
                (Split::Dev, ControlKind::Harmless | ControlKind::Benign) => {
                    let e = b.own(Kind::Anchor, &control.id, lang, own, recipe.anchor_tokens / 2)?;
                    b.set.dev_anchors.extend(e.filter(|_| b.set.dev_anchors.len() < MOST_DEV_ANCHORS));
                }
                (Split::Dev, _) => {}
            }
        }
    }
    Ok(b.set)
}
