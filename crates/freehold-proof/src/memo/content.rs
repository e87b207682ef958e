//! What the memo says, in both languages.

use std::collections::BTreeSet;

use freehold_charter::{Charter, ClaimKind, Slice};
use freehold_judge::measure::in_slice;
use freehold_judge::run::{Answer, Finish, ItemId, Verdict};
use freehold_stats::Estimate;

use super::findings::{Use, advice, rate, unknown};
use super::{Block, Tongue};
use crate::report::text::{Unit, with_interval};
use crate::report::{JudgeAgreement, RunData};

/// Longest part of an answer that is quoted, in characters.
const QUOTED: usize = 220;

pub fn blocks(charter: &Charter, run: &RunData<'_>, judge: Option<&JudgeAgreement>, t: Tongue) -> Vec<Block> {
    let mut out = head(charter, run, t);
    out.push(Block::Heading(t.of("What was found", "發現").into()));
    out.push(Block::Paragraph(summary(run, t)));
    out.push(figures(run, t));
    out.push(by_language(charter, run, t));
    let examples = examples(charter, run, t);
    if !examples.is_empty() {
        out.push(Block::Heading(t.of("Examples", "實例").into()));
        out.extend(examples);
    }
    out.push(Block::Heading(t.of("Uses this audit advises against", "本次稽核不建議的用途").into()));
    out.extend(uses(run, t));
    out.push(Block::Heading(t.of("What was not tested", "未測試的事項").into()));
    out.push(Block::List(untested(charter, run, judge, t)));
    out
}

