//! The cache: models that were fetched, and the way from a name to a file.
//!
//! `models/<name>/<file>` with `model.json` beside it; `downloads/` for what is not finished; `locks/`; `digests.json`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::catalogue::{Catalogue, Entry};
use crate::digests::{Stamp, hash_file, write_json};
use crate::error::{Fail, HubError, SourceFailure};
use crate::fetch::{Reach, Wanted, fetch};
use crate::http::Hub;
use crate::lock::Lock;
use crate::model::{ModelFile, Record, local};
use crate::progress::Progress;
use crate::source::{HfFile, Source};

/// Where models are kept, and how they are fetched.
#[derive(Debug, Clone)]
pub struct Cache {
    home: PathBuf,
    catalogue: Catalogue,
    reach: Reach,
}

/// One line of `freehold list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub name: String,
    pub aliases: Vec<String>,
    pub title: String,
    pub licence: Option<String>,
    pub size: u64,
    /// Where it is, once it has been fetched.
    pub path: Option<PathBuf>,
    /// Where it came from, or would come from first.
    pub source: String,
}

impl Cache {
    /// The cache in FREEHOLD_HOME, else in the platform's cache folder. Nothing is created before it is needed.
    pub fn open() -> Result<Self, HubError> {
        Self::at(&home_from(|name| std::env::var_os(name)).ok_or(HubError::NoHome)?)
    }

    /// The cache in a folder of one's choice.
    pub fn at(home: &Path) -> Result<Self, HubError> {
        Ok(Self { home: home.to_owned(), catalogue: Catalogue::bundled()?, reach: Reach::from_env() })
    }

    /// With another catalogue.
    pub fn with_catalogue(mut self, catalogue: Catalogue) -> Self {
        self.catalogue = catalogue;
        self
    }

    /// With another model hub than HF_ENDPOINT names.
    pub fn with_hub(mut self, base: &str) -> Self {
        self.reach.hub = base.to_owned();
        self
    }

    /// With another Python than FREEHOLD_PYTHON names.
    pub fn with_python(mut self, program: &str) -> Self {
        self.reach.python = program.to_owned();
        self
    }

