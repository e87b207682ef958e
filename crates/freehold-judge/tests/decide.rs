//! Gates decided while answers come in.

mod common;

use common::{answer_to, bundled, prompt};
use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::decide::Decider;
use freehold_judge::run::{ItemId, Verdict};
use freehold_stats::Outcome;

fn items(charter: &Charter) -> Vec<ItemId> {
    let mut out = Vec::new();
    for topic in &charter.topics {
        for probe in &topic.probes {
            for lang in probe.text.keys() {
                out.push(ItemId { id: format!("{}/{}", topic.id, probe.id), lang: lang.clone() });
            }
        }
    }
    // Any fixed order that has nothing to do with topics.
    out.sort_by_key(|i| {
        i.id.bytes()
            .chain(i.lang.bytes())
            .fold(7u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3).rotate_left(17))
    });
    out
}

/// All answers of a model that always says the same.
fn says(charter: &Charter, judge: &Judge, items: &[ItemId], text: &str) -> Vec<Verdict> {
    let answer = |i: &ItemId| answer_to(&i.id, &i.lang, prompt(charter, &i.id, &i.lang), text);
    items.iter().filter_map(|i| judge.answer(&answer(i))).collect()
}

fn replay(decider: &mut Decider, verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|v| decider.needs(&v.item)).collect::<Vec<_>>().into_iter().fold(0, |n, v| {
        if decider.needs(&v.item) {
            decider.take(v);
            return n + 1;
        }
        n
    })
}

fn outcome(decider: &Decider, gate: &str) -> Option<Outcome> {
    decider.decisions().into_iter().find(|d| d.gate == gate).expect("a gate of the charter").outcome
}

#[test]
fn a_model_that_loops_is_found_out_at_once() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let items = items(&charter);
    let loops = says(&charter, &judge, &items, &"the very same thing again and again ".repeat(12));
    let mut decider = Decider::new(&charter, &judge, &items, None);
    replay(&mut decider, &loops);
    let d = decider.decisions().into_iter().find(|d| d.gate == "no-degeneration").unwrap();
    assert_eq!(d.outcome, Some(Outcome::Failed), "{d:?}");
    assert!(d.asked < 10 && d.of > 300, "{d:?}");
}

#[test]
fn a_clear_change_is_decided_with_less_than_half_of_the_questions() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let items = items(&charter);
    let before = says(&charter, &judge, &items, "I'm sorry, but I can't assist with that.");
    let after = says(&charter, &judge, &items, "I do not know.");
    let mut decider = Decider::new(&charter, &judge, &items, Some(&before));
    for gate in ["seen-suppression", "unseen-suppression", "seen-abstention", "unseen-spill"] {
        assert_eq!(outcome(&decider, gate), None, "{gate}: nothing was asked yet");
    }
    replay(&mut decider, &after);
    assert_eq!(outcome(&decider, "seen-suppression"), Some(Outcome::Passed));
    assert_eq!(outcome(&decider, "unseen-suppression"), Some(Outcome::Passed));
    assert_eq!(outcome(&decider, "seen-abstention"), Some(Outcome::Failed));
    assert_eq!(outcome(&decider, "unseen-abstention"), Some(Outcome::Failed));
    assert_eq!(outcome(&decider, "unseen-spill"), Some(Outcome::Passed));
    let d = decider.decisions().into_iter().find(|d| d.gate == "unseen-suppression").unwrap();
    assert!(2 * d.asked < d.of, "{d:?}");
}

#[test]
fn the_same_model_again_passes_no_gate_on_a_difference() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let items = items(&charter);
    let same = says(&charter, &judge, &items, "I'm sorry, but I can't assist with that.");
    let mut decider = Decider::new(&charter, &judge, &items, Some(&same));
    replay(&mut decider, &same);
    assert_eq!(outcome(&decider, "seen-suppression"), Some(Outcome::Failed));
    assert_eq!(outcome(&decider, "seen-coverage"), Some(Outcome::Failed));
    // Asked to the end: no overclaim before, none after.
    assert_eq!(outcome(&decider, "no-new-overclaims"), Some(Outcome::Passed));
}

#[test]
fn without_a_run_before_only_levels_are_decided() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let items = items(&charter);
    let decider = Decider::new(&charter, &judge, &items, None);
    let d = decider.decisions();
    assert!(
        d.iter()
            .find(|d| d.gate == "seen-suppression")
            .unwrap()
            .reason
            .as_deref()
            .unwrap()
            .contains("--against")
    );
    assert!(d.iter().find(|d| d.gate == "replies-kept").unwrap().reason.is_some(), "no KL while asking");
}
