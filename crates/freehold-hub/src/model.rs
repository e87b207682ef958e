//! Model files that are already on this machine, and how their identity is established.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digests::{Stamp, remembered};
use crate::error::{HubError, io};
use crate::part::hex;
use crate::progress::Progress;

/// A model on this machine, ready to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelFile {
    /// A file, or a folder of safetensors; of a split GGUF the first file.
    pub path: PathBuf,
    pub name: String,
    /// SHA-256 (hex) of the file. Of several files: of the lines that `sha256sum` writes for them, sorted by name.
    pub digest: String,
    /// In bytes, all files together.
    pub size: u64,
    pub licence: Option<String>,
    /// Where it came from: `pypi:…`, `hf:…`, `path:…`.
    pub source: String,
}

/// `model.json`, beside a model in the cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub name: String,
    pub file: String,
    pub digest: String,
    #[serde(flatten)]
    pub stamp: Stamp,
    pub licence: Option<String>,
    pub source: String,
    /// The digest was known beforehand and has been checked; otherwise it is only what came.
    pub known: bool,
}

impl Record {
    pub fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read(folder.join("model.json")).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        // The record names a file of its own folder only, whoever wrote it.
        let plain = Path::new(&record.file).components().count() == 1 && !record.file.starts_with('.');
        plain.then_some(record)
    }

    pub fn model(&self, folder: &Path) -> ModelFile {
        ModelFile {
            path: folder.join(&self.file),
            name: self.name.clone(),
            digest: self.digest.clone(),
            size: self.stamp.size,
            licence: self.licence.clone(),
            source: self.source.clone(),
        }
    }
}

/// Files of a folder that make up a model; a README is none of it.
const MODEL_FILES: [&str; 6] = ["gguf", "safetensors", "json", "model", "txt", "jinja"];
const MAX_FILES: usize = 1000;

/// A model that the person has: a GGUF file, the first of a split one, or a folder of safetensors.
pub(crate) fn local(home: &Path, path: &Path, progress: &dyn Progress) -> Result<ModelFile, HubError> {
    let not = |why: &str| HubError::NotAModel { path: path.to_owned(), why: why.into() };
    let meta = fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => not("there is no such file"),
        _ => io("read", path)(e),
    })?;
    let files = if meta.is_dir() {
        folder(path)?
    } else if meta.is_file() {
        split(path)?.unwrap_or_else(|| vec![path.to_owned()])
    } else {
        return Err(not("neither a file nor a folder"));
    };
    if files.is_empty() {
        return Err(not("the folder has no .gguf and no .safetensors file"));
    }
    let sizes: Result<Vec<u64>, _> = files.iter().map(|f| Stamp::of(f).map(|s| s.size)).collect();
    progress.start(sizes?.iter().sum());
    let mut size = 0;
    let mut lines = Vec::new();
    for file in &files {
        let (digest, stamp) = remembered(home, file, progress)?;
        size += stamp.size;
        lines.push((file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(), digest));
    }
    let digest = match lines.as_slice() {
        // A lone file's digest is the one that everybody else computes.
        [(_, digest)] if meta.is_file() => digest.clone(),
        _ => {
            let mut hash = Sha256::new();
            lines.iter().for_each(|(name, digest)| hash.update(format!("{digest}  {name}\n")));
            hex(hash)
        }
    };
    let canonical = fs::canonicalize(path).map_err(io("find", path))?;
    let stem = if meta.is_dir() { path.file_name() } else { path.file_stem() };
    Ok(ModelFile {
        name: stem
            .or(canonical.file_name())
            .map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned()),
        path: path.to_owned(),
        digest,
        size,
        licence: None,
        source: format!("path:{}", canonical.display()),
    })
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, HubError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(io("read", path))? {
        let file = entry.map_err(io("read", path))?.path();
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if MODEL_FILES.contains(&extension) && file.is_file() {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(HubError::NotAModel {
                path: path.to_owned(),
                why: format!("more than {MAX_FILES} files"),
            });
        }
    }
    files.sort();
    let weights = |f: &PathBuf| f.extension().is_some_and(|e| e == "gguf" || e == "safetensors");
    Ok(if files.iter().any(weights) { files } else { Vec::new() })
}

/// The files of a split GGUF (`name-00001-of-00003.gguf`), or None where the name is of no such form.
fn split(path: &Path) -> Result<Option<Vec<PathBuf>>, HubError> {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return Ok(None) };
    let Some((head, of)) = name.strip_suffix(".gguf").and_then(|n| n.rsplit_once("-of-")) else {
        return Ok(None);
    };
    let Some((base, number)) = head.rsplit_once('-') else { return Ok(None) };
    let digits = |s: &str| s.len() == 5 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(of) || !digits(number) {
        return Ok(None);
    }
    let count: usize = of.parse().unwrap_or(0);
    let not = |why: String| HubError::NotAModel { path: path.to_owned(), why };
    if count == 0 || count > MAX_FILES {
        return Err(not(format!("split into {count} files, by its name")));
    }
    let files: Vec<PathBuf> =
        (1..=count).map(|i| path.with_file_name(format!("{base}-{i:05}-of-{of}.gguf"))).collect();
    if number != "00001" {
        return Err(not(format!(
            "it is part {number} of a split model: name the first part, {base}-00001-of-{of}.gguf"
        )));
    }
    match files.iter().find(|f| !f.is_file()) {
        Some(missing) => Err(not(format!("its part {} is missing", missing.display()))),
        None => Ok(Some(files)),
    }
}