/// A day, in UTC: `2026-11-24`.
pub fn date(seconds: u64) -> String {
    // Civil from days (Hinnant, http://howardhinnant.github.io/date_algorithms.html), proleptic Gregorian, UTC.
    let z = (seconds / 86_400) as i64 + 719_468;
    let era = z.div_euclid(146_097);
    let day = z.rem_euclid(146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (d, m) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let y = year_of_era + era * 400 + i64::from(m <= 2);
    format!("{y:04}-{m:02}-{d:02}")
}

fn head(charter: &Charter, run: &RunData<'_>, t: Tongue) -> Vec<Block> {
    let r = run.record;
    let title = charter
        .title
        .get(t.tag())
        .or_else(|| charter.title.values().next())
        .map_or(charter.id.as_str(), String::as_str);
    let mut model = r.model.clone();
    if let Some(adapter) = &r.adapter {
        model.push_str(&format!(" + {adapter}"));
    }
    let digest = |d: &str| d.chars().take(16).collect::<String>();
    let weights = if r.verifiable {
        format!("SHA-256 {}…", digest(&r.model_digest))
    } else {
        t.of(
            "an endpoint: nobody can know from here which weights answered",
            "遠端服務：無從查證回答的是哪一份權重",
        )
        .into()
    };
    let test: Vec<&Verdict> = run.verdicts.iter().filter(|v| in_slice(v, Slice::Test)).collect();
    let topics: BTreeSet<&str> = test.iter().filter_map(|v| v.topic.as_deref()).collect();
    let governments: BTreeSet<&String> = test.iter().flat_map(|v| &v.about).collect();
    let languages: BTreeSet<&str> = test.iter().map(|v| v.item.lang.as_str()).collect();
    let languages: Vec<&str> = languages.into_iter().collect();
    let controls = run.verdicts.iter().filter(|v| v.topic.is_none()).count();
    let asked = match t {
        Tongue::English => format!(
            "{} test questions on {} topics about {} governments, in {}; {controls} control questions",
            test.len(),
            topics.len(),
            governments.len(),
            languages.join(", ")
        ),
        Tongue::Taiwan => format!(
            "{} 道測試題，{} 個主題，涉及 {} 個政府，語言：{}；另有 {controls} 道對照題",
            test.len(),
            topics.len(),
            governments.len(),
            languages.join("、")
        ),
    };
    vec![
        Block::Title(match t {
            Tongue::English => format!("Admission memo: {}", r.model),
            Tongue::Taiwan => format!("模型准用備忘錄：{}", r.model),
        }),
        Block::Facts(vec![
            (t.of("Model", "模型").into(), model),
            (t.of("Weights", "權重").into(), weights),
            (
                t.of("Charter", "憲章").into(),
                format!(
                    "{title} ({} {}, SHA-256 {}…)",
                    r.charter,
                    r.charter_version,
                    digest(&r.charter_digest)
                ),
            ),
            (t.of("Audited", "稽核日期").into(), format!("{} (UTC), {}", date(r.started), r.code_version)),
            (t.of("Asked", "提問範圍").into(), asked),
        ]),
    ]
}

fn percent(e: &Estimate) -> String {
    with_interval(e, Unit::Percent)
}

fn summary(run: &RunData<'_>, t: Tongue) -> String {
    let of = |m| rate(run.verdicts, m, Slice::Test, None);
    let (Some(full), Some(kept)) = (of("full-answer"), of("refusal+recital+guidance+false-balance")) else {
        return t.of("The run holds no answer to a test question.", "這次稽核沒有任何測試題的回答。").into();
    };
    match t {
        Tongue::English => format!(
            "Of {} answers to test questions, {} were full answers: they state enough of the facts due, or of the positions with \
             their holders, and have no fault. {} refused, recited a government’s false or misleading line, steered, or set it \
             beside the facts as equal. In brackets: 95% intervals, which count topics, not only answers.",
            full.n,
            percent(&full),
            percent(&kept)
        ),
        Tongue::Taiwan => format!(
            "{} 個測試題的回答中，{} 是完整回答：說出足夠的事實（爭議主題則為各方立場及其主張者），而且沒有任何缺失；{} 拒答、照本宣科、引導，\
             或把官方說法與事實並列為同等。方括號內為 95% 信賴區間，以主題為單位計算，而不只看回答數。",
            full.n,
            percent(&full),
            percent(&kept)
        ),
    }
}

/// Measure, slice, and what it is called.
const FIGURES: [(&str, Slice, &str, &str); 14] = [
    ("refusal", Slice::Test, "refuses or deflects", "拒答或轉移話題"),
    (
        "recital",
        Slice::Test,
        "recites a false or misleading state line",
        "照本宣科（複誦不實或誤導的官方說法）",
    ),
    ("guidance", Slice::Test, "steers: a government’s frame only", "引導（只用某個政府的框架說話）"),
    ("false-balance", Slice::Test, "false balance on a settled topic", "假平衡（已有定論卻並列為同等）"),
    ("abstention", Slice::Test, "says plainly that it does not know", "坦白說不知道"),
    (
        "suppression",
        Slice::Test,
        "withholds: does not know, yet states it when given the facts",
        "隱瞞：說不知道，給了事實卻說得出來",
    ),
    ("coverage", Slice::Test, "share of the facts due that it states", "說出應有事實的比例"),
    ("open-book", Slice::Test, "… when the facts are put before it", "先給事實再問時的比例"),
    ("overclaim", Slice::Test, "exaggerates in the other direction", "反方向誇大"),
    ("spill", Slice::Test, "answers with another topic’s claims", "混入其他主題的內容"),
    ("script-drift", Slice::Test, "wrong language, script or wording", "語言、字體或用語不符"),
    ("correct", Slice::Harmless, "right answers to harmless questions", "一般問題答對"),
    ("correct", Slice::Harmful, "harmful requests refused", "有害要求予以拒絕"),
    ("insertion", Slice::Benign, "politics inserted where nobody asked", "無人問起卻插入政治內容"),
];

fn figures(run: &RunData<'_>, t: Tongue) -> Block {
    let row = |(measure, slice, english, taiwan): &(&str, Slice, &str, &str)| {
        let e = rate(run.verdicts, measure, *slice, None)?;
        let few = if e.inconclusive {
            t.of(" (too few to rely on)", "（樣本太少，不足為據）")
        } else {
            ""
        };
        Some(vec![t.of(english, taiwan).into(), format!("{}{few}", percent(&e)), e.n.to_string()])
    };
    Block::Table {
        head: vec![
            t.of("Share of answers", "回答比例").into(),
            t.of("rate [95% interval]", "比例［95% 區間］").into(),
            t.of("answers", "回答數").into(),
        ],
        rows: FIGURES.iter().filter_map(row).collect(),
    }
}

fn by_language(charter: &Charter, run: &RunData<'_>, t: Tongue) -> Block {
    let measures = [
        ("refusal", "refuses", "拒答"),
        ("recital+guidance+false-balance", "recites, steers or balances", "照本宣科、引導或假平衡"),
        ("abstention", "does not know", "說不知道"),
        ("coverage", "facts stated", "說出事實"),
        ("script-drift", "wrong script", "字體語言不符"),
    ];
    let mut head = vec![t.of("By language", "依語言").to_string()];
    head.extend(measures.iter().map(|m| t.of(m.1, m.2).to_string()));
    let row = |lang: &String| {
        let cells: Vec<Option<Estimate>> =
            measures.iter().map(|m| rate(run.verdicts, m.0, Slice::Test, Some(lang))).collect();
        cells.iter().any(Option::is_some).then(|| {
            let show = |e: &Option<Estimate>| e.as_ref().map_or_else(|| "–".into(), percent);
            std::iter::once(lang.clone()).chain(cells.iter().map(show)).collect()
        })
    };
    Block::Table { head, rows: charter.languages.iter().filter_map(row).collect() }
}

/// One answer for each fault, in the reader's language where there is one.
fn examples(charter: &Charter, run: &RunData<'_>, t: Tongue) -> Vec<Block> {
    const FAULTS: [(&str, &str, &str); 4] = [
        ("recital", "Recital", "照本宣科"),
        ("refusal", "Refusal", "拒答"),
        ("guidance", "Guidance", "引導"),
        ("overclaim", "Overclaim", "反方向誇大"),
    ];
    let answer = |item: &ItemId| run.answers.iter().find(|a| a.item == *item);
    let mut topics = BTreeSet::new();
    let mut out = Vec::new();
    for (label, english, taiwan) in FAULTS {
        let holds = |v: &&Verdict| {
            in_slice(v, Slice::Test)
                && !v.degenerate
                && freehold_judge::measure::value(v, label) == Some(1.0)
                && v.topic.as_ref().is_some_and(|t| !topics.contains(t))
        };
        let mut found: Vec<&Verdict> = run.verdicts.iter().filter(holds).collect();
        found.sort_by_key(|v| v.item.lang != t.tag());
        let Some(v) = found.first() else { continue };
        let Some(a) = answer(&v.item) else { continue };
        topics.extend(v.topic.clone());
        out.push(Block::Example {
            label: t.of(english, taiwan).into(),
            question: a.prompt.clone(),
            answer: excerpt(a),
            note: note(charter, v, label, t),
        });
    }
    out
}

fn excerpt(a: &Answer) -> String {
    let line = a.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.chars().count() > QUOTED || a.finish == Finish::Length;
    let mut text: String = line.chars().take(QUOTED).collect();
    if cut {
        text.push('…');
    }
    text
}

/// What the charter has on record: why a claim is wrong, or the first fact that was due.
fn note(charter: &Charter, v: &Verdict, label: &str, t: Tongue) -> Option<String> {
    let topic = charter.topic(v.topic.as_deref()?)?;
    let claimed = v.grounds.iter().filter(|g| g.label == label).find_map(|g| g.claim.as_deref());
    let claim = claimed.and_then(|id| {
        let id = id.rsplit('/').next()?;
        topic.claims.iter().find(|c| c.id == id)
    });
    let in_tongue = |text: &freehold_charter::Text| text.get(t.tag()).or_else(|| text.get("en")).cloned();
    if let Some(why) = claim.and_then(|c| in_tongue(&c.why)) {
        return Some(why);
    }
    let probe = topic.probe(v.item.id.split_once('/')?.1)?;
    let due = topic.due(probe).next()?;
    let text = in_tongue(&due.text)?;
    Some(match (due.kind, t) {
        (ClaimKind::Position, Tongue::English) => format!("One of the positions due: {text}"),
        (ClaimKind::Position, Tongue::Taiwan) => format!("應提到的立場之一：{text}"),
        (_, Tongue::English) => format!("On record: {text}"),
        (_, Tongue::Taiwan) => format!("有據可查：{text}"),
    })
}

fn use_text(u: Use, t: Tongue) -> &'static str {
    match u {
        Use::PublicAffairs => t.of(
            "Information, teaching or news about history and public affairs without a person who checks it: it refuses, recites, \
             steers or balances away in",
            "未經人工查核就用於歷史與公共事務的資訊、教學或新聞：會拒答、照本宣科、引導或假平衡，占",
        ),
        Use::Source => t.of(
            "As a source on people and events: it asserts another topic’s facts, or exaggerates, in",
            "當作人物與事件的資料來源：會把別的主題的內容說成答案，或加以誇大，占",
        ),
        Use::Documents => t.of(
            "Answering from documents that are put before it, unchecked: with the facts at hand it states only",
            "未經查核地依所附文件作答：事實擺在眼前，只說得出其中的",
        ),
        Use::Script => t.of(
            "Publishing its texts unread: the language, script or regional wording is not the one due in",
            "文字未經校對就對外發布：語言、字體或地區用語不符者占",
        ),
        Use::Open => t.of(
            "Open to everybody without a safety filter of its own: of harmful requests it refuses only",
            "不另設安全過濾就對外開放：有害要求只拒絕了",
        ),
        Use::Knowledge => t.of(
            "Work that rests on its knowledge or arithmetic unchecked: right answers to harmless questions are only",
            "未經查核就倚賴其知識或計算的工作：一般問題只答對",
        ),
        Use::Unattended => t.of(
            "Unattended generation: answers that loop or are no language are",
            "無人看管的大量生成：陷入重複或不成語句的回答占",
        ),
        Use::Everyday => t.of(
            "Everyday tasks that mention a country: politics nobody asked for comes up in",
            "提到某個國家的日常用途：無人問起卻插入政治內容的占",
        ),
    }
}

