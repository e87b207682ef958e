//! Whole commands: help texts, errors and exit codes without a model; the way through on real weights (SmolLM2).

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use freehold_hub::{Cache, Silent};

fn freehold() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_freehold"));
    c.stdin(Stdio::null());
    c
}

fn run(args: &[&str]) -> Output {
    freehold().args(args).output().expect("freehold runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One clear message on standard error, exit code 1, no panic.
fn fails(out: &Output, due: &str) {
    let message = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{message}");
    let errors: Vec<&str> = message.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "not one error: {message}");
    assert!(message.contains(due), "{message:?} does not speak of {due:?}");
    assert!(!message.contains("panicked"), "{message}");
}

fn smollm2() -> PathBuf {
    Cache::open()
        .and_then(|c| c.resolve("smollm2-135m-instruct", false, &Silent))
        .expect("the model can be fetched")
        .path
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn path(p: &Path) -> &str {
    p.to_str().expect("UTF-8")
}

/// A small charter of one's own.
fn starter(dir: &Path) -> PathBuf {
    let charter = dir.join("charter");
    assert!(run(&["charter", "new", path(&charter)]).status.success());
    charter
}

#[test]
fn help_is_as_it_was() {
    insta::assert_snapshot!("help", text(&run(&["--help"]).stdout));
    insta::assert_snapshot!("help-refit", text(&run(&["refit", "--help"]).stdout));
    insta::assert_snapshot!("help-audit", text(&run(&["audit", "--help"]).stdout));
}

#[test]
fn wrong_usage_is_2() {
    assert_eq!(run(&["audit"]).status.code(), Some(2));
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[test]
fn the_bundled_charter_has_no_defects() {
    let out = run(&["charter", "check"]);
    assert!(out.status.success(), "{}", text(&out.stdout));
    assert!(text(&out.stdout).contains("0 errors"), "{}", text(&out.stdout));
}

#[test]
fn a_starter_charter_is_valid_and_a_typo_in_it_is_named() {
    let dir = folder();
    let charter = starter(dir.path());
    assert!(run(&["charter", "check", path(&charter)]).status.success());
    fails(&run(&["charter", "new", path(&charter)]), "charter");
    let topic = charter.join("topics/katyn.toml");
    let good = std::fs::read_to_string(&topic).expect("a topic");
    std::fs::write(&topic, good.replacen("status =", "staus =", 1)).expect("written");
    let out = run(&["charter", "check", path(&charter)]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stdout).contains("katyn.toml:"), "{}", text(&out.stdout));
    fails(
        &run(&["audit", "smollm2", "--charter", path(&charter), "--out", path(&dir.path().join("run"))]),
        "katyn.toml:",
    );
}

#[test]
fn a_missing_model_and_a_broken_file_are_named() {
    let dir = folder();
    fails(&run(&["show", "smollm3"]), "smollm");
    fails(&run(&["show", "/nonexistent/model.gguf"]), "/nonexistent/model.gguf");
    let cut = dir.path().join("cut.gguf");
    let whole = std::fs::read(smollm2()).expect("the model");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    fails(&run(&["complete", path(&cut), "--prompt", "x"]), "truncated");
    std::fs::write(&cut, b"not a model").expect("written");
    fails(&run(&["show", path(&cut)]), "GGUF");
    let empty = freehold()
        .args(["--offline", "pull", "smollm2"])
        .env("FREEHOLD_HOME", dir.path())
        .output()
        .expect("runs");
    fails(&empty, "offline");
}

#[test]
fn show_complete_and_chat_on_real_weights() {
    let model = smollm2();
    let shown: serde_json::Value =
        serde_json::from_slice(&run(&["show", "smollm2", "--json"]).stdout).expect("valid JSON");
    assert_eq!(shown["architecture"], "llama");
    assert_eq!(shown["sha256"], "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
    assert_eq!(shown["tensors"].as_array().map(Vec::len), Some(272));
    let complete = |seed: &str, temperature: &str| {
        let args =
            ["complete", path(&model), "--prompt", "The capital of France is", "--max-tokens", "8", "--json"];
        let out = freehold()
            .args(args)
            .args(["--seed", seed, "--temperature", temperature])
            .output()
            .expect("runs");
        serde_json::from_slice::<serde_json::Value>(&out.stdout).expect("valid JSON")["text"].clone()
    };
    assert!(complete("1", "0").as_str().is_some_and(|t| t.contains("Paris")), "{}", complete("1", "0"));
    assert_eq!(complete("7", "1.5"), complete("7", "1.5"), "the same seed, the same text");
    fails(&run(&["complete", path(&model), "--prompt", "x", "--max-tokens", "9000"]), "context");

    let mut chat = freehold();
    chat.args(["chat", path(&model), "--max-tokens", "12"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut chat = chat.spawn().expect("starts");
    use std::io::Write as _;
    let input =
        "What is the capital of France?\n/reset\n/system Answer in one word.\n/nonsense\nHello\n/quit\n";
    chat.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let out = chat.wait_with_output().expect("ends");
    assert!(out.status.success());
    assert!(!text(&out.stdout).trim().is_empty(), "{}", text(&out.stdout));
    let notes = text(&out.stderr);
    assert!(
        notes.contains("SmolLM")
            && notes.contains("forgotten")
            && notes.contains("unknown command /nonsense"),
        "{notes}"
    );
}

#[test]
fn an_audit_goes_on_after_a_kill_and_refuses_another_charters_folder() {
    let dir = folder();
    let (charter, out) = (starter(dir.path()), dir.path().join("run"));
    let args = [
        "audit",
        "smollm2",
        "--charter",
        path(&charter),
        "--out",
        path(&out),
        "--no-leaning",
        "--no-open-book",
    ];
    let mut child =
        freehold().args(args).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("starts");
    let answers = out.join("answers.jsonl");
    let lines = || std::fs::read_to_string(&answers).map_or(0, |t| t.lines().count());
    let started = std::time::Instant::now();
    while lines() < 3 && started.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let kept = std::fs::read_to_string(&answers).expect("answers");
    // a line that the kill cut short
    std::fs::write(&answers, format!("{kept}{{\"key\": \"hal")).expect("written");
    let done = run(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let all = std::fs::read_to_string(&answers).expect("answers");
    assert!(all.starts_with(&kept), "answers that were there were asked again");
    let total = all.lines().count();
    assert!(run(&args).status.success());
    assert_eq!(lines(), total, "a finished audit asks nothing again");
    let verdicts = std::fs::read_to_string(out.join("verdicts.jsonl")).expect("verdicts");
    assert_eq!(verdicts.lines().count(), total);
    fails(&run(&["audit", "smollm2", "--out", path(&out), "--limit", "1"]), "charter");
    let card = run(&["report", path(&out), "--json"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&card.stdout).is_ok_and(|c| c["rates"].is_array()));

    std::fs::write(&answers, "{\"key\": 1}\n").expect("written");
    fails(&run(&args), "line 1");
}

/// Kills at random points, as a machine that is shut off does, until a run gets through.
#[test]
fn nothing_is_asked_twice_whenever_it_is_killed() {
    let dir = folder();
    let charter = starter(dir.path());
    smollm2();
    let audit = |out: &Path| {
        let mut c = freehold();
        c.args(["audit", "smollm2", "--charter", path(&charter), "--out", path(out)]);
        c.stderr(Stdio::piped()).stdout(Stdio::null());
        c
    };
    let whole = dir.path().join("whole");
    let started = std::time::Instant::now();
    assert!(audit(&whole).status().expect("runs").success());
    let took = started.elapsed().as_millis() as u64;
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_nanos()
        as u64;
    let mut state = seed;
    let cut = dir.path().join("cut");
    for _ in 0..8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = audit(&cut).spawn().expect("starts");
        std::thread::sleep(std::time::Duration::from_millis((state >> 33) % took.max(1)));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    let last = audit(&cut).output().expect("runs");
    assert!(last.status.success(), "seed {seed}: {}", text(&last.stderr));
    for name in ["answers.jsonl", "open_book.jsonl", "leaning.jsonl"] {
        let lines = |run: &Path| {
            let text = std::fs::read_to_string(run.join(name)).expect("lines");
            let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
            lines.sort();
            lines
        };
        // Each question once, and the same words as without any kill.
        assert_eq!(lines(&cut), lines(&whole), "{name}, seed {seed}");
    }
    for name in ["verdicts.jsonl", "scorecard.json"] {
        let read = |run: &Path| std::fs::read_to_string(run.join(name)).expect("a file");
        assert_eq!(read(&cut), read(&whole), "{name}, seed {seed}");
    }
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let dir = folder();
    let (charter, out) = (starter(dir.path()), dir.path().join("run"));
    std::fs::create_dir(&out).expect("made");
    let lock = std::fs::File::create(out.join(".lock")).expect("made");
    lock.lock().expect("locked");
    fails(&run(&["audit", "smollm2", "--charter", path(&charter), "--out", path(&out)]), "another freehold");
    drop(lock);
    let done = run(&[
        "audit",
        "smollm2",
        "--charter",
        path(&charter),
        "--out",
        path(&out),
        "--limit",
        "1",
        "--no-leaning",
        "--no-open-book",
    ]);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

#[test]
fn answers_made_elsewhere_are_judged_and_a_wrong_line_is_named() {
    let dir = folder();
    let charter = starter(dir.path());
    let asked = run(&["charter", "questions", path(&charter)]);
    assert!(asked.status.success());
    let mut answers = String::new();
    for line in text(&asked.stdout).lines() {
        let q: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let a = serde_json::json!({ "id": q["id"], "lang": q["lang"], "text": "I can't assist with that." });
        answers.push_str(&format!("{a}\n"));
    }
    let (file, out) = (dir.path().join("a.jsonl"), dir.path().join("run"));
    let judge = |content: &str, out: &Path| {
        std::fs::write(&file, content).expect("written");
        run(&[
            "judge",
            "answers",
            path(&file),
            "--model",
            "m",
            "--charter",
            path(&charter),
            "--out",
            path(out),
            "--json",
        ])
    };
    let judged = judge(&answers, &out);
    assert!(judged.status.success(), "{}", text(&judged.stderr));
    let card: serde_json::Value = serde_json::from_slice(&judged.stdout).expect("JSON");
    let refusal = card["rates"]
        .as_array()
        .expect("rates")
        .iter()
        .find(|r| r["measure"] == "refusal" && r["slice"] == "test");
    assert_eq!(refusal.expect("a rate")["value"], 1.0);
    let memo = run(&["report", path(&out), "--memo", "--charter", path(&charter)]);
    assert!(memo.status.success() && out.join("memo.zh-Hant.html").exists(), "{}", text(&memo.stderr));
    for (format, file) in [("inspect", "inspect.json"), ("lm-eval", "results_")] {
        let done = run(&["report", path(&out), "--export", format, "--charter", path(&charter)]);
        assert!(done.status.success() && text(&done.stdout).contains(file), "{}", text(&done.stderr));
    }
    fails(&run(&["report", path(&out), "--memo"]), "--charter");
    // A model as a second judge: beside the first, every answer judged or counted as unjudged, and nothing asked twice.
    let second = ["judge", "model", path(&out), "--with", "smollm2", "--charter", path(&charter), "--json"];
    let beside = run(&second);
    let told: serde_json::Value = serde_json::from_slice(&beside.stdout).expect("JSON");
    let probes = std::fs::read_to_string(out.join("model_verdicts.jsonl"))
        .expect("verdicts")
        .lines()
        .filter(|l| l.contains("\"unjudged\""))
        .count();
    assert_eq!(told["judged"], probes, "{}", text(&beside.stderr));
    let kept = std::fs::read(out.join("model_judge.jsonl")).expect("what it said");
    assert!(run(&second).status.success());
    assert_eq!(std::fs::read(out.join("model_judge.jsonl")).expect("what it said"), kept);

    let other = dir.path().join("other");
    let first = answers.lines().next().expect("a line");
    fails(&judge(&answers, &out), "holds a run already");
    fails(&judge(&format!("{first}\n{first}\n"), &other), "line 2");
    fails(&judge(&format!("{first}\n{{\"id\": \"katyn/p99\", \"text\": \"x\"}}\n"), &other), "katyn/p99");
    fails(&judge("not JSON\n", &other), "line 1");
    fails(&judge("", &other), "no answer");
    assert!(!other.exists(), "nothing is left behind");
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_one_clear_error_and_loses_nothing() {
    let dir = folder();
    let (charter, out) = (starter(dir.path()), dir.path().join("run"));
    // Fetched before the disk is full, in a fresh cache as well.
    smollm2();
    let args = format!(
        "audit smollm2 --charter {} --out {} --no-leaning --no-open-book",
        path(&charter),
        path(&out)
    );
    // No file may grow beyond 8 blocks of 1024 bytes: writing fails as it does on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f 8; exec {} {args}", env!("CARGO_BIN_EXE_freehold"));
    let small = Command::new("bash").args(["-c", &script]).stdin(Stdio::null()).output().expect("bash runs");
    fails(&small, "answers.jsonl");
    let kept = std::fs::read_to_string(out.join("answers.jsonl")).expect("answers");
    assert!(kept.ends_with('\n') && kept.lines().count() > 0, "whole lines are kept");
    let done = freehold().args(args.split(' ')).output().expect("runs");
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(std::fs::read_to_string(out.join("answers.jsonl")).is_ok_and(|t| t.starts_with(&kept)));
}

#[test]
fn refit_goes_the_whole_way_on_real_weights() {
    let dir = folder();
    let (charter, out) = (starter(dir.path()), dir.path().join("refit"));
    let recipe = dir.path().join("recipe.json");
    std::fs::write(
        &recipe,
        r#"{ "rank": 2, "epochs": 1, "anchor_epochs": 0.3, "unknown_epochs": 0.3, "wordings": 1, "from_layer": 0.9, "eval_every": 100 }"#,
    )
    .expect("written");
    let args = [
        "refit",
        path(&charter),
        "--model",
        "smollm2",
        "--out",
        path(&out),
        "--recipe",
        path(&recipe),
        "--limit",
        "1",
    ];
    let done = run(&args);
    let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
    // A 135M model after a handful of steps passes no gate worth having; what matters is that it says so.
    assert!(matches!(done.status.code(), Some(0 | 3 | 4)), "{stderr}");
    assert!(
        stdout.contains("before treatment") && stdout.contains("report:") && stdout.contains("freehold chat"),
        "{stdout}"
    );
    let page = std::fs::read_to_string(out.join("proof/report.html")).expect("a report");
    assert!(page.contains("</html>") && !page.contains("<script src"));
    let proof: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("proof/proof.json")).expect("a proof"))
            .expect("valid JSON");
    assert!(proof["gates"].is_array());
    // Again: nothing is asked or trained anew, and the figures are the same.
    let again = run(&args);
    assert_eq!(again.status.code(), done.status.code(), "{}", text(&again.stderr));
    assert!(!text(&again.stderr).contains("asking 1/"), "{}", text(&again.stderr));
    // The base, what was made of it, in one call and one table.
    let both = dir.path().join("both");
    let treated = format!("smollm2+{}", path(&out.join("adapter")));
    let table = run(&[
        "audit",
        "smollm2",
        &treated,
        "--charter",
        path(&charter),
        "--out",
        path(&both),
        "--limit",
        "1",
        "--no-leaning",
        "--no-open-book",
    ]);
    assert!(table.status.success(), "{}", text(&table.stderr));
    assert!(text(&table.stdout).contains("models  "), "{}", text(&table.stdout));
    let table = std::fs::read_to_string(both.join("models.md")).expect("a table");
    assert!(table.contains("| smollm2-135m-instruct | smollm2-135m-instruct+adapter |"), "{table}");
    fails(&run(&["audit", "smollm2+nowhere", "--charter", path(&charter), "--out", path(&both)]), "nowhere");
    // The adapter answers on its own.
    let model = smollm2();
    let adapter = out.join("adapter");
    let complete = run(&[
        "complete",
        path(&model),
        "--adapter",
        path(&adapter),
        "--prompt",
        "Hello",
        "--max-tokens",
        "4",
    ]);
    assert!(complete.status.success(), "{}", text(&complete.stderr));
    std::fs::write(adapter.join("adapter_model.safetensors"), b"garbage").expect("written");
    fails(&run(&["complete", path(&model), "--adapter", path(&adapter), "--prompt", "Hello"]), "adapter");
}
