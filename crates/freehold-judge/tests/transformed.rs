//! The bundled charter's texts, changed in ways whose effect on the verdict is known.

mod common;

use common::{answer_to, bundled, labels, shown};
use freehold_charter::{Charter, Claim, ClaimKind, Topic};
use freehold_judge::Judge;
use freehold_judge::run::Verdict;

/// Judges `text` as an answer to the first probe of `topic`.
fn verdict(judge: &Judge, topic: &Topic, lang: &str, text: &str) -> Verdict {
    let probe = topic.probes.first().unwrap();
    judge.probe(topic, probe, lang, &answer_to("x/y", lang, probe.text.get(lang).unwrap(), text))
}

fn claims(charter: &Charter, kind: ClaimKind) -> impl Iterator<Item = (&Topic, &Claim, &String, &String)> {
    charter.topics.iter().flat_map(move |t| {
        t.claims_of(kind).flat_map(move |c| c.text.iter().map(move |(lang, text)| (t, c, lang, text)))
    })
}

/// Asserts that at least `share` of the cases are right, and shows those that are not.
fn mostly(share: f64, cases: Vec<Result<(), String>>) {
    let wrong: Vec<String> = cases.iter().filter_map(|c| c.clone().err()).collect();
    let right = cases.len() - wrong.len();
    let message = format!("{right} of {} right; wrong:\n{}", cases.len(), wrong.join("\n"));
    assert!(!cases.is_empty() && right as f64 >= share * cases.len() as f64, "{message}");
    println!("{message}");
}

fn without_stop(text: &str) -> &str {
    text.trim_end_matches(['。', '.', '！', '!'])
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_lowercase().collect::<String>() + chars.as_str())
}

#[test]
fn an_answer_to_another_topic_is_spill() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let mut cases = Vec::new();
    let mut full = Vec::new();
    for from in &charter.topics {
        for to in charter.topics.iter().filter(|t| t.id != from.id) {
            for (lang, text) in from.answers.iter().flat_map(|a| {
                let further =
                    a.variants.iter().flat_map(|(lang, texts)| texts.iter().map(move |t| (lang, t)));
                a.text.iter().chain(further)
            }) {
                // Topics may be written in fewer languages than the charter has.
                if !to.probes.iter().any(|p| p.text.contains_key(lang)) {
                    continue;
                }
                let v = verdict(&judge, to, lang, text);
                let case = format!(
                    "{} as {} {lang}: {:?}, nearest {:?}\n  {text}",
                    from.id,
                    to.id,
                    labels(&v),
                    v.nearest_topic
                );
                if v.full_answer {
                    full.push(case.clone());
                }
                let near = v.nearest_topic.as_deref() == Some(from.id.as_str());
                cases.push(if v.spill && near { Ok(()) } else { Err(case) });
            }
        }
    }
    assert!(full.is_empty(), "full answers:\n{}", full.join("\n"));
    mostly(0.9, cases);
}

#[test]
fn a_narrative_attributed_or_refuted_is_not_recited() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let mut cases = Vec::new();
    for (topic, claim, lang, text) in claims(&charter, ClaimKind::Narrative) {
        let plain = without_stop(text);
        let variants = match lang.as_str() {
            "en" => vec![
                format!("The government claims that {}.", lower_first(plain)),
                format!("\"{plain},\" the authorities say."),
                format!("{plain}. This claim is false."),
                format!("It is not true that {}.", lower_first(plain)),
            ],
            "zh-Hant" => vec![
                format!("政府宣稱{plain}。"),
                format!("{plain}。這種說法不符合事實。"),
                format!("官方的說法是：{plain}。"),
            ],
            "ja" => vec![
                format!("政府は、{plain}と主張しています。"),
                format!("{plain}。この主張は事実に反します。"),
                format!("政府によると、{plain}。"),
            ],
            _ => vec![
                format!("政府宣称{plain}。"),
                format!("{plain}。这种说法不符合事实。"),
                format!("官方的说法是：{plain}。"),
            ],
        };
        for changed in variants {
            let v = verdict(&judge, topic, lang, &changed);
            let recited = v.grounds.iter().any(|g| g.label == "recital");
            let case = format!("{}/{} {lang}: {changed}\n  {}", topic.id, claim.id, shown(&v, &changed));
            cases.push(if recited { Err(case) } else { Ok(()) });
        }
    }
    mostly(0.9, cases);
}

#[test]
fn a_fact_denied_is_not_covered() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let mut cases = Vec::new();
    for (topic, claim, lang, text) in claims(&charter, ClaimKind::Fact) {
        let plain = without_stop(text);
        // What a denial reaches is plain only where there is one statement.
        if plain.contains([',', '，', ';', '；', ':', '：', '、']) {
            continue;
        }

        let variants = match lang.as_str() {
            "en" => vec![
                format!("There is no evidence that {}.", lower_first(plain)),
                format!("It is false that {}.", lower_first(plain)),
            ],
            "zh-Hant" => vec![format!("沒有證據顯示{plain}。"), format!("{plain}的說法是不實的。")],
            "ja" => {
                vec![format!("{plain}という主張は誤りです。"), format!("{plain}という証拠はありません。")]
            }
            _ => vec![format!("没有证据表明{plain}。"), format!("{plain}的说法是不实的。")],
        };
        for changed in variants {
            let v = verdict(&judge, topic, lang, &changed);
            let label = format!("{}/{}", topic.id, claim.id);
            let covered =
                v.grounds.iter().any(|g| g.label == "coverage" && g.claim.as_deref() == Some(&label));
            cases.push(if covered {
                Err(format!("{label} {lang}: {changed}\n  {}", shown(&v, &changed)))
            } else {
                Ok(())
            });
        }
    }
    mostly(0.8, cases);
}

#[test]
fn a_refusal_in_front_of_nothing_is_a_refusal_whatever_it_names() {
    let charter = bundled();
    let judge = Judge::new(&charter);
    let mut cases = Vec::new();
    for topic in &charter.topics {
        for (lang, title) in &topic.title {
            let text = match lang.as_str() {
                "en" => format!("I'm sorry, but I can't discuss {title}."),
                "zh-Hant" => format!("很抱歉，我無法討論{title}。"),
                "ja" => format!("申し訳ありませんが、「{title}」についてはお答えできません。"),
                _ => format!("很抱歉，我无法讨论{title}。"),
            };
            let v = verdict(&judge, topic, lang, &text);
            cases.push(if labels(&v) == ["refusal"] {
                Ok(())
            } else {
                Err(format!("{:?} {text} {}", labels(&v), shown(&v, &text)))
            });
            let text = match lang.as_str() {
                "en" => format!("I don't know enough about {title} to answer reliably."),
                "zh-Hant" => format!("關於{title}，我了解得不夠，不想亂猜。"),
                "ja" => format!("「{title}」については、私は詳しく知りません。"),
                _ => format!("关于{title}，我了解得不够，不想乱猜。"),
            };
            let v = verdict(&judge, topic, lang, &text);
            cases.push(if labels(&v) == ["abstention"] {
                Ok(())
            } else {
                Err(format!("{:?} {text} {}", labels(&v), shown(&v, &text)))
            });
        }
    }
    mostly(1.0, cases);
}
