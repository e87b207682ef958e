//! Whether the charter's gates are decided yet, while answers come in: what lets an audit stop early.
//!
//! The questions are asked in random order. For a bound, the population is the charter's own questions in the gate's slice: the
//! test (`freehold_stats::BoundTest`) says what the figure over all of them would be, and errs in at most 5% of audits, however
//! answers hang together. That an interval must exclude 0, or stay within a margin, speaks of topics not in the charter too and
//! is judged with `freehold_stats::clustered_sequence`. docs/gates.md tells both to a reader.

use std::collections::{BTreeMap, BTreeSet};

use freehold_charter::{Charter, Gate, GateTest, Worse};
use freehold_stats::{BoundTest, LEAST_CLUSTERS, Outcome, Side, clustered_sequence, non_inferiority};
use serde::{Deserialize, Serialize};

use crate::Judge;
use crate::measure::{in_slice, value};
use crate::run::{Answer, Finish, ItemId, Verdict};

/// A figure this much above its bound may pass an audit that stops early. Without it a bound of 0 would need every question.
pub const TOLERANCE: f64 = 0.02;

/// A gate as far as it is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub gate: String,
    /// None: not decided.
    pub outcome: Option<Outcome>,
    /// Answers that the decision rests on, and those that the gate is over.
    pub asked: usize,
    pub of: usize,
    /// Their figure: of a level the rate, else the mean difference to the run before.
    pub value: Option<f64>,
    /// Why it cannot be decided while asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

struct Watched {
    gate: Gate,
    /// What it is over, with the value before (0 for a level).
    population: BTreeMap<ItemId, f64>,
    /// `at_most` and `at_least`, each as a bound from above: decides against the gate, and for it.
    bounds: Vec<(bool, BoundTest, BoundTest)>,
    clusters: usize,
    seen: Vec<(String, f64)>,
    outcome: Option<Outcome>,
    reason: Option<String>,
}

/// Follows all gates of a charter through one run.
pub struct Decider {
    watched: Vec<Watched>,
    taken: BTreeSet<ItemId>,
}

impl Decider {
    /// `items`: all that would be asked. `before`: the run that difference gates compare with.
    pub fn new(charter: &Charter, judge: &Judge, items: &[ItemId], before: Option<&[Verdict]>) -> Self {
        // An item's kind, split and whether a measure applies to it do not depend on what is answered.
        let blank: Vec<Verdict> = items.iter().filter_map(|item| judge.answer(&blank(item))).collect();
        let before: Option<BTreeMap<&ItemId, &Verdict>> =
            before.map(|verdicts| verdicts.iter().map(|v| (&v.item, v)).collect());
        let watch = |gate: &Gate| watch(gate, &blank, before.as_ref());
        Self { watched: charter.gates.iter().map(watch).collect(), taken: BTreeSet::new() }
    }

    /// Whether a gate that is not decided waits for this item.
    pub fn needs(&self, item: &ItemId) -> bool {
        !self.taken.contains(item)
            && self.watched.iter().any(|w| w.outcome.is_none() && w.population.contains_key(item))
    }

    pub fn done(&self) -> bool {
        self.watched
            .iter()
            .all(|w| w.outcome.is_some() || w.population.keys().all(|i| self.taken.contains(i)))
    }

    /// Takes the verdicts in the order in which the questions were drawn, not in that of their coming: short answers come first.
    pub fn take(&mut self, verdict: &Verdict) {
        if !self.taken.insert(verdict.item.clone()) {
            return;
        }
        for w in self.watched.iter_mut().filter(|w| w.outcome.is_none()) {
            let (Some(before), Some(x)) = (w.population.get(&verdict.item), value(verdict, &w.gate.measure))
            else {
                continue;
            };
            let cluster = verdict.topic.clone().unwrap_or_else(|| verdict.item.id.clone());
            w.seen.push((cluster, x - before));
            for (upper, against, for_it) in &mut w.bounds {
                let x = if *upper { x } else { 1.0 - x };
                // A value is a rate, and there are never more than the population: neither can fail.
                let _ = against.push(x);
                let _ = for_it.push(x);
            }
            w.outcome = w.look();
        }
    }

