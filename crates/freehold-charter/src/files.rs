//! A charter's files as bytes: which belong to it, in which order, and their digest.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::CharterError;

/// Larger than any charter written by hand; a guard against a wrong path.
const MAX_FILE: u64 = 8 << 20;
const MAX_FILES: usize = 4096;

/// A charter's files, sorted by path.
pub(crate) struct Files {
    /// What the charter is called in messages.
    pub root: PathBuf,
    pub files: Vec<(String, Vec<u8>)>,
    /// Files in `topics/` and `controls/` that are not read.
    pub ignored: Vec<String>,
}

impl Files {
    /// Reads `charter.toml`, `topics/*.toml` and `controls/*.toml` of a folder; a path to `charter.toml` itself
    /// stands for its folder.
    pub fn read(path: &Path) -> Result<Self, CharterError> {
        let root = match path.file_name() {
            Some(name) if name == "charter.toml" && path.is_file() => {
                path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
            }
            _ => path,
        };
        let none = |why: &str| CharterError::NotACharter { path: root.to_owned(), why: why.into() };
        let meta = std::fs::metadata(root).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => none("the folder does not exist"),
            _ => CharterError::Io { path: root.to_owned(), source: e },
        })?;
        if !meta.is_dir() {
            return Err(none("not a folder"));
        }
        let mut out = Self { root: root.to_owned(), files: Vec::new(), ignored: Vec::new() };
        let main = root.join("charter.toml");
        if !main.is_file() {
            return Err(none("it has no charter.toml"));
        }
        out.files.push(("charter.toml".into(), read_bounded(&main)?));
        for folder in ["controls", "topics"] {
            out.read_folder(folder)?;
        }
        out.files.sort();
        out.ignored.sort();
        Ok(out)
    }

    fn read_folder(&mut self, folder: &str) -> Result<(), CharterError> {
        let dir = self.root.join(folder);
        let io = |source| CharterError::Io { path: dir.clone(), source };
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            // Without topics the check says so, which is the better message.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(io(e)),
        };
        for entry in entries {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            // Editors' and file managers' own files (`.#x.toml`, `._x.toml`, `.DS_Store`).
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            match name.to_str() {
                Some(name) if name.ends_with(".toml") && path.is_file() => {
                    self.files.push((format!("{folder}/{name}"), read_bounded(&path)?));
                }
                _ => self.ignored.push(format!("{folder}/{}", name.to_string_lossy())),
            }
            if self.files.len() > MAX_FILES {
                return Err(CharterError::TooMany { path: self.root.clone(), limit: MAX_FILES });
            }
        }
        Ok(())
    }

    /// From memory, for a charter that is part of a program.
    pub fn from_memory(
        name: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, CharterError> {
        let root = PathBuf::from(name);
        let mut out = Self { root, files: files.into_iter().collect(), ignored: Vec::new() };
        out.files.sort();
        let too_large = out.files.iter().find(|(_, bytes)| bytes.len() as u64 > MAX_FILE);
        if let Some((file, bytes)) = too_large {
            let path = out.root.join(file);
            return Err(CharterError::TooLarge { path, size: bytes.len() as u64, limit: MAX_FILE });
        }
        if out.files.iter().any(|(file, _)| file == "charter.toml") {
            Ok(out)
        } else {
            Err(CharterError::NotACharter { path: out.root, why: "it has no charter.toml".into() })
        }
    }

    /// SHA-256 (hex) over every file's path and bytes, each with its length, so that no two charters share one.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (path, bytes) in &self.files {
            for part in [path.as_bytes(), bytes] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Refuses before reading, and stops reading at the limit: a device or pipe has no size beforehand.
fn read_bounded(path: &Path) -> Result<Vec<u8>, CharterError> {
    let io = |source| CharterError::Io { path: path.to_owned(), source };
    let too_large = |size| CharterError::TooLarge { path: path.to_owned(), size, limit: MAX_FILE };
    let file = std::fs::File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size > MAX_FILE {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}
