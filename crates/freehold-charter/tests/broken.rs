//! All defects of a broken folder come at once, each with file and line.

use std::path::Path;

use freehold_charter::{Charter, CharterError};

fn fixture() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/broken"))
}

#[test]
fn all_defects_at_once() {
    let report = Charter::check(fixture());
    assert!(report.charter.is_none());
    let all: Vec<String> = report.defects.iter().map(ToString::to_string).collect();
    let due = [
        "charter.toml:1: error: charter id `Broken One`: use lower-case letters",
        "charter.toml:1: warning: `topics/notes.txt` is not read",
        "charter.toml:5: error: reply_script: reply_script.zh-Hant missing",
        "charter.toml:6: error: unknown key `coverage_treshold`; did you mean `coverage_threshold`?",
        "charter.toml:7: error: `max_new_tokens` is text; it must be a whole number",
        "charter.toml:9: error: gate `g` has no bound",
        "charter.toml:11: error: gate `g`: unknown measure `hapiness`; the measures are",
        "charter.toml:11: error: gate `g`: unknown measure `refusall`; did you mean `refusal`?",
        "controls/c.toml:1: error: control `sum` has no key for en",
        "controls/c.toml:8: error: unknown key `controls`; did you mean `control`?",
        "topics/first.toml:1: error: topic id `other-name` must equal the file's name, `first`",
        "topics/first.toml:2: error: `China` is no ISO 3166-1 code",
        "topics/first.toml:3: error: `status` is \"setled\"; it must be one of: settled, contested",
        "topics/first.toml:4: warning: title: title.zh-Hant missing",
        "topics/first.toml:5: error: names: names.zh-Hant missing",
        "topics/first.toml:7: error: fact `f1` has sources of 1 publisher(s)",
        "topics/first.toml:9: error: `text` is text; it must be given by language: text.en",
        "topics/first.toml:11: error: `evidence.en` is text; it must be a list of lists",
        "topics/first.toml:19: error: probe `t1`: unknown language `zh-hant`; did you mean `zh-Hant`?",
        "topics/second.toml:3: error: not valid TOML",
    ];
    for due in due {
        assert!(all.iter().any(|d| d.starts_with(due)), "not reported: {due}\nreported:\n{}", all.join("\n"));
    }
    // A file is broken, so what spans files is not judged.
    assert!(!all.iter().any(|d| d.contains("twin")), "{all:#?}");
    let sorted = report.defects.is_sorted_by_key(|d| (d.file.clone(), d.line));
    assert!(sorted);
}

#[test]
fn load_names_the_first_error_and_counts_the_rest() {
    let e = Charter::load(fixture()).unwrap_err();
    let text = e.to_string();
    assert!(matches!(e, CharterError::Defective { errors, .. } if errors > 10));
    assert!(text.contains("charter.toml:1: charter id `Broken One`"), "{text}");
    assert!(text.contains("more errors: see `freehold charter check`"), "{text}");
}

#[test]
fn what_is_no_charter_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing"), fixture().join("topics/first.toml")] {
        let e = Charter::load(&path).unwrap_err();
        assert!(matches!(e, CharterError::NotACharter { .. }), "{e}");
        assert!(e.to_string().contains("freehold charter new"), "{e}");
        assert!(!Charter::check(&path).passed());
    }
}

#[test]
fn a_huge_file_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("charter.toml")).unwrap();
    file.set_len(9 << 20).unwrap();
    assert!(matches!(Charter::load(dir.path()), Err(CharterError::TooLarge { .. })));
}