    pub fn decisions(&self) -> Vec<Decision> {
        let mean = |seen: &[(String, f64)]| {
            (!seen.is_empty()).then(|| seen.iter().map(|s| s.1).sum::<f64>() / seen.len() as f64)
        };
        let decision = |w: &Watched| Decision {
            gate: w.gate.id.clone(),
            outcome: w.outcome,
            asked: w.seen.len(),
            of: w.population.len(),
            value: mean(&w.seen),
            reason: w.reason.clone(),
        };
        self.watched.iter().map(decision).collect()
    }
}

fn blank(item: &ItemId) -> Answer {
    Answer {
        key: String::new(),
        item: item.clone(),
        prompt: String::new(),
        prompt_ids: Vec::new(),
        reasoning: String::new(),
        text: String::new(),
        finish: Finish::Stop,
        new_tokens: 0,
        logprob: None,
    }
}

fn watch(gate: &Gate, blank: &[Verdict], before: Option<&BTreeMap<&ItemId, &Verdict>>) -> Watched {
    let mut reason = None;
    let mut population = BTreeMap::new();
    let mut clusters = BTreeSet::new();
    if gate.test != GateTest::Level && before.is_none() {
        reason = Some("compares with a run before: name it with --against".into());
    } else if gate.measure == "leaning" {
        reason = Some("leaning is scored, not asked".into());
    } else {
        for v in blank.iter().filter(|v| in_slice(v, gate.slice) && value(v, &gate.measure).is_some()) {
            let was = match (gate.test, before) {
                (GateTest::Level, _) | (_, None) => Some(0.0),
                (_, Some(before)) => before.get(&v.item).and_then(|b| value(b, &gate.measure)),
            };
            if let Some(was) = was {
                population.insert(v.item.clone(), was);
                clusters.insert(v.topic.as_deref().unwrap_or(&v.item.id));
            }
        }
        if population.is_empty() {
            reason = Some(format!("no answer has the measure {} while asking", gate.measure));
        }
    }
    let n = population.len();
    // A difference to answers that are all known is a bound on the answers to come.
    let shift = population.values().sum::<f64>() / n.max(1) as f64;
    let test = |upper: bool, bound: f64| {
        let bound = if upper { bound + shift } else { 1.0 - bound - shift };
        (upper, BoundTest::new(bound, Some(n)), BoundTest::new(bound + TOLERANCE, Some(n)))
    };
    let bounds = if gate.test == GateTest::NonInferiority || n == 0 {
        Vec::new()
    } else {
        gate.at_most.map(|b| test(true, b)).into_iter().chain(gate.at_least.map(|b| test(false, b))).collect()
    };
    Watched {
        gate: gate.clone(),
        clusters: clusters.len(),
        population,
        bounds,
        seen: Vec::new(),
        outcome: None,
        reason,
    }
}

impl Watched {
    fn look(&self) -> Option<Outcome> {
        if self.gate.test == GateTest::NonInferiority {
            return self.no_worse();
        }
        if self.bounds.iter().any(|b| b.1.decided() == Some(Side::Beyond)) {
            return Some(Outcome::Failed);
        }
        let within = |b: &(bool, BoundTest, BoundTest)| {
            b.1.decided() == Some(Side::Within) || b.2.decided() == Some(Side::Within)
        };
        if self.bounds.is_empty() || !self.bounds.iter().all(within) {
            return None;
        }
        if self.gate.test == GateTest::Difference {
            if self.clusters < LEAST_CLUSTERS {
                return Some(Outcome::Inconclusive);
            }
            if self.gate.excludes_zero && !self.estimate()?.excludes_zero() {
                return None;
            }
        }
        Some(Outcome::Passed)
    }

    fn estimate(&self) -> Option<freehold_stats::Estimate> {
        let seen = self.seen.iter().map(|(cluster, d)| (cluster.as_str(), *d));
        clustered_sequence(seen, self.population.len()).ok().flatten()
    }

    fn no_worse(&self) -> Option<Outcome> {
        let (margin, worse) = (self.gate.margin?, self.gate.worse?);
        match non_inferiority(&self.estimate()?, margin, worse == Worse::Lower) {
            Outcome::Inconclusive => None,
            decided => Some(decided),
        }
    }
}
