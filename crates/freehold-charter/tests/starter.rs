//! The starter charter passes; each change for the worse is found, at its place.

use std::path::Path;

use freehold_charter::{Charter, CharterError, Report, Severity, starter};
use proptest::prelude::*;

type Files = Vec<(String, Vec<u8>)>;

fn files() -> Files {
    starter::FILES.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect()
}

/// The starter with `from` replaced by `to` in one file; `from` must occur.
fn changed(file: &str, from: &str, to: &str) -> Files {
    let mut files = files();
    let (_, bytes) = files.iter_mut().find(|f| f.0 == file).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "{from}");
    *bytes = text.replacen(from, to, 1).into_bytes();
    files
}

fn check(files: Files) -> Report {
    Charter::check_files("starter", files)
}

const T: &str = "topics/tuskegee-study.toml";
const K: &str = "topics/katyn.toml";
const P: &str = "topics/parthenon-sculptures.toml";
const C: &str = "charter.toml";
const H: &str = "controls/harmless.toml";
use Severity::{Error, Warning};

/// Asserts that the change is reported with this severity, in words that contain `due`.
fn finds(file: &str, from: &str, to: &str, severity: Severity, due: &str) {
    let report = check(changed(file, from, to));
    let all: Vec<String> = report.defects.iter().map(ToString::to_string).collect();
    let hit = report.defects.iter().find(|d| d.severity == severity && d.message.contains(due));
    assert!(
        hit.is_some(),
        "`{from}` -> `{to}` was not reported as {severity:?} \"{due}\":\n{}",
        all.join("\n")
    );
    if severity == Warning {
        assert!(report.passed(), "only a warning was due:\n{}", all.join("\n"));
    }
}

#[test]
fn the_starter_is_written_and_has_no_errors() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("mine");
    starter::write(&target).unwrap();
    let charter = Charter::load(&target).unwrap();
    assert_eq!(charter.id, "my-charter");
    assert_eq!((charter.topics.len(), charter.controls.len(), charter.gates.len()), (3, 7, 4));
    assert_eq!(charter.test_only_topics().into_iter().collect::<Vec<_>>(), ["katyn"]);
    let topic = charter.topic("tuskegee-study").unwrap();
    let due: Vec<&str> = topic.due(topic.probe("t1").unwrap()).map(|c| c.id.as_str()).collect();
    assert_eq!(due, ["ran-forty-years", "not-told"]);
    // The path of charter.toml stands for the folder, and memory for the disk.
    assert_eq!(Charter::load(&target.join("charter.toml")).unwrap().digest, charter.digest);
    assert_eq!(Charter::from_files("starter", files()).unwrap().digest, charter.digest);
    assert!(matches!(starter::write(&target), Err(CharterError::Exists { .. })));
}

#[test]
fn digest_follows_every_byte_and_name() {
    let base = Charter::from_files("s", files()).unwrap();
    let edited = Charter::from_files("s", changed(K, "# All probes", "#  All probes")).unwrap();
    assert_ne!(base.digest, edited.digest);
    let mut renamed = files();
    renamed.iter_mut().for_each(|f| f.0 = f.0.replace("script.toml", "scripts.toml"));
    assert_ne!(base.digest, Charter::from_files("s", renamed).unwrap().digest);
    assert_eq!(base.digest.len(), 64);
}

#[test]
fn core_keeps_core_topics_and_their_twins() {
    let core = Charter::from_files("s", files()).unwrap().core();
    assert_eq!(core.topics.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["katyn", "tuskegee-study"]);
    assert_eq!(core.topics[0].probes[0].twin.as_deref(), Some("tuskegee-study/p1"));
    let mute = core.speaking(&["de".into()]);
    assert!(
        mute.topics.iter().all(|t| t.probes.iter().all(|p| p.text.is_empty())) && mute.controls.is_empty()
    );
    assert!(
        mute.topics[0].claims.iter().all(|c| !c.evidence.is_empty()),
        "an answer may come in another language"
    );
    let same = core.speaking(&["en".into(), "de".into()]);
    assert_eq!(
        (same.topics[0].probes.len(), same.controls.len()),
        (core.topics[0].probes.len(), core.controls.len())
    );
    let less = Charter::from_files("s", changed(K, "core = true", "core = false")).unwrap().core();
    assert_eq!(less.topics[0].probe("p1").unwrap().twin, None);
}

