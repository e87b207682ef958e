//! The report holds its promises: hostile text is inert, the HTML is well-formed, nothing is loaded.

#[path = "../examples/demo/data.rs"]
mod data;

use data::{Demo, run};
use freehold_charter::{Charter, starter};
use freehold_judge::run::Ground;
use freehold_proof::report::html;

const HOSTILE: &str =
    "</script></div><img src=x onerror=alert(1)><!-- ' \" & \u{202E} https://evil.example/ 開槍";

fn charter() -> Charter {
    let files = starter::FILES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    Charter::from_files("starter", files).expect("the starter has no errors")
}

fn hostile() -> Demo {
    let mut charter = charter();
    charter.title.insert("en".into(), HOSTILE.into());
    charter.topics[0].title.insert("en".into(), HOSTILE.into());
    let before = run(&charter, false, &|_, _| Some(HOSTILE.into()));
    let mut after = run(&charter, true, &|_, _| Some(HOSTILE.into()));
    after.record.model = HOSTILE.into();
    after.record.system_prompt = Some(HOSTILE.into());
    for a in &mut after.answers {
        a.reasoning = HOSTILE.into();
        a.prompt = HOSTILE.into();
    }
    for v in &mut after.verdicts {
        // Offsets within characters and beyond the end, as a damaged file may have them.
        v.grounds = (0..HOSTILE.len() + 5)
            .map(|i| Ground { label: HOSTILE.into(), claim: Some(HOSTILE.into()), start: i, end: i + 2 })
            .collect();
    }
    Demo::of(charter, before, after)
}

/// Start tags of a page, each with its attributes; panics where one is not closed, or another one is.
fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 4] = ["meta", "input", "br", "!doctype"];
    let mut open: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut quoted = false;
        let end = rest
            .find(|c: char| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .expect("a tag without an end");
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name = tag.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {:.80}", rest);
            continue;
        }
        assert!(name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!'), "<{tag}>");
        seen.push(tag.to_owned());
        if VOID.contains(&name) {
            continue;
        }
        open.push(name.to_owned());
        if matches!(name, "script" | "style") {
            rest = &rest[rest.find(&format!("</{name}>")).expect("script and style end")..];
        }
    }
    assert_eq!(open, Vec::<String>::new());
    seen
}

#[test]
fn hostile_text_is_inert() {
    let demo = hostile();
    let page = html(&demo.input());
    let tags = tags(&page);
    assert!(page.contains("&lt;/script&gt;&lt;/div&gt;&lt;img"));
    assert!(!page.contains('\u{202E}'));
    let count = |name: &str| tags.iter().filter(|t| t.split(' ').next() == Some(name)).count();
    assert_eq!((count("script"), count("style"), count("img"), count("iframe")), (1, 1, 0, 0));
    for tag in &tags {
        // Quoted values may say anything; names of attributes may not.
        let names: String = tag.split('"').step_by(2).collect();
        assert!(!names.contains(" on"), "{tag}");
    }
}

#[test]
fn well_formed_and_loads_nothing() {
    for charter in [charter(), Charter { gates: vec![], ..charter() }] {
        let demo = Demo::new(charter);
        let mut input = demo.input();
        for bare in [false, true] {
            if bare {
                (input.training, input.judge, input.kl, input.model_parameters) = (None, None, None, None);
            }
            let page = html(&input);
            for tag in tags(&page) {
                assert!(
                    !tag.contains("src=") && !tag.contains("http://") && !tag.contains("https://"),
                    "{tag}"
                );
                assert!(!tag.contains("href=") || tag.contains("href=\"#"), "{tag}");
            }
            assert!(!page.contains("url(") && !page.contains("@import") && !page.contains("fetch("));
            assert_eq!(page.contains("Not measured for this model"), bare);
            assert!(page.contains("default-src 'none'"));
        }
    }
}

#[test]
fn without_any_pair_it_says_so() {
    let charter = charter();
    let mut after = run(&charter, true, &|_, _| None);
    after.answers.clear();
    after.verdicts.clear();
    let before = run(&charter, false, &|_, _| None);
    let demo = Demo::of(charter, before, after);
    let page = html(&demo.input());
    tags(&page);
    assert!(page.contains("The two runs share no"));
}
