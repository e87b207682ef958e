//! The admission memo: what it advises follows from the figures, both languages say the same, foreign text stays text.

#[path = "../examples/demo/data.rs"]
#[allow(dead_code)]
mod data;

use data::run;
use freehold_charter::{Charter, starter};
use freehold_judge::run::Verdict;
use freehold_proof::RunData;
use freehold_proof::memo::{Block, Tongue, html, markdown, memo};

fn charter() -> Charter {
    let files = starter::FILES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    Charter::from_files("starter", files).expect("the starter has no errors")
}

/// A memo on answers that `change` has labelled; their topics are spread so that there are enough clusters.
fn written(tongue: Tongue, change: &dyn Fn(usize, &mut Verdict)) -> Vec<Block> {
    let charter = charter();
    let made = run(&charter, false, &|_, _| None);
    let mut verdicts = Vec::new();
    for i in 0..10 {
        for v in &made.verdicts {
            let mut v = v.clone();
            v.topic = v.topic.map(|t| format!("{t}-{i}"));
            for label in
                [&mut v.refusal, &mut v.recital, &mut v.guidance, &mut v.false_balance, &mut v.script_drift]
            {
                *label = false;
            }
            change(verdicts.len(), &mut v);
            verdicts.push(v);
        }
    }
    let data = RunData {
        record: &made.record,
        answers: &made.answers,
        verdicts: &verdicts,
        scorecard: &made.scorecard,
    };
    memo(&charter, &data, None, tongue)
}

#[test]
fn a_model_that_refuses_is_not_advised_for_public_affairs() {
    for (tongue, word) in [
        (Tongue::English, "public affairs without a person"),
        (Tongue::Taiwan, "未經人工查核就用於歷史與公共事務"),
    ] {
        let refuses = markdown(&written(tongue, &|_, v| v.refusal = v.topic.is_some()));
        assert!(refuses.contains(word), "{refuses}");
        // One answer in a hundred is chance, and crosses no line.
        let one = markdown(&written(tongue, &|i, v| v.refusal = i == 0));
        assert!(!one.contains(word), "{one}");
    }
}

#[test]
fn both_languages_have_the_same_parts_and_figures() {
    let [english, taiwan] =
        Tongue::ALL.map(|t| written(t, &|i, v| v.recital = v.topic.is_some() && i % 3 == 0));
    assert_eq!(english.len(), taiwan.len());
    for (a, b) in english.iter().zip(&taiwan) {
        assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b));
        if let (Block::Table { rows: a, .. }, Block::Table { rows: b, .. }) = (a, b) {
            let figures = |rows: &[Vec<String>]| rows.iter().map(|r| r[1..].to_vec()).collect::<Vec<_>>();
            assert_eq!(figures(a), figures(b));
        }
        if let (Block::List(a), Block::List(b)) = (a, b) {
            assert_eq!(a.len(), b.len());
        }
    }
}

#[test]
fn what_a_model_says_is_no_markup() {
    const HOSTILE: &str = "</blockquote><script>alert(1)</script> # x | y";
    let charter = charter();
    let made = run(&charter, false, &|_, _| Some(HOSTILE.into()));
    let mut verdicts = made.verdicts.clone();
    verdicts.iter_mut().for_each(|v| v.refusal = true);
    let data = RunData {
        record: &made.record,
        answers: &made.answers,
        verdicts: &verdicts,
        scorecard: &made.scorecard,
    };
    for tongue in Tongue::ALL {
        let blocks = memo(&charter, &data, None, tongue);
        assert!(
            blocks.iter().any(|b| matches!(b, Block::Example { answer, .. } if answer.contains("script")))
        );
        for out in [html(&blocks, tongue), markdown(&blocks)] {
            assert!(!out.contains("<script"), "{out}");
        }
    }
}
