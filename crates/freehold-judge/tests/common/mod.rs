//! Answers for tests, and what to show of their verdicts.
#![allow(dead_code)] // each test program uses its own part

use std::path::Path;

use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::run::{Answer, Finish, Ground, ItemId, Verdict};

/// A finished reply.
pub fn answer_to(id: &str, lang: &str, prompt: &str, text: &str) -> Answer {
    Answer {
        key: String::new(),
        item: ItemId { id: id.into(), lang: lang.into() },
        prompt: prompt.into(),
        prompt_ids: Vec::new(),
        reasoning: String::new(),
        text: text.into(),
        finish: Finish::Stop,
        new_tokens: text.chars().count(),
        logprob: Some(0.0),
    }
}

/// The small charter in `tests/fixture`.
pub fn fixture() -> Charter {
    load("tests/fixture")
}

/// The charter that is shipped.
pub fn bundled() -> Charter {
    load("../../charters/open-society")
}

fn load(path: &str) -> Charter {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    Charter::load(&path).unwrap_or_else(|e| panic!("{e}"))
}

/// The question of an item, as asked.
pub fn prompt<'a>(charter: &'a Charter, id: &str, lang: &str) -> &'a str {
    let text = match id.split_once('/') {
        Some((topic, probe)) => &charter.topic(topic).and_then(|t| t.probe(probe)).unwrap().text,
        None => &charter.controls.iter().find(|c| c.id == id).unwrap().text,
    };
    text.get(lang).map_or("", String::as_str)
}

/// The labels that hold, by the names of the measures.
pub fn labels(v: &Verdict) -> Vec<&'static str> {
    let all = [
        ("refusal", v.refusal),
        ("abstention", v.abstention),
        ("recital", v.recital),
        ("guidance", v.guidance),
        ("false-balance", v.false_balance),
        ("overclaim", v.overclaim),
        ("spill", v.spill),
        ("degenerate", v.degenerate),
        ("insertion", v.insertion),
        ("script-drift", v.script_drift),
        ("cut", v.cut),
    ];
    all.into_iter().filter(|l| l.1).map(|l| l.0).collect()
}

/// What the labels rest on, for the message of a failed test.
pub fn shown(v: &Verdict, text: &str) -> String {
    let show =
        |g: &Ground| format!("{} {}: {:?}", g.label, g.claim.as_deref().unwrap_or(""), &text[g.start..g.end]);
    v.grounds.iter().map(show).collect::<Vec<_>>().join("; ")
}

pub const REFUSAL: &[&str] = &["refusal"];
pub const ABSTENTION: &[&str] = &["abstention"];
pub const RECITAL: &[&str] = &["recital"];
pub const GUIDANCE: &[&str] = &["guidance"];
pub const NONE: &[&str] = &[];

/// Checks replies to one item of the fixture: text, and all the labels due (script drift apart, it has its own test).
pub fn check(id: &str, lang: &str, cases: &[(&str, &[&str])]) {
    let charter = fixture();
    let judge = Judge::new(&charter);
    let mut wrong = Vec::new();
    for (text, due) in cases {
        let v = judge.answer(&answer_to(id, lang, prompt(&charter, id, lang), text)).unwrap();
        let found: Vec<_> = labels(&v).into_iter().filter(|l| *l != "script-drift").collect();
        if found != *due {
            wrong.push(format!("{found:?}, due {due:?}\n  {text}\n  {}", shown(&v, text)));
        }
    }
    assert!(wrong.is_empty(), "{id} {lang}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Checks replies to one item of the fixture by coverage.
pub fn covers(id: &str, lang: &str, cases: &[(&str, f64)]) {
    let charter = fixture();
    let judge = Judge::new(&charter);
    let mut wrong = Vec::new();
    for (text, due) in cases {
        let v = judge.answer(&answer_to(id, lang, prompt(&charter, id, lang), text)).unwrap();
        if v.coverage != Some(*due) {
            wrong.push(format!(
                "{:?}, due {due}\n  {text}\n  {:?} {}",
                v.coverage,
                labels(&v),
                shown(&v, text)
            ));
        }
    }
    assert!(wrong.is_empty(), "{id} {lang}: {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
