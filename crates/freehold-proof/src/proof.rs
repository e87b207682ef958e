//! The proof's folder: `report.html` for people, and `proof.json` with the same figures, the records of both runs and the
//! digests of all their files, from which `verify` can check everything again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use freehold_judge::run::{RunRecord, Scorecard};
use freehold_stats::Estimate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compare::Comparison;
use crate::gates::{GateResult, Status};
use crate::report::{self, JudgeAgreement, ProofInput, TrainingSummary, outcome};

pub const PROOF_FILE: &str = "proof.json";
pub const REPORT_FILE: &str = "report.html";
/// The layout of `proof.json`; raised when a reader of the old one would misread the new one.
pub const FORMAT: u32 = 1;

/// `proof.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proof {
    pub format: u32,
    pub outcome: Status,
    pub charter: CharterRef,
    pub before: RunPart,
    pub after: RunPart,
    pub gates: Vec<GateResult>,
    pub comparison: Comparison,
    pub training: Option<TrainingSummary>,
    pub judge: Option<JudgeAgreement>,
    pub kl: Option<Estimate>,
    pub model_parameters: Option<u64>,
    /// SHA-256 (hex) of `report.html`.
    pub report_digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharterRef {
    pub id: String,
    pub version: String,
    pub digest: String,
}

/// One run within a proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunPart {
    pub record: RunRecord,
    pub scorecard: Scorecard,
    /// SHA-256 (hex) of every file of the run's folder, by relative path with `/`.
    pub files: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("cannot {doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is neither a file nor a folder: a run's folder holds nothing else; remove it")]
    Strange { path: PathBuf },
    #[error("a file's name in {path} is not UTF-8, and could not be told in proof.json: rename it")]
    Name { path: PathBuf },
    #[error("proof.json could not be read back, as when a figure is no number: {source}")]
    Json { source: serde_json::Error },
    #[error("{path} has format {found}; this program reads {FORMAT}")]
    Format { path: PathBuf, found: u32 },
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ProofError + 'a {
    move |source| ProofError::Io { doing, path: path.to_owned(), source }
}

/// Writes `report.html`, then `proof.json`, into `dir`, which is made if it is not there. Each stands whole or not at
/// all, and `proof.json` comes last: where it is, the proof is complete. `before` and `after` are the runs' folders.
pub fn write_proof(dir: &Path, input: &ProofInput, before: &Path, after: &Path) -> Result<Proof, ProofError> {
    fs::create_dir_all(dir).map_err(failed("make the folder", dir))?;
    let page = report::html(input);
    let part = |run: &report::RunData, folder: &Path| -> Result<RunPart, ProofError> {
        Ok(RunPart {
            record: run.record.clone(),
            scorecard: run.scorecard.clone(),
            files: digests(folder, dir)?,
        })
    };
    let proof = Proof {
        format: FORMAT,
        outcome: outcome(input.gates),
        charter: CharterRef {
            id: input.charter.id.clone(),
            version: input.charter.version.clone(),
            digest: input.charter.digest.clone(),
        },
        before: part(&input.before, before)?,
        after: part(&input.after, after)?,
        gates: input.gates.to_vec(),
        comparison: input.comparison.clone(),
        training: input.training.cloned(),
        judge: input.judge.cloned(),
        kl: input.kl.cloned(),
        model_parameters: input.model_parameters,
        report_digest: hex(&Sha256::digest(page.as_bytes())),
    };
    let mut json = serde_json::to_vec_pretty(&proof).map_err(|source| ProofError::Json { source })?;
    json.push(b'\n');
    // JSON has no NaN: it would be written as null, and the proof could never be read again.
    serde_json::from_slice::<Proof>(&json).map_err(|source| ProofError::Json { source })?;
    // An older proof must not stand beside a newer report.
    match fs::remove_file(dir.join(PROOF_FILE)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", &dir.join(PROOF_FILE))(e));
        }
        _ => {}
    }
    write_whole(&dir.join(REPORT_FILE), page.as_bytes())?;
    write_whole(&dir.join(PROOF_FILE), &json)?;
    Ok(proof)
}

/// Reads the `proof.json` of a proof's folder.
pub fn read_proof(dir: &Path) -> Result<Proof, ProofError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let path = dir.join(PROOF_FILE);
    let bytes = fs::read(&path).map_err(failed("read", &path))?;
    let head: Head = serde_json::from_slice(&bytes).map_err(|source| ProofError::Json { source })?;
    if head.format != FORMAT {
        return Err(ProofError::Format { path, found: head.format });
    }
    serde_json::from_slice(&bytes).map_err(|source| ProofError::Json { source })
}

/// SHA-256 (hex) of every file under `folder`, by relative path with `/`; the folder `except` is left out, since a proof
/// may be written inside a run.
pub fn digests(folder: &Path, except: &Path) -> Result<BTreeMap<String, String>, ProofError> {
    let except = except.canonicalize().ok();
    let mut out = BTreeMap::new();
    walk(folder, "", except.as_deref(), &mut out)?;
    Ok(out)
}

fn walk(
    folder: &Path,
    prefix: &str,
    except: Option<&Path>,
    out: &mut BTreeMap<String, String>,
) -> Result<(), ProofError> {
    for entry in fs::read_dir(folder).map_err(failed("read the folder", folder))? {
        let entry = entry.map_err(failed("read the folder", folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| ProofError::Name { path: folder.to_owned() })?;
        let name = format!("{prefix}{name}");
        // A link is not followed: what it points to is not part of the run.
        let kind = entry.file_type().map_err(failed("read", &path))?;
        if kind.is_dir() {
            if except.is_none() || path.canonicalize().ok().as_deref() != except {
                walk(&path, &format!("{name}/"), except, out)?;
            }
        } else if kind.is_file() {
            out.insert(name, file_digest(&path)?);
        } else {
            return Err(ProofError::Strange { path });
        }
    }
    Ok(())
}

fn file_digest(path: &Path) -> Result<String, ProofError> {
    let mut file = File::open(path).map_err(failed("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed("read", path)(e)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes beside the target, syncs and renames, so that a kill or a full disk never leaves half a file under the name.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ProofError> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let write = || -> io::Result<()> {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        // Only on Unix can a folder be opened and synced; elsewhere the rename has to do.
        #[cfg(unix)]
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&part);
        failed("write", path)(e)
    })
}