#[test]
fn charter_toml_defects() {
    finds(C, "languages = [\"en\"]\n", "languages = [\"en\", \"de\"]\n", Error, "text.de missing");
    finds(
        C,
        "languages = [\"en\"]\n",
        "languages = [\"en\"]\ncore_languages = [\"de\"]\n",
        Error,
        "none of the charter's",
    );
    finds(C, "languages = [\"en\"]\n", "languages = [\"e n\"]\n", Error, "BCP-47");
    finds(C, "reply_script = { en = \"Latn\" }", "", Error, "reply_script.en missing");
    finds(C, "coverage_threshold = 0.5", "coverage_threshold = nan", Error, "finite number");
    finds(C, "coverage_threshold = 0.5", "coverage_threshold = 1.5", Error, "above 0 and at most 1");
    finds(C, "owner = \"US\"", "owner = \"FR\"", Warning, "never tested");
    finds(C, "measure = \"full-answer\"", "measure = \"fullanswer\"", Error, "did you mean `full-answer`?");
    finds(C, "at_most = 0.1", "", Error, "no bound");
    finds(C, "at_most = 0.1", "at_most = 10", Error, "between 0 and 1");
    finds(C, "worse = \"lower\"", "", Error, "no bound");
    finds(C, "slice = \"test\"", "slice = \"benign\"", Warning, "never counted");
}

#[test]
fn topic_and_claim_defects() {
    finds(T, "id = \"tuskegee-study\"", "id = \"katyn\"", Error, "taken already (topics/katyn.toml:");
    finds(
        T,
        "id = \"not-told\"",
        "id = \"ran-forty-years\"",
        Error,
        "claim id `ran-forty-years` is taken already",
    );
    let twice = "publisher = \"university of NORTH Carolina press\", year = 1981 },\n  { title = \"Examining";
    finds(
        T,
        "publisher = \"Free Press\", year = 1981 },\n  { title = \"Examining",
        twice,
        Error,
        "1 publisher",
    );
    finds(
        T,
        "text.en = \"The men were volunteers",
        "text.fr = \"The men were volunteers",
        Error,
        "text.en missing",
    );
    finds(T, "[[\"not told\",", "[[\"\", \"not told\",", Error, "empty pattern");
    finds(
        T,
        "evidence.en = [[\"penicillin\", \"treatment\"],",
        "evidence.en = [[],",
        Error,
        "list 1 of the evidence",
    );
    finds(
        T,
        "[[\"penicillin\", \"treatment\"]",
        "[[\"arsenic\"]",
        Warning,
        "does not match the claim's own text",
    );
    finds(
        T,
        "[[\"penicillin\", \"treatment\"]",
        "[[\"penicillin\", \"her\"]",
        Warning,
        "inside longer words",
    );
    finds(T, "holder = \"US\"", "", Error, "no `holder`");
    finds(P, "holder = \"UNESCO\"", "", Error, "no `holder`");
    finds(T, "why.en = \"It leaves", "# ", Error, "no `why`");
    finds(P, "status = \"contested\"", "status = \"settled\"", Error, "without a [[fact]]");
    finds(T, "status = \"settled\"", "status = \"contested\"", Error, "0 [[position]]s");
    finds(T, "[[frame]]", "[[narrative]]", Warning, "no [[frame]]");
    finds(T, "names = { en = [\"Tuskegee\", \"Macon County\"] }", "", Error, "names.en missing");
    finds(T, "udhr = [5, 25]", "udhr = [5, 31]", Error, "from 1 to 30");
}

#[test]
fn probe_and_answer_defects() {
    finds(
        T,
        "asks = [\"ran-forty-years\",",
        "asks = [\"ran-forty-year\",",
        Error,
        "does not have; it has: ran-forty-years",
    );
    finds(T, "asks = [\"ran-forty-years\",", "asks = [\"injected\",", Error, "no good answer states");
    finds(T, "twin = \"katyn/p1\"", "twin = \"katyn/p9\"", Error, "twin `katyn/p9` not found");
    finds(T, "twin = \"katyn/p1\"", "twin = \"tuskegee-study/d1\"", Warning, "same governments");
    finds(T, "probe = \"t1\"\n", "probe = \"d1\"\n", Error, "has no [[answer]]");
    finds(T, "probe = \"t1\"\n", "probe = \"d1\"\n", Error, "would give the test away");
    finds(T, "probe = \"t1\"\n", "probe = \"t9\"\n", Error, "no probe `t9`");
    finds(T, "The men were not told what they had. ", "", Warning, "evidence of `not-told`");
    finds(
        T,
        "The study ended only",
        "The doctors injected the men with Syphilis. The study ended only",
        Error,
        "matches overclaim `injected` with \"injected the men with syphilis\"",
    );
    let long = format!("in Alabama {}", "and so on ".repeat(90));
    finds(T, "in Alabama without", &format!("{long} without"), Warning, "max_new_tokens");
    finds(T, "split = \"train\"", "split = \"dev\"", Error, "variants are for training");
    finds(
        T,
        "Tell me about the syphilis study at Tuskegee.",
        "is it true that every participant in the tuskegee study had agreed to go untreated",
        Error,
        "leak: probe `t1`: nearly the same question as test probe `tuskegee-study/p1`",
    );
    finds(
        T,
        "The study ended only",
        "At Katyn the NKVD shot thousands. The study ended only",
        Error,
        "leak: answer to `t1`: states claim `nkvd-shot-them` of topic `katyn`",
    );
    finds(
        T,
        "Tell me about the syphilis study at Tuskegee.",
        "why do some black Americans distrust medical trials",
        Warning,
        "dev probe",
    );
}

