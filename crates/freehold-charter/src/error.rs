//! What can be wrong with a charter, and where.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::types::Charter;

/// Why a charter could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CharterError {
    #[error("{}: no charter here: {why}; a charter is a folder with charter.toml, topics/ and controls/ \
             (`freehold charter new DIR` writes one)", path.display())]
    NotACharter { path: PathBuf, why: String },
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}: {size} bytes; a charter's file may have at most {limit}: split it", path.display())]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("{}: more than {limit} files; split the charter", path.display())]
    TooMany { path: PathBuf, limit: usize },
    #[error("{}: exists already; name a folder that does not, or an empty one", path.display())]
    Exists { path: PathBuf },
    /// The charter was read, and is defective. `first` is the first error in the order of files and lines.
    #[error("{}{}{}:{}: {}{}", root.display(), std::path::MAIN_SEPARATOR, first.file, first.line, first.message,
            more(*.errors))]
    Defective { root: PathBuf, first: Box<Defect>, errors: usize },
}

fn more(errors: usize) -> String {
    match errors {
        0 | 1 => String::new(),
        2 => " (and 1 more error: see `freehold charter check`)".into(),
        n => format!(" (and {} more errors: see `freehold charter check`)", n - 1),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The charter cannot be used.
    Error,
    /// The charter can be used, and would be better without it.
    Warning,
}

/// One thing wrong with a charter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defect {
    /// Relative to the charter's folder, with `/` between its parts.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub severity: Severity,
    pub message: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: {}", self.file, self.line, self.message)
    }
}

/// All that `freehold charter check` found.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of files and lines.
    pub defects: Vec<Defect>,
    /// The charter as read; with errors among the defects it is for looking at, not for use. None when a file
    /// could not be read at all.
    pub charter: Option<Charter>,
}

impl Report {
    pub fn errors(&self) -> impl Iterator<Item = &Defect> {
        self.defects.iter().filter(|d| d.severity == Severity::Error)
    }

    pub fn warnings(&self) -> impl Iterator<Item = &Defect> {
        self.defects.iter().filter(|d| d.severity == Severity::Warning)
    }

    /// True when the charter can be used.
    pub fn passed(&self) -> bool {
        self.charter.is_some() && self.errors().next().is_none()
    }
}
