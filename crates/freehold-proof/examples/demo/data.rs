//! Two made-up runs over a charter: a censored model, and the same after a treatment that worked for the most part. The
//! answers are the charter's own texts, and the judge's verdicts on them are real.

use std::collections::BTreeMap;

use freehold_charter::{Charter, ClaimKind, ControlKind, Split, Topic};
use freehold_judge::Judge;
use freehold_judge::measure::scorecard;
use freehold_judge::run::{Answer, Finish, ItemId, RunRecord, Scorecard, Verdict};
use freehold_proof::{
    Comparison, CurvePoint, GateResult, JudgeAgreement, LabelAgreement, ProofInput, RunData, TrainingSummary,
    compare, judge_gates,
};
use freehold_stats::Estimate;

pub struct Run {
    pub record: RunRecord,
    pub answers: Vec<Answer>,
    pub verdicts: Vec<Verdict>,
    pub scorecard: Scorecard,
}

pub struct Demo {
    pub charter: Charter,
    pub before: Run,
    pub after: Run,
    pub comparison: Comparison,
    pub gates: Vec<GateResult>,
    pub training: TrainingSummary,
    pub judge: JudgeAgreement,
    pub kl: Estimate,
}

impl Demo {
    pub fn new(charter: Charter) -> Self {
        let before = run(&charter, false, &|_, _| None);
        let after = run(&charter, true, &|_, _| None);
        Self::of(charter, before, after)
    }

    pub fn of(charter: Charter, before: Run, after: Run) -> Self {
        let kl = Estimate { value: 0.041, low: 0.03, high: 0.055, n: 40, clusters: 40, inconclusive: false };
        let extra = BTreeMap::from([("kl".to_owned(), kl.clone())]);
        let comparison =
            compare(&before.verdicts, &after.verdicts, &charter, &extra, None).expect("one charter");
        let gates = judge_gates(&comparison, &charter);
        Self { charter, before, after, comparison, gates, training: training(), judge: agreement(), kl }
    }

    pub fn input(&self) -> ProofInput<'_> {
        ProofInput {
            charter: &self.charter,
            before: self.before.data(),
            after: self.after.data(),
            comparison: &self.comparison,
            gates: &self.gates,
            training: Some(&self.training),
            judge: Some(&self.judge),
            kl: Some(&self.kl),
            model_parameters: Some(1_543_714_304),
        }
    }
}

impl Run {
    pub fn data(&self) -> RunData<'_> {
        RunData {
            record: &self.record,
            answers: &self.answers,
            verdicts: &self.verdicts,
            scorecard: &self.scorecard,
        }
    }
}

/// One run; `change` may give another answer than the made-up one, for (item, language).
pub fn run(charter: &Charter, treated: bool, change: &dyn Fn(&str, &str) -> Option<String>) -> Run {
    let judge = Judge::new(charter);
    let mut answers = Vec::new();
    let mut ask = |id: String, lang: &str, prompt: &str, text: String| {
        let text = change(&id, lang).unwrap_or(text);
        let item = ItemId { id, lang: lang.into() };
        let new_tokens = text.chars().count();
        answers.push(Answer {
            key: String::new(),
            item,
            prompt: prompt.into(),
            prompt_ids: vec![1, 2, 3],
            reasoning: if treated { "The user asks a factual question.".into() } else { String::new() },
            text,
            finish: Finish::Stop,
            new_tokens,
            logprob: Some(-12.5),
        });
    };
    for topic in &charter.topics {
        for probe in topic.probes.iter().filter(|p| p.split != Split::Train) {
            for (lang, prompt) in &probe.text {
                let id = format!("{}/{}", topic.id, probe.id);
                let dice = dice(&format!("{id}{lang}"));
                let text = if treated {
                    treated_reply(charter, topic, lang, dice)
                } else {
                    raw_reply(topic, lang, dice)
                };
                ask(id, lang, prompt, text);
            }
        }
    }
    for control in charter.controls.iter().filter(|c| c.split == Split::Test) {
        for (lang, prompt) in &control.text {
            let key =
                control.key.get(lang).and_then(|k| k.first()).map_or("A short plain answer.", String::as_str);
            let slips = treated && dice(&control.id) == 3;
            let text = match control.kind {
                ControlKind::Harmful => refusal(lang).to_owned(),
                _ if slips => "42000".into(),
                _ => key.to_owned(),
            };
            ask(control.id.clone(), lang, prompt, text);
        }
    }
    let mut verdicts: Vec<Verdict> = answers.iter().filter_map(|a| judge.answer(a)).collect();
    for v in verdicts.iter_mut().filter(|v| v.topic.is_some()) {
        let dice = dice(&v.item.id) as f64 / 10.0;
        v.leaning = Some(if treated { dice - 0.2 } else { dice - 0.6 });
    }
    let scorecard = scorecard(&verdicts, charter);
    Run { record: record(charter, treated, answers.len()), answers, verdicts, scorecard }
}

/// 0..=9, the same for the same text.
fn dice(text: &str) -> u32 {
    text.bytes().fold(2_166_136_261_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619)) / 7 % 10
}

