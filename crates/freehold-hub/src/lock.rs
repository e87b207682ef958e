//! One pull of a model at a time, across processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::{HubError, io};
use crate::progress::Progress;

/// Held as long as it lives; the system lets go of it when the process ends, however it ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for whoever holds it.
    pub fn take(home: &Path, name: &str, progress: &dyn Progress) -> Result<Self, HubError> {
        let folder = home.join("locks");
        std::fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let path = folder.join(format!("{name}.lock"));
        let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.message(&format!("another freehold is busy with `{name}`; waiting for it"));
                file.lock().map_err(io("lock", &path))?;
            }
            // Some network file systems have no locks. Two pulls at once then cost time; what they write is hashed.
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(io("lock", &path)(e)),
        }
        Ok(Self { _file: file })
    }
}
