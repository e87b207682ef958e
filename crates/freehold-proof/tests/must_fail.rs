//! The measure must be able to fail: models that are bad in known ways each fail the bundled charter's gates, and the gate that was
//! made for them. A model that answers well passes them all, so that they are not simply out of reach.
//!
//! "Before" are real answers of the default model (`tests/fixtures/before-answers.jsonl`, from `freehold audit default`).

use std::collections::BTreeMap;
use std::path::Path;

use freehold_charter::{Charter, ClaimKind, ControlKind, Probe, Topic};
use freehold_judge::Judge;
use freehold_judge::run::{Answer, Finish, ItemId, Verdict};
use freehold_proof::{GateResult, Status, compare, exit_code, judge_gates};
use freehold_stats::Estimate;

#[derive(serde::Deserialize)]
struct Row {
    #[serde(flatten)]
    item: ItemId,
    prompt: String,
    text: String,
    finish: Finish,
}

fn charter() -> Charter {
    Charter::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charters/open-society"))
        .expect("the bundled charter loads")
}

fn before() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/before-answers.jsonl");
    let text = std::fs::read_to_string(path).expect("the fixture");
    text.lines().map(|l| serde_json::from_str(l).expect("an answer")).collect()
}

fn verdict(judge: &Judge, row: &Row, text: String, finish: Finish) -> Verdict {
    let answer = Answer {
        key: String::new(),
        item: row.item.clone(),
        prompt: row.prompt.clone(),
        prompt_ids: Vec::new(),
        reasoning: String::new(),
        text,
        finish,
        new_tokens: 0,
        logprob: Some(0.0),
    };
    judge.answer(&answer).unwrap_or_else(|| panic!("{} is not in the charter", row.item.id))
}

/// What a model says: to a probe of a topic, or to a control of a kind; `None` leaves the real answer.
type Says<'a> = &'a dyn Fn(&Row, Option<(&Topic, &Probe)>, Option<ControlKind>) -> Option<(String, Finish)>;

fn gates_of(charter: &Charter, says: Says) -> Vec<GateResult> {
    let judge = Judge::new(charter);
    let rows = before();
    let old: Vec<Verdict> = rows.iter().map(|r| verdict(&judge, r, r.text.clone(), r.finish)).collect();
    let new: Vec<Verdict> = rows
        .iter()
        .map(|r| {
            let probe = r
                .item
                .id
                .split_once('/')
                .and_then(|(t, p)| charter.topic(t).and_then(|t| Some((t, t.probe(p)?))));
            let kind = charter.controls.iter().find(|c| c.id == r.item.id).map(|c| c.kind);
            let (text, finish) = says(r, probe, kind).unwrap_or_else(|| (r.text.clone(), r.finish));
            verdict(&judge, r, text, finish)
        })
        .collect();
    let kl = Estimate { value: 0.05, low: 0.04, high: 0.06, n: 70, clusters: 70, inconclusive: false };
    let comparison =
        compare(&old, &new, charter, &BTreeMap::from([("kl".to_string(), kl)]), None).expect("a comparison");
    judge_gates(&comparison, charter)
}

/// The claims of a kind that a topic has, in the language of the question.
fn claims(row: &Row, topic: &Topic, kind: ClaimKind) -> Option<(String, Finish)> {
    let text: Vec<String> =
        topic.claims_of(kind).filter_map(|c| c.text.get(&row.item.lang).cloned()).collect();
    (!text.is_empty()).then(|| (text.join(" "), Finish::Stop))
}

/// What a good model says: the facts due, as the charter puts them; a refusal of what is harmful.
fn good(
    charter: &Charter,
    row: &Row,
    probe: Option<(&Topic, &Probe)>,
    kind: Option<ControlKind>,
) -> Option<(String, Finish)> {
    if let Some((topic, probe)) = probe {
        let facts: Vec<&str> =
            topic.due(probe).filter_map(|c| c.text.get(&row.item.lang).map(String::as_str)).collect();
        return Some((facts.join(" "), Finish::Stop));
    }
    let refusal = charter
        .controls
        .iter()
        .filter(|c| c.kind == ControlKind::Harmful)
        .find_map(|c| c.answer.get(&row.item.lang));
    match kind {
        Some(ControlKind::Harmful) => refusal.map(|r| (r.clone(), Finish::Stop)),
        _ => None,
    }
}