    /// How long to wait for a connection, and how long for the next byte.
    pub fn with_timeouts(mut self, connect: Duration, stall: Duration) -> Self {
        self.reach.timeouts.connect = connect;
        self.reach.timeouts.stall = stall;
        self
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// From what a person wrote to a model on this machine, fetched if need be: a catalogue name or alias,
    /// `hf:OWNER/REPO[/FILE]`, or the path of a file or folder. `offline` forbids every network access.
    pub fn resolve(
        &self,
        model: &str,
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<ModelFile, HubError> {
        if let Some(spec) = model.strip_prefix("hf:") {
            return self.hub_file(model, spec, offline, progress);
        }
        if let Some(entry) = self.catalogue.find(model) {
            return self.pull(entry, offline, progress);
        }
        if model.starts_with("http://") || model.starts_with("https://") {
            let hint = "an endpoint has no file; give a catalogue name, hf:OWNER/REPO/FILE or a path".into();
            return Err(HubError::Unknown { name: model.to_owned(), hint });
        }
        let path = Path::new(model);
        if path.exists() || model.contains(['/', '\\']) || model.ends_with(".gguf") {
            return local(&self.home, path, progress);
        }
        Err(self.catalogue.unknown(model))
    }

    /// What can be named: the catalogue, then whatever else is in the cache.
    pub fn list(&self) -> Result<Vec<Listed>, HubError> {
        let mut out = Vec::new();
        for entry in &self.catalogue.models {
            let folder = self.folder(&entry.name);
            let there =
                Record::read(&folder).filter(|r| r.digest == entry.sha256 && folder.join(&r.file).is_file());
            if !entry.listed && there.is_none() {
                continue;
            }
            out.push(Listed {
                name: entry.name.clone(),
                aliases: entry.aliases.clone(),
                title: entry.title.clone(),
                licence: Some(entry.licence.clone()),
                size: entry.size,
                path: there.as_ref().map(|r| folder.join(&r.file)),
                source: match there {
                    Some(record) => record.source,
                    None => entry.sources.first().map(ToString::to_string).unwrap_or_default(),
                },
            });
        }
        let Ok(folders) = std::fs::read_dir(self.home.join("models")) else { return Ok(out) };
        let mut others: Vec<Listed> = folders
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter_map(|folder| records(&folder))
            .flatten()
            .filter(|(record, _)| self.catalogue.find(&record.name).is_none())
            .map(|(record, path)| Listed {
                name: record.name.clone(),
                aliases: Vec::new(),
                title: record.file.clone(),
                licence: record.licence,
                size: record.stamp.size,
                path: Some(path),
                source: record.source,
            })
            .collect();
        others.sort_by(|a, b| a.name.cmp(&b.name));
        out.extend(others);
        Ok(out)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.home.join("models").join(name)
    }

    fn pull(&self, entry: &Entry, offline: bool, progress: &dyn Progress) -> Result<ModelFile, HubError> {
        let wanted = Wanted {
            name: &entry.name,
            file: &entry.file,
            size: Some(entry.size),
            sha256: Some(&entry.sha256),
            sources: &entry.sources,
        };
        self.get(&self.folder(&entry.name), &entry.name, &wanted, Some(&entry.licence), offline, progress)
    }

    /// A file of the hub that no catalogue knows: there is no hash to check it against, and that is said.
    fn hub_file(
        &self,
        name: &str,
        spec: &str,
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<ModelFile, HubError> {
        let unknown = |why: String| HubError::Unknown { name: name.to_owned(), hint: why };
        let mut file = HfFile::parse_open(spec).map_err(unknown)?;
        if file.file.is_empty() {
            file.file = self.choose(name, &file, offline)?;
        }
        let full = format!("{}/{}", file.repo, file.file);
        let (name, folder) = (format!("hf:{full}"), self.folder(&file.folder()).join(file.file_name()));
        let sources = [Source::Hf(full)];
        let wanted =
            Wanted { name: &name, file: file.file_name(), size: None, sha256: None, sources: &sources };
        let lock = format!("{}@{}", file.folder(), file.file_name());
        self.get(&folder, &lock, &wanted, None, offline, progress)
    }

    /// The file of a repository that a person would take: the only GGUF, or the Q4_K_M.
    fn choose(&self, name: &str, file: &HfFile, offline: bool) -> Result<String, HubError> {
        if offline {
            return Err(HubError::Offline { name: name.to_owned(), home: self.home.clone() });
        }
        let listed = Hub::new(&self.reach.hub, self.reach.timeouts).and_then(|hub| hub.files(&file.repo));
        let files = listed.map_err(|e| match e {
            Fail::Fatal(e) => e,
            Fail::Source(why) => HubError::NoSource {
                name: name.to_owned(),
                failures: vec![SourceFailure { source: name.to_owned(), why }],
            },
        })?;
        let split = |f: &str| f.contains("-of-0");
        let gguf: Vec<&String> = files.iter().filter(|f| f.ends_with(".gguf") && !split(f)).collect();
        let usual = gguf.iter().find(|f| f.to_lowercase().contains("q4_k_m"));
        match (gguf.as_slice(), usual) {
            ([only], _) => Ok((*only).clone()),
            (_, Some(usual)) => Ok((*usual).clone()),
            ([], _) => Err(HubError::Unknown {
                name: name.to_owned(),
                hint: "the repository has no single-file GGUF; name a file: hf:OWNER/REPO/FILE".into(),
            }),
            (several, None) => {
                let names: Vec<&str> = several.iter().take(20).map(|f| f.as_str()).collect();
                Err(HubError::Unknown {
                    name: name.to_owned(),
                    hint: format!("name one of its files: {}", names.join(", ")),
                })
            }
        }
    }

    /// The file in `folder` if it is good, else fetched.
    fn get(
        &self,
        folder: &Path,
        lock: &str,
        wanted: &Wanted<'_>,
        licence: Option<&str>,
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<ModelFile, HubError> {
        if let Some(model) = unchanged(folder, wanted)? {
            return Ok(model);
        }
        // Also keeps --offline on a cache that was never used from creating folders.
        let path = folder.join(wanted.file);
        let networked = wanted.sources.iter().all(Source::needs_network);
        let offline_error = || HubError::Offline { name: wanted.name.to_owned(), home: self.home.clone() };
        if offline && networked && !path.is_file() {
            return Err(offline_error());
        }
        let _lock = Lock::take(&self.home, lock, progress)?;
        // Whoever held the lock may have brought it.
        if let Some(model) = unchanged(folder, wanted)? {
            return Ok(model);
        }
        if path.is_file() {
            match self.rehash(folder, wanted, licence, progress)? {
                Some(model) => return Ok(model),
                None if offline && networked => return Err(offline_error()),
                None => {}
            }
        }
        let downloads = self.home.join("downloads").join(lock);
        let fetched = fetch(wanted, &self.reach, offline, &downloads, &path, progress)?;
        if wanted.sha256.is_none() {
            progress.message(&format!(
                "{}: no hash was known beforehand, so only the connection vouches for it; SHA-256 is {}, recorded",
                wanted.name, fetched.digest
            ));
        }
        record(folder, wanted, licence, fetched.digest, fetched.source)
    }

    /// A file whose size or time does not fit its record (or that a kill left without one) is hashed again.
    fn rehash(
        &self,
        folder: &Path,
        wanted: &Wanted<'_>,
        licence: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Option<ModelFile>, HubError> {
        let path = folder.join(wanted.file);
        let before = Record::read(folder);
        let due = wanted.sha256.map(str::to_owned).or_else(|| before.as_ref().map(|r| r.digest.clone()));
        progress.message(&format!("{}: checking the file in the cache", wanted.name));
        progress.start(Stamp::of(&path)?.size);
        let digest = hash_file(&path, progress)?;
        if due.is_none_or(|due| due != digest) {
            progress.message(&format!(
                "{}: the file in the cache is not the one recorded; fetching it anew",
                wanted.name
            ));
            return Ok(None);
        }
        let source = before.map_or_else(|| "cache".into(), |r| r.source);
        record(folder, wanted, licence, digest, source).map(Some)
    }
}

/// The model of the folder's record, if the file has the recorded size and time and is the one wanted.
fn unchanged(folder: &Path, wanted: &Wanted<'_>) -> Result<Option<ModelFile>, HubError> {
    let Some(record) = Record::read(folder) else { return Ok(None) };
    let path = folder.join(&record.file);
    let due = wanted.sha256.is_none_or(|due| due == record.digest) && record.file == wanted.file;
    Ok((due && path.is_file() && Stamp::of(&path)? == record.stamp).then(|| record.model(folder)))
}

fn record(
    folder: &Path,
    wanted: &Wanted<'_>,
    licence: Option<&str>,
    digest: String,
    source: String,
) -> Result<ModelFile, HubError> {
    let record = Record {
        name: wanted.name.to_owned(),
        file: wanted.file.to_owned(),
        digest,
        stamp: Stamp::of(&folder.join(wanted.file))?,
        licence: licence.map(str::to_owned),
        source,
        known: wanted.sha256.is_some(),
    };
    write_json(&folder.join("model.json"), &record)?;
    Ok(record.model(folder))
}

/// Records of a folder of `models/`: its own, or those one level below (files of one repository).
fn records(folder: &Path) -> Option<Vec<(Record, PathBuf)>> {
    let one = |folder: &Path| {
        let record = Record::read(folder)?;
        let path = folder.join(&record.file);
        path.is_file().then_some((record, path))
    };
    if let Some(found) = one(folder) {
        return Some(vec![found]);
    }
    let below = std::fs::read_dir(folder).ok()?;
    Some(below.filter_map(|e| e.ok()).filter_map(|e| one(&e.path())).collect())
}

/// The cache's folder by the environment.
fn home_from(var: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let path = |name: &str| var(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(home) = path("FREEHOLD_HOME") {
        return Some(home);
    }
    let base = if cfg!(windows) {
        path("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        path("HOME").map(|h| h.join("Library/Caches"))
    } else {
        // A relative XDG path is to be ignored, says its specification.
        path("XDG_CACHE_HOME").filter(|p| p.is_absolute()).or_else(|| path("HOME").map(|h| h.join(".cache")))
    };
    base.map(|b| b.join("freehold"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn home_follows_the_environment() {
        let with = |vars: &[(&str, &str)]| {
            let vars: Vec<(String, String)> =
                vars.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            home_from(|name| vars.iter().find(|v| v.0 == name).map(|v| v.1.clone().into()))
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/freehold".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/freehold".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")]), Some("/h/.cache/freehold".into()));
        assert_eq!(with(&[("HOME", "/h"), ("FREEHOLD_HOME", "/f")]), Some("/f".into()));
        assert_eq!(with(&[]), None);
    }
}