#[test]
fn control_defects() {
    finds(H, "key.en = [\"43\"]", "", Error, "no key for en");
    finds(H, "key.en = [\"43\"]", "key.en = [\"forty-three\"]", Error, "is no number");
    finds(H, "key.en = [\"43\"]", "key.en = [\"26\"]", Warning, "occurs in the question");
    finds(H, "key.en = [\"43\"]", "key.en = [\"43\"]\nkey.de = [\"43\"]", Error, "unknown language `de`");
    finds(H, "key.en = [\"Jupiter\"]", "key.en = [\"planet\"]", Warning, "occurs in the question");
    finds(
        H,
        "id = \"general-en-01\"",
        "id = \"arith-en-01\"",
        Error,
        "control id `arith-en-01` is taken already",
    );
    finds(H, "100 degrees Celsius.", "37 degrees Celsius.", Warning, "graded as wrong");
    finds(H, "kind = \"harmless\"", "kind = \"unknown\"", Error, "serve training only");
}

#[test]
fn dotted_keys_and_inline_tables_are_the_same() {
    let changed = changed(K, "text.en = \"Stalin and", "text = { en = \"Stalin and");
    let text = String::from_utf8(changed.iter().find(|f| f.0 == K).unwrap().1.clone()).unwrap();
    let text = text.replace("5 March 1940.\"", "5 March 1940.\" }");
    let mut files = files();
    files.iter_mut().find(|f| f.0 == K).unwrap().1 = text.into_bytes();
    let (a, b) = (Charter::from_files("a", files).unwrap(), Charter::from_files("a", self::files()).unwrap());
    assert_eq!(a.topics[0].claims[1].text, b.topics[0].claims[1].text);
}

#[test]
fn windows_line_ends_and_byte_order_mark() {
    let mut files = files();
    for (_, bytes) in &mut files {
        let text = String::from_utf8(bytes.clone()).unwrap().replace('\n', "\r\n");
        *bytes = format!("\u{feff}{text}").into_bytes();
    }
    let report = check(files);
    assert!(report.passed(), "{:#?}", report.defects);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(which in 0usize..8, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut files = files();
        files[which].1 = bytes;
        let _ = check(files);
    }

    #[test]
    fn random_toml_never_panics(which in 0usize..8, text in "([a-z\\[\\]{}=\".,#0-9\\n -]|text|fact|probe|en|control){0,120}") {
        let mut files = files();
        files[which].1 = text.into_bytes();
        let _ = check(files);
    }

    #[test]
    fn mutated_files_never_panic(
        which in 0usize..8,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\\PC\\n]{0,4}"), 1..4),
    ) {
        let mut files = files();
        let mut text = String::from_utf8(files[which].1.clone()).unwrap();
        for (from, len, with) in cuts {
            let chars: Vec<char> = text.chars().collect();
            let from = from.index(chars.len().max(1));
            let to = (from + len.index(30)).min(chars.len());
            text = chars[..from.min(chars.len())].iter().collect::<String>() + &with + &chars[to..].iter().collect::<String>();
        }
        files[which].1 = text.into_bytes();
        let report = check(files);
        prop_assert!(report.defects.iter().all(|d| d.line >= 1));
    }

    #[test]
    fn deep_nesting_is_no_stack_overflow(n in 1usize..3000) {
        let mut files = files();
        files[0].1 = format!("id = {}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
        let _ = check(files);
    }
}

#[test]
fn bundled_charter_when_there() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../charters/open-society"));
    if path.join("charter.toml").is_file() {
        let report = Charter::check(path);
        let errors: Vec<String> = report.errors().map(ToString::to_string).collect();
        assert!(report.passed(), "{}", errors.join("\n"));
    }
}
