//! Digests of files, remembered as long as size and modification time stay.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{HubError, io};
use crate::lock::Lock;
use crate::part::{copy, hex};
use crate::progress::Progress;

/// Remembered files: more are not worth the reading.
const MAX_REMEMBERED: usize = 10_000;

/// Size and modification time: a file with the same ones is taken to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub size: u64,
    pub mtime_ns: u64,
}

impl Stamp {
    pub fn of(path: &Path) -> Result<Self, HubError> {
        let meta = std::fs::metadata(path).map_err(io("read", path))?;
        let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let mtime_ns = modified.and_then(|d| u64::try_from(d.as_nanos()).ok()).unwrap_or(0);
        Ok(Self { size: meta.len(), mtime_ns })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    #[serde(flatten)]
    stamp: Stamp,
    sha256: String,
}

type Memory = BTreeMap<String, Remembered>;

/// SHA-256 (hex) of a file.
pub(crate) fn hash_file(path: &Path, progress: &dyn Progress) -> Result<String, HubError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut hash = Sha256::new();
    copy(&mut file, path, |block| {
        hash.update(block);
        progress.advance(block.len() as u64);
    })?;
    Ok(hex(hash))
}

/// SHA-256 of a file outside the cache: from `digests.json` where the file has not changed since.
pub(crate) fn remembered(
    home: &Path,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(String, Stamp), HubError> {
    let canonical = std::fs::canonicalize(path).map_err(io("find", path))?;
    let key = canonical.to_string_lossy().into_owned();
    let memory = home.join("digests.json");
    let stamp = Stamp::of(&canonical)?;
    if let Some(known) = read(&memory).remove(&key).filter(|k| k.stamp == stamp) {
        return Ok((known.sha256, stamp));
    }
    let sha256 = hash_file(&canonical, progress)?;
    // A file that changed under our hands has a digest that is nobody's.
    if Stamp::of(&canonical)? != stamp {
        return Err(HubError::NotAModel {
            path: canonical,
            why: "it changed while it was read; try again".into(),
        });
    }
    // A cache that cannot be written to costs time, not the answer.
    let _ = remember(home, &memory, key, Remembered { stamp, sha256: sha256.clone() });
    Ok((sha256, stamp))
}

fn read(memory: &Path) -> Memory {
    std::fs::read(memory).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn remember(home: &Path, memory: &Path, key: String, value: Remembered) -> Result<(), HubError> {
    let _lock = Lock::take(home, "digests", &crate::progress::Silent)?;
    let mut all = read(memory);
    if all.len() >= MAX_REMEMBERED {
        all.retain(|path, _| PathBuf::from(path).exists());
    }
    all.insert(key, value);
    write_json(memory, &all)
}

/// Writes beside the file and renames, so that a reader never sees half of it.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), HubError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| io("write", path)(e.into()))?;
    let beside = path.with_extension(format!("json.{}", std::process::id()));
    std::fs::write(&beside, bytes).map_err(io("write", &beside))?;
    std::fs::rename(&beside, path).map_err(io("write", path))
}
