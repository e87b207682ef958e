use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Engine(#[from] freehold_engine::EngineError),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}, line {line}: {reason}; restore the file, or remove the folder to audit anew")]
    Damaged { path: PathBuf, line: usize, reason: String },
    #[error(
        "{path} holds a run with another {what} ({theirs}, now {ours}): choose another folder with --out, or remove it"
    )]
    OtherRun { path: PathBuf, what: &'static str, theirs: String, ours: String },
    #[error("{0} is being written by another freehold; wait for it or choose another folder")]
    Busy(PathBuf),
    #[error("{0} holds no run (no run.json)")]
    NoRun(PathBuf),
    #[error("{path}, line {line}: {reason}")]
    Answer { path: PathBuf, line: usize, reason: String },
    #[error("{0} holds a run already; choose another folder with --out")]
    Taken(PathBuf),
    #[error("nothing to ask: the charter has no probe or control in {0}")]
    Nothing(String),
}

pub type Result<T, E = AuditError> = std::result::Result<T, E>;

pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> AuditError + '_ {
    move |source| AuditError::Io { path: path.into(), source }
}