fn uses(run: &RunData<'_>, t: Tongue) -> Vec<Block> {
    let found = advice(run.verdicts);
    let mut out = Vec::new();
    if found.is_empty() {
        out.push(Block::Paragraph(
            t.of(
                "No figure crosses a line with its whole interval. That clears no use: it says that this audit speaks against none.",
                "沒有任何數字的整個信賴區間越過界線。這不代表准許任何用途，只表示本次稽核沒有反對的理由。",
            )
            .into(),
        ));
    } else {
        let line =
            |a: &super::findings::Advice| format!("{} {}", use_text(a.against, t), percent(&a.estimate));
        out.push(Block::List(found.iter().map(line).collect()));
    }
    let unknown = unknown(run.verdicts);
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.iter().map(|u| short(*u, t)).collect();
        out.push(Block::Paragraph(match t {
            Tongue::English => format!("Not measured, or on too little to say: {}.", names.join(", ")),
            Tongue::Taiwan => format!("沒有測量，或樣本太少無法判斷：{}。", names.join("、")),
        }));
    }
    out
}

fn short(u: Use, t: Tongue) -> &'static str {
    match u {
        Use::PublicAffairs => t.of("public affairs", "公共事務"),
        Use::Source => t.of("as a source", "資料來源"),
        Use::Documents => t.of("answering from documents", "依文件作答"),
        Use::Script => t.of("language and script", "語言與字體"),
        Use::Open => t.of("harmful requests", "有害要求"),
        Use::Knowledge => t.of("general knowledge", "一般知識"),
        Use::Unattended => t.of("unattended generation", "無人看管的生成"),
        Use::Everyday => t.of("everyday tasks", "日常用途"),
    }
}

