//! A run's folder: written line by line, readable after a kill at any moment.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use freehold_judge::decide::Decision;
use freehold_judge::run::{Answer, RunRecord, Scorecard, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{AuditError, Result, io};

/// A run that is being written. The lock is held as long as this lives.
pub struct Folder {
    pub path: PathBuf,
    _lock: File,
}

/// What a line of a run's file answers: nothing with the same key is asked twice.
pub trait Keyed {
    fn key(&self) -> &str;
}

impl Keyed for Answer {
    fn key(&self) -> &str {
        &self.key
    }
}

/// A file of JSON lines that is only ever appended to. In memory are the keys and where each line lies, not the lines: a run may
/// have a hundred thousand of them.
pub struct Lines<T> {
    file: File,
    path: PathBuf,
    /// Offset and length in bytes.
    index: HashMap<String, (u64, usize)>,
    end: u64,
    of: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned + Keyed> Lines<T> {
    /// Reads what is there; a last line that a kill cut short is dropped.
    fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(io(&path))?;
        let mut lines = Self { file, path, index: HashMap::new(), end: 0, of: PhantomData };
        let mut reader = BufReader::new(lines.file.try_clone().map_err(io(&lines.path))?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let n = reader.read_until(b'\n', &mut line).map_err(io(&lines.path))?;
            if n == 0 {
                break;
            }
            if line.last() != Some(&b'\n') {
                lines.file.set_len(lines.end).map_err(io(&lines.path))?;
                break;
            }
            if !line.trim_ascii().is_empty() {
                let value: T = serde_json::from_slice(&line).map_err(|e| AuditError::Damaged {
                    path: lines.path.clone(),
                    line: number,
                    reason: e.to_string(),
                })?;
                lines.index.insert(value.key().to_string(), (lines.end, n));
            }
            lines.end += n as u64;
        }
        Ok(lines)
    }

    pub fn has(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The line with this key, read back.
    pub fn get(&mut self, key: &str) -> Result<Option<T>> {
        let Some(&(at, n)) = self.index.get(key) else { return Ok(None) };
        let mut line = vec![0; n];
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut line));
        read.map_err(io(&self.path))?;
        let damaged = |e: serde_json::Error| AuditError::Damaged {
            path: self.path.clone(),
            line: 0,
            reason: e.to_string(),
        };
        serde_json::from_slice(&line).map(Some).map_err(damaged)
    }

    /// Appends a line and hands it to the system, so that a kill loses nothing that was answered.
    pub fn push(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| io(&self.path)(e.into()))?;
        line.push(b'\n');
        if let Err(e) = self.file.write_all(&line).and_then(|()| self.file.flush()) {
            // A full disk may have taken half the line.
            let _ = self.file.set_len(self.end);
            return Err(io(&self.path)(e));
        }
        self.index.insert(value.key().to_string(), (self.end, line.len()));
        self.end += line.len() as u64;
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

    pub fn lines<T: Serialize + DeserializeOwned + Keyed>(&self, name: &str) -> Result<Lines<T>> {
        Lines::open(self.path.join(name))
    }

    pub fn write_decisions(&self, decisions: &[Decision]) -> Result<()> {
        write_json(&self.path.join("decisions.json"), &decisions)
    }

    /// Writes the verdicts as they come, beside their place, and renames.
    pub fn write_verdicts(&self, name: &str, each: &mut dyn FnMut(Put<'_>) -> Result<()>) -> Result<()> {
        let path = self.path.join(name);
        let part = path.with_extension("part");
        let mut write = || {
            let mut file = BufWriter::new(File::create(&part).map_err(io(&path))?);
            each(&mut |v| {
                serde_json::to_writer(&mut file, v).map_err(|e| io(&path)(e.into()))?;
                file.write_all(b"\n").map_err(io(&path))
            })?;
            let file = file.into_inner().map_err(|e| io(&path)(e.into_error()))?;
            file.sync_all().and_then(|()| std::fs::rename(&part, &path)).map_err(io(&path))
        };
        write().inspect_err(|_| drop(std::fs::remove_file(&part)))
    }

    /// A whole file of JSON lines.
    pub fn write_json_lines<T: Serialize>(&self, name: &str, rows: &[T]) -> Result<()> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut bytes, row).map_err(|e| io(&path)(e.into()))?;
            bytes.push(b'\n');
        }
        write_bytes(&path, &bytes)
    }

    pub fn write_scorecard(&self, scorecard: &Scorecard) -> Result<()> {
        write_json(&self.path.join("scorecard.json"), scorecard)
    }
}

/// Takes one verdict to be written.
pub type Put<'a> = &'a mut dyn FnMut(&Verdict) -> Result<()>;

/// A finished (or unfinished) run, read back.
#[derive(Debug, Clone)]
pub struct Run {
    pub path: PathBuf,
    pub record: RunRecord,
    pub answers: Vec<Answer>,
    pub verdicts: Vec<Verdict>,
    pub scorecard: Scorecard,
    /// Of an audit that asked until the gates were decided.
    pub decisions: Vec<Decision>,
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
            decisions: read_json(&path.join("decisions.json"))?.unwrap_or_default(),
        })
    }
}
