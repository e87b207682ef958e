//! What can go wrong between a model's name and its file.

use std::path::{Path, PathBuf};

/// Why a model could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("no model `{name}`: {hint}")]
    Unknown { name: String, hint: String },
    #[error("{}: no model here: {why}", path.display())]
    NotAModel { path: PathBuf, why: String },
    #[error("`{name}` is not in the cache ({}), and --offline forbids fetching it: run `freehold pull {name}` once with \
             a network, or set FREEHOLD_HOME to where it is", home.display())]
    Offline { name: String, home: PathBuf },
    #[error("{}: could not {doing}: {source}{}", path.display(), advice(source))]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the catalogue is wrong: {0}")]
    Catalogue(String),
    #[error(
        "`{name}` could not be fetched from any source:{}\ncheck the network (HF_ENDPOINT names another model hub, \
             FREEHOLD_PYTHON another Python), or give the path of a file you have",
        list(failures)
    )]
    NoSource { name: String, failures: Vec<SourceFailure> },
    #[error("no folder for the cache: set FREEHOLD_HOME to one")]
    NoHome,
}

/// One source that was tried in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    pub source: String,
    pub why: String,
}

fn list(failures: &[SourceFailure]) -> String {
    failures.iter().map(|f| format!("\n  {}: {}", f.source, f.why)).collect()
}

fn advice(e: &std::io::Error) -> &'static str {
    match e.kind() {
        std::io::ErrorKind::StorageFull => {
            "; free some space, or set FREEHOLD_HOME to a larger disk and run again"
        }
        std::io::ErrorKind::PermissionDenied => "; set FREEHOLD_HOME to a folder you may write to",
        _ => "",
    }
}

/// For `map_err`: an I/O error with what was being done, and to which path.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Io { doing, path, source }
}

/// Why one source gave nothing.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The next source may do better.
    Source(String),
    /// No source can help: the disk is full, the folder is not ours.
    Fatal(HubError),
}

impl From<HubError> for Fail {
    fn from(e: HubError) -> Self {
        Self::Fatal(e)
    }
}

impl Fail {
    pub fn source(why: impl Into<String>) -> Self {
        Self::Source(why.into())
    }
}
