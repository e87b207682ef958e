//! Files that nobody should have to trust: each gives one clear error, no panic and no huge allocation.
//!
//! The same bytes are the seed corpus of the fuzz target (`fuzz/corpus/gguf`); `FREEHOLD_WRITE_CORPUS=1` writes them anew.

use std::path::Path;

use freehold_model::gguf::{self, GgmlType};
use freehold_model::{Model, ModelError};
use proptest::prelude::*;

/// A little writer of GGUF files, right or wrong.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn header(version: u32, tensors: u64, metadata: u64) -> Self {
        let mut w = Self(b"GGUF".to_vec());
        w.0.extend(version.to_le_bytes());
        w.0.extend(tensors.to_le_bytes());
        w.0.extend(metadata.to_le_bytes());
        w
    }

    fn string(mut self, s: &str) -> Self {
        self.0.extend((s.len() as u64).to_le_bytes());
        self.0.extend(s.as_bytes());
        self
    }

    fn u32(mut self, v: u32) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    fn u64(mut self, v: u64) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    /// An f32 tensor's entry.
    fn tensor(self, name: &str, dims: &[u64], ty: u32, offset: u64) -> Self {
        let w = self.string(name).u32(dims.len() as u32);
        dims.iter().fold(w, |w, &d| w.u64(d)).u32(ty).u64(offset)
    }

    fn data(mut self, bytes: usize) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(32) + bytes, 0);
        self.0
    }
}

/// Name, bytes, and a part of the message due.
fn corpus() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let h = Writer::header;
    let good = || h(3, 1, 1).string("general.architecture").u32(8).string("llama").tensor("t", &[4], 0, 0);
    vec![
        ("empty", vec![], "magic"),
        ("wrong-magic", b"GGML\x03\0\0\0".to_vec(), "GGUF"),
        ("version-1", h(1, 0, 0).0, "version 1"),
        ("big-endian", h(3u32.swap_bytes(), 0, 0).0, "big-endian"),
        ("truncated-header", h(3, 1, 1).0[..15].to_vec(), "truncated"),
        ("absurd-tensor-count", h(3, u64::MAX, 0).data(64), "room"),
        ("absurd-metadata-count", h(3, 0, 1 << 60).data(64), "room"),
        ("absurd-string", h(3, 0, 1).u64(u64::MAX).data(64), "room"),
        ("absurd-array", h(3, 0, 1).string("a").u32(9).u32(0).u64(1 << 62).data(64), "room"),
        ("deep-arrays", (0..6).fold(h(3, 0, 1).string("a").u32(9), |w, _| w.u32(9).u64(1)).data(64), "nests"),
        ("unknown-value-type", h(3, 0, 1).string("a").u32(99).data(64), "unknown type 99"),
        (
            "bad-boolean",
            h(3, 0, 1)
                .string("a")
                .u32(7)
                .data(64)
                .into_iter()
                .enumerate()
                .map(|(i, b)| if i == 37 { 7 } else { b })
                .collect(),
            "boolean 7",
        ),
        (
            "key-twice",
            h(3, 0, 2).string("a").u32(4).u32(1).string("a").u32(4).u32(2).data(64),
            "occurs twice",
        ),
        (
            "not-utf8",
            {
                let mut b = h(3, 0, 1).u64(1).0;
                b.push(0xFF);
                b.resize(96, 0);
                b
            },
            "UTF-8",
        ),
        ("zero-dimension", h(3, 1, 0).tensor("t", &[0], 0, 0).data(64), "size 0"),
        ("too-many-dimensions", h(3, 1, 0).tensor("t", &[1, 1, 1, 1, 1], 0, 0).data(64), "5 dimensions"),
        ("overflowing-shape", h(3, 1, 0).tensor("t", &[1 << 40, 1 << 40], 0, 0).data(64), "more elements"),
        ("unknown-tensor-type", h(3, 1, 0).tensor("t", &[32], 77, 0).data(256), "unknown type 77"),
        ("ragged-block", h(3, 1, 0).tensor("t", &[33], 8, 0).data(256), "block size"),
        ("beyond-the-end", h(3, 1, 0).tensor("t", &[1024], 0, 0).data(64), "beyond the end"),
        ("offset-overflow", h(3, 1, 0).tensor("t", &[4], 0, u64::MAX - 31).data(64), "beyond the end"),
        ("misaligned", h(3, 1, 0).tensor("t", &[4], 0, 4).data(64), "multiple of 32"),
        ("overlapping", h(3, 2, 0).tensor("a", &[16], 0, 0).tensor("b", &[16], 0, 32).data(256), "overlap"),
        (
            "tensor-twice",
            h(3, 2, 0).tensor("a", &[4], 0, 0).tensor("a", &[4], 0, 32).data(256),
            "occurs twice",
        ),
        ("bad-alignment", h(3, 0, 1).string("general.alignment").u32(4).u32(33).data(64), "alignment"),
        (
            "truncated-data",
            {
                let b = good().data(16);
                b[..b.len() - 8].to_vec()
            },
            "beyond the end",
        ),
    ]
}

