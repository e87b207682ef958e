//! What must be remembered beside a `.part` file to go on with it after a kill.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digests::write_json;
use crate::error::HubError;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The source, in full: bytes of another one are not a beginning of this one.
    source: String,
    /// The hub's name for this version of the file.
    #[serde(default)]
    pub etag: Option<String>,
    /// Wheels: how many are done, and how many bytes they gave.
    #[serde(default)]
    pub parts: usize,
    #[serde(default)]
    pub bytes: u64,
    #[serde(skip)]
    path: PathBuf,
}

impl State {
    /// The state beside `part`, or a fresh one where there is none of this source. True: the part may be gone on with.
    pub fn load(part: &Path, source: String) -> (Self, bool) {
        let path = Self::path(part);
        let found: Option<Self> = std::fs::read(&path).ok().and_then(|b| serde_json::from_slice(&b).ok());
        match found.filter(|f| f.source == source) {
            Some(found) => (Self { path, ..found }, true),
            None => (Self { source, path, ..Self::default() }, false),
        }
    }

    /// Where the state of `part` is.
    pub fn path(part: &Path) -> PathBuf {
        let mut path = part.as_os_str().to_owned();
        path.push(".json");
        PathBuf::from(path)
    }

    pub fn save(&self) -> Result<(), HubError> {
        write_json(&self.path, self)
    }
}
