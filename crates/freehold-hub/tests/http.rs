//! The model hub: whole, cut, silent, lying.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Ear, Reply, Stand, catalogue, nobody, sha256, weights};
use freehold_hub::{Cache, HubError, Silent};

const HF: &str = "[[model.source]]\nhf = \"owner/repo/sub/tiny.gguf\"\n";

fn cache(home: &Path, bytes: &[u8], hub: &str, sources: &str) -> Cache {
    Cache::at(home)
        .unwrap()
        .with_catalogue(catalogue(bytes, sources))
        .with_hub(hub)
        .with_python("/nowhere/python3")
        .with_timeouts(Duration::from_millis(800), Duration::from_millis(800))
}

fn parts(home: &Path) -> usize {
    std::fs::read_dir(home.join("downloads")).map_or(0, |d| d.count())
}

#[test]
fn fetched_once_then_kept() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(300_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Whole]);
    let cache = cache(home.path(), &bytes, &stand.base, HF);
    let ear = Ear::default();
    let model = cache.resolve("small", false, &ear).unwrap();
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
    assert_eq!(model.path, home.path().join("models/tiny/tiny.gguf"));
    assert_eq!((model.digest, model.size), (sha256(&bytes), 300_000));
    assert_eq!(
        (model.licence.as_deref(), model.source.as_str()),
        (Some("MIT"), "hf:owner/repo/sub/tiny.gguf")
    );
    assert_eq!((*ear.total.borrow(), *ear.bytes.borrow()), (300_000, 300_000));
    assert!(stand.requests.lock().unwrap()[0].starts_with("GET /owner/repo/resolve/main/sub/tiny.gguf HTTP"));
    assert_eq!(parts(home.path()), 0);
    // Offline, and without a hash being computed again.
    let ear = Ear::default();
    cache.resolve("tiny", true, &ear).unwrap();
    assert_eq!((stand.count(), *ear.bytes.borrow()), (1, 0));
    let listed = cache.list().unwrap();
    assert_eq!(listed[0].path.as_ref(), Some(&model.path));
}

#[test]
fn goes_on_after_a_cut() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(500_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Cut(200_000), Reply::Cut(100_000), Reply::Whole]);
    let cache = cache(home.path(), &bytes, &stand.base, HF);
    let ear = Ear::default();
    let model = cache.resolve("tiny", false, &ear).unwrap();
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
    let requests = stand.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    let second = requests[1].to_lowercase();
    assert!(second.contains("range: bytes=200000-") && second.contains("if-range: \"v1\""), "{second}");
    assert!(requests[2].to_lowercase().contains("range: bytes=300000-"));
    assert!(ear.heard("going on from byte 200000"));
    assert_eq!(*ear.bytes.borrow(), 500_000);
}

#[test]
fn goes_on_in_another_process() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(400_000);
    // As a kill leaves it: cut once, then refused.
    let stand = Stand::new(bytes.clone(), vec![Reply::Cut(150_000), Reply::Status(503), Reply::Whole]);
    let e = cache(home.path(), &bytes, &stand.base, HF).resolve("tiny", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("503"), "{e}");
    assert_eq!(parts(home.path()), 1);
    let model = cache(home.path(), &bytes, &stand.base, HF).resolve("tiny", false, &Silent).unwrap();
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
    assert!(stand.requests.lock().unwrap()[2].to_lowercase().contains("range: bytes=150000-"));
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(400_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Cut(150_000), Reply::NoRanges]);
    let model = cache(home.path(), &bytes, &stand.base, HF).resolve("tiny", false, &Silent).unwrap();
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
}

#[test]
fn wrong_content_is_refused_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let mut other = bytes.clone();
    other[40_000] ^= 1;
    let stand = Stand::new(other, vec![Reply::Whole]);
    let e = cache(home.path(), &bytes, &stand.base, HF).resolve("tiny", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("wrong content: SHA-256 is"), "{e}");
    let left: Vec<_> = std::fs::read_dir(home.path().join("downloads/tiny")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!home.path().join("models/tiny/tiny.gguf").exists());
}

#[test]
fn another_size_is_refused_before_it_is_fetched() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let stand = Stand::new(weights(60_000), vec![Reply::Whole]);
    let e = cache(home.path(), &bytes, &stand.base, HF).resolve("tiny", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("has 60000 bytes, and 50000 are due"), "{e}");
}

#[test]
fn no_answer_then_the_next_source() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let file = home.path().join("mine.bin");
    std::fs::write(&file, &bytes).unwrap();
    let sources = format!("{HF}[[model.source]]\npath = \"{}\"\n", file.display());
    for hub in [nobody(), Stand::new(Vec::new(), vec![Reply::Silence]).base] {
        let home = tempfile::tempdir().unwrap();
        let ear = Ear::default();
        let since = Instant::now();
        let model = cache(home.path(), &bytes, &hub, &sources).resolve("tiny", false, &ear).unwrap();
        assert!(since.elapsed() < Duration::from_secs(5));
        assert_eq!(model.source, format!("path:{}", file.display()));
        assert!(ear.heard("trying hf:owner/repo/sub/tiny.gguf"));
    }
}

#[test]
fn a_stalled_body_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(400_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Stall(100_000), Reply::Whole]);
    let ear = Ear::default();
    let model = cache(home.path(), &bytes, &stand.base, HF).resolve("tiny", false, &ear).unwrap();
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
    assert!(ear.heard("no answer in time"), "{:?}", ear.messages);
}

