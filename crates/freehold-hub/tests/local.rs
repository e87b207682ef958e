//! Paths, names, and what is remembered of them.

mod common;

use common::{Ear, sha256, weights};
use freehold_hub::{Cache, HubError, Silent};

#[test]
fn a_path_is_hashed_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(&dir.path().join("home")).unwrap();
    let (path, bytes) = (dir.path().join("mine.gguf"), weights(100_000));
    std::fs::write(&path, &bytes).unwrap();
    for hashed in [100_000, 0] {
        let ear = Ear::default();
        let model = cache.resolve(path.to_str().unwrap(), true, &ear).unwrap();
        assert_eq!((model.name.as_str(), model.size), ("mine", 100_000));
        assert_eq!((model.digest, *ear.bytes.borrow()), (sha256(&bytes), hashed));
        assert!(model.source.starts_with("path:/") && model.licence.is_none());
    }
    std::fs::write(&path, b"GGUF other").unwrap();
    assert_eq!(cache.resolve(path.to_str().unwrap(), true, &Silent).unwrap().digest, sha256(b"GGUF other"));
    // A spoilt memory costs a hash.
    std::fs::write(dir.path().join("home/digests.json"), "nonsense").unwrap();
    assert_eq!(cache.resolve(path.to_str().unwrap(), true, &Silent).unwrap().digest, sha256(b"GGUF other"));
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine.gguf");
    std::fs::write(&path, b"GGUF").unwrap();
    // A file where the folder should be.
    let cache = Cache::at(&path.join("home")).unwrap();
    assert_eq!(cache.resolve(path.to_str().unwrap(), true, &Silent).unwrap().digest, sha256(b"GGUF"));
}

#[test]
fn a_folder_and_a_split_file_have_one_digest() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(&dir.path().join("home")).unwrap();
    let folder = dir.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    let resolve = |p: &std::path::Path| cache.resolve(p.to_str().unwrap(), true, &Silent);
    assert!(matches!(resolve(&folder), Err(HubError::NotAModel { .. })));
    std::fs::write(folder.join("model.safetensors"), b"weights").unwrap();
    std::fs::write(folder.join("config.json"), b"{}").unwrap();
    std::fs::write(folder.join("README.md"), b"words").unwrap();
    let model = resolve(&folder).unwrap();
    let lines = format!("{}  config.json\n{}  model.safetensors\n", sha256(b"{}"), sha256(b"weights"));
    assert_eq!((model.digest, model.size), (sha256(lines.as_bytes()), 9));

    let (one, two) = (dir.path().join("m-00001-of-00002.gguf"), dir.path().join("m-00002-of-00002.gguf"));
    std::fs::write(&one, b"GGUF1").unwrap();
    assert!(resolve(&one).unwrap_err().to_string().contains("m-00002-of-00002.gguf is missing"));
    std::fs::write(&two, b"GGUF2").unwrap();
    assert_eq!(resolve(&one).unwrap().size, 10);
    assert!(resolve(&two).unwrap_err().to_string().contains("name the first part"));
}

#[test]
fn names_that_are_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path()).unwrap();
    let text = |name: &str| cache.resolve(name, true, &Silent).unwrap_err().to_string();
    assert!(text("smolm2-135m-instruct").contains("did you mean `smollm2-135m-instruct`?"));
    assert!(text("zzz").contains("known are qwen2.5-coder-0.5b-instruct, smollm2-135m-instruct"));
    assert!(text("./no/such.gguf").contains("there is no such file"));
    assert!(text("https://example.org/v1#m").contains("an endpoint has no file"));
    assert!(text("default").contains("--offline"));
    let names: Vec<String> = cache.list().unwrap().into_iter().map(|l| l.name).collect();
    assert_eq!(names, ["qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct"]);
}
