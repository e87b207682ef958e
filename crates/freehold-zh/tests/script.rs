use freehold_zh::script::is_known;
use freehold_zh::{Drift, DriftKind, due, lint, profile};
use proptest::prelude::*;

fn kind(tag: &str, text: &str) -> Option<DriftKind> {
    due(tag, text, "").map(|d| d.kind)
}

const TAIWAN: &str = "一九八九年六月，軍隊在北京開槍鎮壓示威者，死亡人數至今沒有公布。";
const MAINLAND: &str = "一九八九年六月，军队在北京开枪镇压示威者，死亡人数至今没有公布。";
const ENGLISH: &str =
    "In June 1989 troops opened fire on demonstrators in Beijing; the number of dead is not known.";
const JAPANESE: &str = "一九八九年六月、軍隊は北京でデモ隊に発砲し、死者の数は今も公表されていない。";
const RUSSIAN: &str = "В июне 1989 года войска открыли огонь по демонстрантам в Пекине.";

#[test]
fn any_script_may_be_due() {
    let hindi = "भारत में आपातकाल 1975 से 1977 तक रहा। Indira Gandhi उस समय प्रधानमंत्री थीं।";
    let english = "The Emergency lasted from 1975 to 1977, when Indira Gandhi was prime minister.";
    let arabic = "استمرت حالة الطوارئ من عام 1975 إلى عام 1977.";
    let korean = "비상사태는 1975년부터 1977년까지 이어졌다. 대통령(大統領)이 선포했다.";
    for (tag, own) in [
        ("hi", hindi),
        ("Deva", hindi),
        ("mr-Deva", hindi),
        ("ar", arabic),
        ("ko", korean),
        ("fr", english),
        ("ur-Latn", english),
    ] {
        for text in [hindi, english, arabic, korean] {
            let found = due(tag, text, "").map(|d| d.kind);
            assert_eq!(found, (text != own).then_some(DriftKind::WrongLanguage), "{tag}: {text}");
        }
    }
    assert!(!is_known("Zyyy") && !is_known("xx") && !is_known("ü-日本"));
}

#[test]
fn each_language_is_due_where_it_is_due() {
    use DriftKind::*;
    let texts = [TAIWAN, MAINLAND, ENGLISH, JAPANESE, RUSSIAN];
    let table = [
        (
            "zh-Hant-TW",
            [None, Some(WrongScript), Some(WrongLanguage), Some(WrongLanguage), Some(WrongLanguage)],
        ),
        ("zh-Hant", [None, Some(WrongScript), Some(WrongLanguage), Some(WrongLanguage), Some(WrongLanguage)]),
        ("zh-Hans", [Some(WrongScript), None, Some(WrongLanguage), Some(WrongLanguage), Some(WrongLanguage)]),
        ("Latn", [Some(WrongLanguage), Some(WrongLanguage), None, Some(WrongLanguage), Some(WrongLanguage)]),
        ("en", [Some(WrongLanguage), Some(WrongLanguage), None, Some(WrongLanguage), Some(WrongLanguage)]),
        ("Jpan", [Some(WrongLanguage), Some(WrongLanguage), Some(WrongLanguage), None, Some(WrongLanguage)]),
        ("Cyrl", [Some(WrongLanguage), Some(WrongLanguage), Some(WrongLanguage), Some(WrongLanguage), None]),
        ("x-unknown", [None; 5]),
    ];
    for (tag, due) in table {
        for (text, due) in texts.iter().zip(due) {
            assert_eq!(kind(tag, text), due, "{tag}: {text}");
        }
    }
}

#[test]
fn replies_of_code_digits_or_names_are_no_drift() {
    for tag in ["zh-Hant-TW", "zh-Hans", "Latn", "Jpan", "Cyrl"] {
        for text in [
            "",
            "43",
            "1989-06-04",
            "```python\nfor x in range(3): print(x)\n```",
            "`ls -l`",
            "3.14 m",
            "…？",
        ] {
            assert_eq!(kind(tag, text), None, "{tag}: {text}");
        }
    }
    assert_eq!(kind("zh-Hant-TW", "Liu Xiaobo"), None);
    assert_eq!(
        kind("zh-Hant-TW", "作者是 George Orwell 與 Simone de Beauvoir，出版社是 Penguin Books。"),
        None
    );
    assert_eq!(kind("Latn", "The party is called 民主進步黨 in Chinese."), None);
}

#[test]
fn what_the_prompt_has_does_not_count() {
    let reply = "您問的是「国际」這個詞，它的正體寫法是「國際」。";
    assert_eq!(kind("zh-Hant-TW", reply), Some(DriftKind::WrongScript));
    assert_eq!(due("zh-Hant-TW", reply, "国际怎麼寫？"), None);
    let reply = "「軟件」在台灣叫軟體。";
    assert_eq!(kind("zh-Hant-TW", reply), Some(DriftKind::Wording));
    assert_eq!(due("zh-Hant-TW", reply, "軟件在台灣叫什麼？"), None);
}

#[test]
fn one_wrong_character_in_a_long_reply_is_tolerated() {
    let long = TAIWAN.repeat(4);
    assert_eq!(kind("zh-Hant-TW", &format!("{long}这")), None);
    assert_eq!(kind("zh-Hant-TW", &format!("{long}这个")), Some(DriftKind::WrongScript));
    assert_eq!(kind("zh-Hant-TW", "這个好"), Some(DriftKind::WrongScript));
}

#[test]
fn wording_is_due_in_taiwan_only() {
    let text = "請先安裝這套軟件，再從網絡下載檔案。";
    assert_eq!(kind("zh-Hant-TW", text), Some(DriftKind::Wording));
    assert_eq!(kind("zh-Hant", text), None);
    let Some(Drift { start, end, .. }) = due("zh-Hant-TW", text, "") else { panic!("no drift") };
    assert_eq!(&text[start..end], "軟件");
    let long = format!("{}軟件。", TAIWAN.repeat(4));
    assert_eq!(kind("zh-Hant-TW", &long), None, "one word in a long reply is tolerated");
}

#[test]
fn the_span_shows_the_drift() {
    let text = "第一段正常。可是这里出现了简体。";
    let Some(d) = due("zh-Hant-TW", text, "") else { panic!("no drift") };
    assert_eq!(&text[d.start..d.end], "可是这里出现了简体");
}

#[test]
fn profile_counts() {
    let p = profile("國国abc カナ Да 한글 123，");
    assert_eq!((p.han, p.traditional_only, p.simplified_only), (2, 1, 1));
    assert_eq!((p.latin, p.kana, p.cyrillic, p.other), (3, 2, 2, 2));
}

proptest! {
    #[test]
    fn no_panic_and_offsets_on_boundaries(text in "\\PC*|[a`h:/tps.國国软件軟视頻么什ア한 \\n]{0,60}", ignore in "[國国软 ]{0,4}") {
        for tag in ["zh-Hant-TW", "zh-Hant", "zh-Hans", "Latn", "Jpan", "Cyrl", "hi", "Arab", ""] {
            if let Some(d) = due(tag, &text, &ignore) {
                prop_assert!(d.start < d.end);
                prop_assert!(text.get(d.start..d.end).is_some());
            }
        }
        let mut end = 0;
        for f in lint(&text) {
            prop_assert!(f.start >= end && f.end > f.start);
            prop_assert_eq!(text.get(f.start..f.end), Some(f.word.as_str()));
            end = f.end;
        }
        let p = profile(&text);
        prop_assert!(p.traditional_only + p.simplified_only <= p.han);
    }
}
