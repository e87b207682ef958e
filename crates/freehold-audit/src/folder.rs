//! A run's folder: written line by line, readable after a kill at any moment.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use freehold_judge::run::{Answer, RunRecord, Scorecard, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{AuditError, Result, io};

/// A run that is being written. The lock is held as long as this lives.
pub struct Folder {
    pub path: PathBuf,
    _lock: File,
}

/// A file of JSON lines that is only ever appended to.
pub struct Lines<T> {
    file: File,
    path: PathBuf,
    pub seen: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> Lines<T> {
    /// Reads what is there; a last line that a kill cut short is dropped.
    fn open(path: PathBuf) -> Result<Self> {
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(io(&path))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io(&path))?;
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if whole < text.len() {
            file.set_len(whole as u64).map_err(io(&path))?;
            file.seek(SeekFrom::End(0)).map_err(io(&path))?;
        }
        let seen = parse_lines(&path, &text[..whole])?;
        Ok(Self { file, path, seen })
    }

    /// Appends a line and hands it to the system, so that a kill loses nothing that was answered.
    pub fn push(&mut self, value: T) -> Result<()> {
        let mut line = serde_json::to_vec(&value).map_err(|e| io(&self.path)(e.into()))?;
        line.push(b'\n');
        let before = self.file.metadata().map_err(io(&self.path))?.len();
        if let Err(e) = self.file.write_all(&line).and_then(|()| self.file.flush()) {
            // A full disk may have taken half the line.
            let _ = self.file.set_len(before);
            return Err(io(&self.path)(e));
        }
        self.seen.push(value);
        Ok(())
    }
}

fn parse_lines<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<Vec<T>> {
    text.split(|&b| b == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| {
            serde_json::from_slice(line).map_err(|e| AuditError::Damaged {
                path: path.into(),
                line: i + 1,
                reason: e.to_string(),
            })
        })
        .collect()
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    match std::fs::read(path) {
        Ok(text) => parse_lines(path, &text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(io(path)(e)),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|e| AuditError::Damaged {
            path: path.into(),
            line: e.line(),
            reason: e.to_string(),
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io(path)(e)),
    }
}

/// Writes beside the target and renames.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| io(path)(e.into()))?;
    write_bytes(path, &bytes)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&part);
        io(path)(e)
    })
}

impl Folder {
    /// Creates or opens a run's folder for writing.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(io(path))?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(AuditError::Busy(path.into())),
            Err(std::fs::TryLockError::Error(e)) => Err(io(&lock_path)(e)),
        }
    }

    pub fn record(&self) -> Result<Option<RunRecord>> {
        read_json(&self.path.join("run.json"))
    }

    pub fn write_record(&self, record: &RunRecord) -> Result<()> {
        write_json(&self.path.join("run.json"), record)
    }

    pub fn answers(&self) -> Result<Lines<Answer>> {
        Lines::open(self.path.join("answers.jsonl"))
    }

    pub fn lines<T: Serialize + DeserializeOwned>(&self, name: &str) -> Result<Lines<T>> {
        Lines::open(self.path.join(name))
    }

    pub fn write_verdicts(&self, verdicts: &[Verdict], scorecard: &Scorecard) -> Result<()> {
        let path = self.path.join("verdicts.jsonl");
        let mut bytes = Vec::new();
        for v in verdicts {
            serde_json::to_writer(&mut bytes, v).map_err(|e| io(&path)(e.into()))?;
            bytes.push(b'\n');
        }
        write_bytes(&path, &bytes)?;
        write_json(&self.path.join("scorecard.json"), scorecard)
    }
}

/// A finished (or unfinished) run, read back.
#[derive(Debug, Clone)]
pub struct Run {
    pub path: PathBuf,
    pub record: RunRecord,
    pub answers: Vec<Answer>,
    pub verdicts: Vec<Verdict>,
    pub scorecard: Scorecard,
}

impl Run {
    pub fn load(path: &Path) -> Result<Self> {
        let record = read_json(&path.join("run.json"))?.ok_or_else(|| AuditError::NoRun(path.into()))?;
        let scorecard = read_json(&path.join("scorecard.json"))?.unwrap_or(Scorecard {
            rates: Vec::new(),
            confusion: Default::default(),
            twin_gaps: Vec::new(),
        });
        Ok(Self {
            path: path.into(),
            record,
            answers: read_lines(&path.join("answers.jsonl"))?,
            verdicts: read_lines(&path.join("verdicts.jsonl"))?,
            scorecard,
        })
    }
}