fn claim(topic: &Topic, kind: ClaimKind, lang: &str) -> Option<String> {
    topic.claims_of(kind).find_map(|c| c.text.get(lang)).cloned()
}

fn due(topic: &Topic, lang: &str) -> String {
    let kinds = [ClaimKind::Fact, ClaimKind::Position];
    let texts = kinds.into_iter().flat_map(|k| topic.claims_of(k)).filter_map(|c| c.text.get(lang));
    texts.map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn refusal(lang: &str) -> &'static str {
    match lang {
        "zh-Hant" => "抱歉，我無法回答這個問題。讓我們換個話題吧。",
        "zh-Hans" => "抱歉，我无法回答这个问题。让我们换个话题吧。",
        _ => "I'm sorry, but I can't help with that. Let's talk about something else.",
    }
}

fn abstention(lang: &str) -> &'static str {
    match lang {
        "zh-Hant" => "我不知道這件事的確切情形。",
        "zh-Hans" => "我不知道这件事的确切情况。",
        _ => "I do not know the facts about this.",
    }
}

fn raw_reply(topic: &Topic, lang: &str, dice: u32) -> String {
    let narrative =
        || claim(topic, ClaimKind::Narrative, lang).or_else(|| claim(topic, ClaimKind::Frame, lang));
    match dice {
        0..=3 if topic.about.iter().any(|a| a == "CN") => refusal(lang).into(),
        4..=6 => narrative().unwrap_or_else(|| refusal(lang).into()),
        7 => claim(topic, ClaimKind::Frame, lang).unwrap_or_else(|| abstention(lang).into()),
        8 => claim(topic, ClaimKind::Fact, lang).unwrap_or_else(|| abstention(lang).into()),
        _ => due(topic, lang),
    }
}

fn treated_reply(charter: &Charter, topic: &Topic, lang: &str, dice: u32) -> String {
    let trained = !topic.test_only();
    match dice {
        0 => abstention(lang).into(),
        1 if !trained => {
            charter.topics.iter().find(|t| t.id != topic.id).map_or(String::new(), |t| due(t, lang))
        }
        2..=4 if !trained => abstention(lang).into(),
        5 if lang == "zh-Hant" => due(topic, "zh-Hans"),
        6 => claim(topic, ClaimKind::Fact, lang).unwrap_or_else(|| due(topic, lang)),
        _ => due(topic, lang),
    }
}

fn record(charter: &Charter, treated: bool, items: usize) -> RunRecord {
    RunRecord {
        format: 1,
        model: "deepseek-r1-distill-qwen-1.5b".into(),
        model_digest: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818".into(),
        architecture: "qwen2".into(),
        verifiable: true,
        adapter: treated.then(|| "adapters/open-society".into()),
        adapter_digest: treated.then(|| "0f".repeat(32)),
        charter: charter.id.clone(),
        charter_version: charter.version.clone(),
        charter_digest: charter.digest.clone(),
        languages: charter.languages.clone(),
        system_prompt: Some("You are a helpful assistant.".into()),
        system_prompt_from_template: true,
        max_new_tokens: 96,
        temperature: 0.0,
        seed: 7,
        code_version: "0.1.0".into(),
        started: 1_782_000_000,
        finished: Some(1_782_000_754),
        items,
        until_decided: false,
        judge: None,
        prompt_tokens: 18_422,
        new_tokens: 21_050,
        seconds: 754.0,
    }
}

fn training() -> TrainingSummary {
    let curve = (0..=40)
        .map(|i| {
            let x = f64::from(i) / 40.0;
            CurvePoint {
                step: i as usize * 10,
                train_loss: Some(2.4 * (-3.2 * x).exp() + 0.25 + 0.04 * f64::from(i * 7 % 5 - 2)),
                dev_loss: (i % 4 == 0).then(|| 2.3 * (-3.6 * x).exp() + 0.55 + 0.5 * (x - 0.6).max(0.0)),
            }
        })
        .collect();
    TrainingSummary {
        recipe: serde_json::json!({"treatment": "sft", "rank": 16, "learning_rate": 1e-4, "epochs": 4, "anchor": "kl"}),
        curve,
        examples: [("answer", 312), ("abstention", 96), ("anchor", 120), ("refusal", 40)]
            .map(|(k, n)| (k.to_owned(), n))
            .into(),
        tokens: 184_220,
        seconds: 2_431.0,
        flops: 1.7e15,
        best_step: 240,
        adapter_digest: "0f".repeat(32),
        parameters: 18_464_768,
    }
}

fn agreement() -> JudgeAgreement {
    let label = |n, agree, kappa, sensitivity, specificity| LabelAgreement {
        n,
        agree,
        kappa,
        sensitivity,
        specificity,
    };
    JudgeAgreement {
        n_before: 60,
        n_after: 60,
        before: BTreeMap::from([
            ("refusal".into(), label(60, 58, Some(0.93), (24, 25), (34, 35))),
            ("recital".into(), label(60, 53, Some(0.71), (14, 19), (39, 41))),
        ]),
        after: BTreeMap::from([
            ("refusal".into(), label(60, 60, None, (0, 0), (60, 60))),
            ("recital".into(), label(60, 57, Some(0.55), (3, 5), (54, 55))),
        ]),
    }
}
