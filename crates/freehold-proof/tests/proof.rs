//! The proof's folder.

#[path = "../examples/demo/data.rs"]
mod data;

use std::fs;

use data::Demo;
use freehold_charter::{Charter, starter};
use freehold_proof::{ProofError, read_proof, write_proof};

#[test]
fn written_whole_and_read_back() {
    let files = starter::FILES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let demo = Demo::new(Charter::from_files("starter", files).unwrap());
    let root = tempfile::tempdir().unwrap();
    let (before, after) = (root.path().join("before"), root.path().join("after"));
    fs::create_dir_all(before.join("deep")).unwrap();
    fs::create_dir_all(&after).unwrap();
    fs::write(before.join("run.json"), "abc").unwrap();
    fs::write(before.join("deep/x"), "").unwrap();
    // A proof may lie inside a run; it is not part of it.
    let out = after.join("proof");
    let written = write_proof(&out, &demo.input(), &before, &after).unwrap();
    let again = write_proof(&out, &demo.input(), &before, &after).unwrap();
    assert_eq!(again.before.files, written.before.files);

    let read = read_proof(&out).unwrap();
    assert_eq!(read.comparison, demo.comparison);
    assert_eq!(read.training.as_ref(), Some(&demo.training));
    assert_eq!(read.before.files.keys().collect::<Vec<_>>(), ["deep/x", "run.json"]);
    assert_eq!(
        read.before.files["run.json"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert!(read.after.files.is_empty());
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["proof.json", "report.html"]);
}

#[test]
fn a_figure_that_is_no_number_is_refused() {
    let files = starter::FILES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let mut demo = Demo::new(Charter::from_files("starter", files).unwrap());
    demo.training.flops = f64::NAN;
    let root = tempfile::tempdir().unwrap();
    let result = write_proof(&root.path().join("p"), &demo.input(), root.path(), root.path());
    assert!(matches!(result, Err(ProofError::Json { .. })));
    assert!(!root.path().join("p/proof.json").exists());
}