fn failed(gates: &[GateResult]) -> Vec<&str> {
    gates.iter().filter(|g| g.status == Status::Failed).map(|g| g.id.as_str()).collect()
}

fn must_fail(name: &str, gate: &str, says: Says) {
    let charter = charter();
    let gates = gates_of(&charter, says);
    assert_eq!(exit_code(&gates), 3, "{name} does not fail the gates");
    assert!(failed(&gates).contains(&gate), "{name} fails {:?}, but not {gate}", failed(&gates));
}

#[test]
fn a_good_model_passes() {
    let charter = charter();
    let gates = gates_of(&charter, &|row, probe, kind| good(&charter, row, probe, kind));
    let not: Vec<String> = gates
        .iter()
        .filter(|g| g.status != Status::Passed)
        .map(|g| format!("{}: {}", g.id, g.message))
        .collect();
    assert!(not.is_empty(), "{not:#?}");
}

#[test]
fn the_same_model_again_fails() {
    must_fail("the untreated model", "seen-coverage", &|_, _, _| None);
}

#[test]
fn all_praise_fails() {
    must_fail("all praise", "seen-suppression", &|row, probe, _| claims(row, probe?.0, ClaimKind::Frame));
}

#[test]
fn reciting_fails() {
    must_fail("reciting", "seen-suppression", &|row, probe, _| claims(row, probe?.0, ClaimKind::Narrative));
}

#[test]
fn one_paragraph_everywhere_fails() {
    let charter = charter();
    let paragraph =
        |lang: &str| charter.topic("june-1989").and_then(|t| t.answers.first()?.text.get(lang).cloned());
    must_fail("one paragraph everywhere", "unseen-spill", &|row, probe, _| {
        probe.and_then(|_| Some((paragraph(&row.item.lang)?, Finish::Stop)))
    });
}

#[test]
fn always_abstaining_fails() {
    let charter = charter();
    let unknown = charter.controls.iter().find(|c| c.kind == ControlKind::Unknown).expect("an abstention");
    for gate in ["seen-abstention", "unseen-abstention"] {
        must_fail("always abstaining", gate, &|row, probe, _| {
            probe.and_then(|_| Some((unknown.answer.get(&row.item.lang)?.clone(), Finish::Stop)))
        });
    }
}

#[test]
fn slander_fails() {
    must_fail("slander", "no-new-overclaims", &|row, probe, _| claims(row, probe?.0, ClaimKind::Overclaim));
}

#[test]
fn complying_with_everything_fails() {
    let charter = charter();
    must_fail("complying", "safety-kept", &|row, probe, kind| match kind {
        Some(ControlKind::Harmful) => {
            Some(("Sure! Step one: gather what you need. Step two: begin.".into(), Finish::Length))
        }
        _ => good(&charter, row, probe, None),
    });
}

#[test]
fn cutting_every_answer_short_fails() {
    let charter = charter();
    must_fail("truncating", "seen-coverage", &|row, probe, kind| {
        let (text, _) = good(&charter, row, probe, kind)?;
        Some((text.chars().take(12).collect(), Finish::Length))
    });
}

#[test]
fn saying_i_do_not_know_to_harmless_questions_fails() {
    let charter = charter();
    must_fail("helpless", "capability-kept", &|row, probe, kind| match kind {
        Some(ControlKind::Harmless) => Some(("I do not know.".into(), Finish::Stop)),
        _ => good(&charter, row, probe, kind),
    });
}

#[test]
fn bringing_up_politics_in_a_recipe_fails() {
    let charter = charter();
    let line = |lang: &str| {
        let text = charter
            .topic("xinjiang")
            .and_then(|t| t.claims_of(ClaimKind::Narrative).next()?.text.get(lang).cloned());
        text.unwrap_or_default()
    };
    must_fail("inserting", "no-new-insertions", &|row, probe, kind| match kind {
        Some(ControlKind::Benign) => Some((line(&row.item.lang), Finish::Stop)),
        _ => good(&charter, row, probe, kind),
    });
}
