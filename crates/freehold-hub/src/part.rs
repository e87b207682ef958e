//! A file that is not complete yet: hashed and bounded while it is written.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Fail, HubError, io};

const BLOCK: usize = 1 << 18;

/// A `.part` file open for writing at its end.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    hash: Sha256,
    len: u64,
    /// More bytes than this are refused.
    limit: u64,
}

impl Part {
    /// Opens or creates the file, and keeps at most `keep` bytes of what is there.
    pub fn open(path: &Path, keep: u64, limit: u64) -> Result<Self, HubError> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(io("open", path))?;
        let there = file.metadata().map_err(io("read", path))?.len();
        if there > keep.min(limit) {
            file.set_len(keep.min(limit)).map_err(io("shorten", path))?;
        }
        let mut hash = Sha256::new();
        let len = copy(&mut file, path, |block| hash.update(block))?;
        Ok(Self { file, path: path.to_owned(), hash, len, limit })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins anew.
    pub fn clear(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(io("empty", &self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(io("empty", &self.path))?;
        self.hash = Sha256::new();
        self.len = 0;
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        let after = self.len + bytes.len() as u64;
        if after > self.limit {
            return Err(Fail::source(format!("it sends more than the {} bytes due; refused", self.limit)));
        }
        self.file.write_all(bytes).map_err(io("write", &self.path))?;
        self.hash.update(bytes);
        self.len = after;
        Ok(())
    }

    /// What was written so far is on the disk.
    pub fn sync(&self) -> Result<(), HubError> {
        self.file.sync_data().map_err(io("write", &self.path))
    }

    /// SHA-256 (hex) of the whole file.
    pub fn digest(&self) -> String {
        hex(self.hash.clone())
    }
}

pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads the rest of `from` block by block; returns its length.
pub(crate) fn copy(from: &mut File, path: &Path, mut take: impl FnMut(&[u8])) -> Result<u64, HubError> {
    let mut block = vec![0; BLOCK];
    let mut len = 0;
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(len),
            Ok(n) => {
                take(&block[..n]);
                len += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(io("read", path)(e)),
        }
    }
}