#[test]
fn all_failures_are_shown() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let sources = format!(
        "{HF}[[model.source]]\npypi = [{{ package = \"p\", version = \"1\", member = \"m\" }}]\n\
         [[model.source]]\npath = \"/nowhere/file\"\n"
    );
    let stand = Stand::new(Vec::new(), vec![Reply::Status(404)]);
    let e = cache(home.path(), &bytes, &stand.base, &sources).resolve("tiny", false, &Silent).unwrap_err();
    let text = e.to_string();
    for due in [
        "hf:owner/repo/sub/tiny.gguf: ",
        "no such file",
        "pypi:p==1: ",
        "FREEHOLD_PYTHON",
        "path:/nowhere/file: ",
    ] {
        assert!(text.contains(due), "{due} is not in {text}");
    }
    assert!(matches!(e, HubError::NoSource { failures, .. } if failures.len() == 3));
}

#[test]
fn offline_touches_nothing() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Whole]);
    let home = home.path().join("unused");
    let cache = cache(&home, &bytes, &stand.base, HF);
    for name in ["tiny", "hf:owner/repo/x.gguf", "hf:owner/repo"] {
        let e = cache.resolve(name, true, &Silent).unwrap_err();
        assert!(matches!(e, HubError::Offline { .. }), "{e}");
    }
    assert!(stand.count() == 0 && !home.exists());
}

#[test]
fn a_changed_file_in_the_cache_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Whole]);
    let cache = cache(home.path(), &bytes, &stand.base, HF);
    let model = cache.resolve("tiny", false, &Silent).unwrap();
    // Only its time: hashed once, and good.
    let file = std::fs::File::options().write(true).open(&model.path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    assert_eq!(cache.resolve("tiny", true, &Silent).unwrap(), model);
    // Its content: offline refused, online fetched anew.
    std::fs::write(&model.path, b"GGUF spoilt").unwrap();
    assert!(matches!(cache.resolve("tiny", true, &Silent), Err(HubError::Offline { .. })));
    let ear = Ear::default();
    assert_eq!(cache.resolve("tiny", false, &ear).unwrap().digest, sha256(&bytes));
    assert!(ear.heard("not the one recorded"));
    assert_eq!((stand.count(), std::fs::read(&model.path).unwrap()), (2, bytes));
}

#[test]
fn a_lost_record_is_written_again() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Whole]);
    let cache = cache(home.path(), &bytes, &stand.base, HF);
    let model = cache.resolve("tiny", false, &Silent).unwrap();
    for spoilt in [None, Some("{"), Some("{\"file\": \"../../x\"}")] {
        let record = home.path().join("models/tiny/model.json");
        match spoilt {
            None => std::fs::remove_file(&record).unwrap(),
            Some(text) => std::fs::write(&record, text).unwrap(),
        }
        assert_eq!(cache.resolve("tiny", true, &Silent).unwrap().digest, model.digest);
    }
}

#[test]
fn a_file_of_the_hub_without_a_known_hash() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(50_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Whole]);
    let cache = cache(home.path(), &bytes, &stand.base, HF);
    let ear = Ear::default();
    let model = cache.resolve("hf:owner/repo/other.gguf", false, &ear).unwrap();
    assert_eq!(
        (model.name.as_str(), model.digest.as_str()),
        ("hf:owner/repo/other.gguf", sha256(&bytes).as_str())
    );
    assert!(ear.heard("no hash was known") && ear.heard(&sha256(&bytes)));
    assert_eq!(cache.resolve("hf:owner/repo/other.gguf", true, &Silent).unwrap(), model);
    assert!(cache.list().unwrap().iter().any(|l| l.name == model.name && l.path.is_some()));
    for bad in ["hf:owner", "hf:owner/../x", "hf:owner/repo/a b", "hf:"] {
        assert!(matches!(cache.resolve(bad, false, &Silent), Err(HubError::Unknown { .. })), "{bad}");
    }
}

#[test]
fn an_error_page_is_no_model() {
    let home = tempfile::tempdir().unwrap();
    let stand = Stand::new(Vec::new(), vec![Reply::Body("<html>please log in</html>".into())]);
    let e = cache(home.path(), b"x", &stand.base, HF).resolve("hf:o/r/f.gguf", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("no GGUF file"), "{e}");
}

#[test]
fn a_repository_without_a_file_name() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(20_000);
    let list = |names: &[&str]| {
        let all: Vec<String> = names.iter().map(|n| format!("{{\"rfilename\": \"{n}\"}}")).collect();
        Reply::Body(format!("{{\"siblings\": [{}]}}", all.join(",")))
    };
    let stand =
        Stand::new(bytes.clone(), vec![list(&["README.md", "m-Q8_0.gguf", "m-Q4_K_M.gguf"]), Reply::Whole]);
    let model = cache(home.path(), b"x", &stand.base, HF).resolve("hf:o/r", false, &Silent).unwrap();
    assert_eq!(model.name, "hf:o/r/m-Q4_K_M.gguf");
    let stand = Stand::new(bytes, vec![list(&["a.gguf", "b.gguf"])]);
    let e = cache(home.path(), b"x", &stand.base, HF).resolve("hf:o/s", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("a.gguf, b.gguf"), "{e}");
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let home = tempfile::tempdir().unwrap();
    let bytes = weights(2_000_000);
    let stand = Stand::new(bytes.clone(), vec![Reply::Whole]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cache = cache(home.path(), &bytes, &stand.base, HF);
                assert_eq!(cache.resolve("tiny", false, &Silent).unwrap().size, 2_000_000);
            });
        }
    });
    assert_eq!(stand.count(), 1);
}