#[test]
fn every_bad_file_is_named_for_what_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/gguf");
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes, due) in corpus() {
        let error = gguf::parse(&bytes).expect_err(name);
        assert!(error.contains(due), "{name}: {error:?} does not speak of {due:?}");
        let path = dir.path().join(format!("{name}.gguf"));
        std::fs::write(&path, &bytes).expect("written");
        let error = Model::open(&path).err().unwrap_or_else(|| panic!("{name} was opened"));
        assert!(matches!(error, ModelError::Gguf { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "the message names the file: {error}");
        let seed = folder.join(name);
        if std::env::var_os("FREEHOLD_WRITE_CORPUS").is_some() {
            std::fs::write(&seed, &bytes).expect("written");
        }
        assert_eq!(
            std::fs::read(&seed).ok().as_ref(),
            Some(&bytes),
            "fuzz/corpus/gguf/{name} is missing or old"
        );
    }
}

#[test]
fn a_good_file_is_read() {
    let bytes = Writer::header(3, 1, 1)
        .string("general.architecture")
        .u32(8)
        .string("llama")
        .tensor("t", &[4], 0, 0)
        .data(16);
    let file = gguf::parse(&bytes).expect("valid");
    assert_eq!(file.tensors[0].bytes, 16);
    assert_eq!(file.tensors[0].offset, bytes.len() - 16);
    assert!(!matches!(file.tensors[0].ty, GgmlType::Unsupported(_)));
}

#[test]
fn a_missing_part_of_a_split_model_is_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("m-00001-of-00002.gguf");
    std::fs::write(&path, Writer::header(3, 0, 0).data(0)).expect("written");
    let error = Model::open(&path).err().expect("an error");
    assert!(error.to_string().contains("m-00002-of-00002.gguf"), "{error}");
}

#[test]
fn a_model_without_what_its_architecture_needs_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("m.gguf");
    for (architecture, due) in [("llama", "is missing"), ("mamba", "not supported yet")] {
        let bytes =
            Writer::header(3, 0, 1).string("general.architecture").u32(8).string(architecture).data(0);
        std::fs::write(&path, bytes).expect("written");
        let error = Model::open(&path).err().expect("an error");
        assert!(error.to_string().contains(due), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = gguf::parse(&bytes);
        let mut with_magic = b"GGUF\x03\0\0\0".to_vec();
        with_magic.extend(bytes);
        let _ = gguf::parse(&with_magic);
    }

    #[test]
    fn no_mutation_panics(at in 0usize..200, value in any::<u8>(), cut in 0usize..300) {
        let w = Writer::header(3, 1, 2).string("general.architecture").u32(8).string("llama");
        let w = w.string("a").u32(9).u32(8).u64(2).string("x").string("y").tensor("t", &[8, 2], 0, 0);
        let mut bytes = w.data(64);
        if let Some(b) = bytes.get_mut(at) {
            *b = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        let _ = gguf::parse(&bytes);
    }
}