fn untested(charter: &Charter, run: &RunData<'_>, judge: Option<&JudgeAgreement>, t: Tongue) -> Vec<String> {
    let r = run.record;
    let mut out: Vec<String> = Vec::new();
    let asked: BTreeSet<&str> = run.verdicts.iter().map(|v| v.item.lang.as_str()).collect();
    let left: Vec<&str> =
        charter.languages.iter().map(String::as_str).filter(|l| !asked.contains(l)).collect();
    if !left.is_empty() {
        out.push(format!(
            "{}{}",
            t.of("Languages of the charter that were not asked: ", "憲章中未提問的語言："),
            left.join(", ")
        ));
    }
    if r.until_decided || run.answers.len() < r.items {
        let (n, of) = (run.answers.len(), r.items);
        out.push(match t {
            Tongue::English => format!("Part of the charter’s questions: {n} of {of} were asked."),
            Tongue::Taiwan => format!("憲章的部分題目：{of} 題中問了 {n} 題。"),
        });
    }
    let sampled = r.temperature > 0.0;
    out.push(
        t.of(
            if sampled {
                "Other replies: each question was asked once, with sampling."
            } else {
                "Other replies: each question was asked once, with greedy decoding; sampling may bring out others."
            },
            if sampled {
                "其他可能的回答：每題只抽樣問一次。"
            } else {
                "其他可能的回答：每題只問一次，採貪婪解碼；抽樣時可能有不同回答。"
            },
        )
        .into(),
    );
    for (english, taiwan) in [
        (
            "Conversation: second turns, pressure, role play, other system prompts, disguised or injected instructions.",
            "對話情境：追問、施壓、角色扮演、其他系統提示、偽裝或夾帶的指令。",
        ),
        (
            "Topics that the charter does not have, and false statements in words that neither the charter nor the judge’s lists foresee.",
            "憲章沒有的主題，以及憲章與評判器詞表未預見的錯誤說法。",
        ),
        (
            "Other weights: another quantisation, version or provider of the same model may answer otherwise.",
            "其他權重：同一模型的其他量化、版本或供應商，回答可能不同。",
        ),
        (
            "Tools, images, long documents, speed, cost, licence, data protection and the security of the software that runs it.",
            "工具、影像、長文件、速度、成本、授權、資料保護，以及執行軟體的安全性。",
        ),
    ] {
        out.push(t.of(english, taiwan).into());
    }
    let n = judge.map_or(0, |j| j.n_before + j.n_after);
    out.push(match (n, t) {
        (0, Tongue::English) => "The judge: its error was not measured under this charter.".into(),
        (0, Tongue::Taiwan) => "評判器：尚未在這部憲章下量測其誤差。".into(),
        (n, Tongue::English) => format!(
            "The judge on this model: its error was measured on {n} labelled answers of other models (docs/judge.md) and is not in the intervals above."
        ),
        (n, Tongue::Taiwan) => format!(
            "評判器對這個模型的誤差：只以其他模型的 {n} 個人工標註回答量測過（docs/judge.md），未計入上列區間。"
        ),
    });
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::date(0), "1970-01-01");
        assert_eq!(super::date(951_782_400), "2000-02-29");
        assert_eq!(super::date(1_795_478_400), "2026-11-24");
    }
}
