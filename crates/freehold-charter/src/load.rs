//! The ways in: load a charter, or check it.

use std::path::Path;

use crate::check;
use crate::error::{CharterError, Defect, Report, Severity};
use crate::files::Files;
use crate::read;
use crate::sink::Sink;
use crate::types::{Charter, Lang};

impl Charter {
    /// Loads the charter in folder `path`. A charter with any error is refused, with the first one; warnings are not
    /// looked at ([`Charter::check`] gives them).
    pub fn load(path: &Path) -> Result<Self, CharterError> {
        refuse_defective(Files::read(path)?)
    }

    /// As [`Charter::load`], from files in memory: relative path (with `/`) and bytes. `name` stands for the folder
    /// in messages.
    pub fn from_files(
        name: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, CharterError> {
        refuse_defective(Files::from_memory(name, files)?)
    }

    /// Everything that is wrong with the charter in folder `path`.
    pub fn check(path: &Path) -> Report {
        Files::read(path).map_or_else(unreadable, |files| report(&files))
    }

    /// As [`Charter::check`], from files in memory.
    pub fn check_files(name: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Report {
        Files::from_memory(name, files).map_or_else(unreadable, |files| report(&files))
    }

    /// Only what is asked and taught in these languages; claims keep all of theirs, since a model may answer in another one.
    pub fn speaking(&self, languages: &[Lang]) -> Self {
        fn keep<T>(text: &mut std::collections::BTreeMap<Lang, T>, languages: &[Lang]) {
            text.retain(|lang, _| languages.contains(lang));
        }
        let mut charter = self.clone();
        for topic in &mut charter.topics {
            for probe in &mut topic.probes {
                keep(&mut probe.text, languages);
                keep(&mut probe.variants, languages);
            }
            for answer in &mut topic.answers {
                keep(&mut answer.text, languages);
                keep(&mut answer.variants, languages);
                keep(&mut answer.reasoning, languages);
            }
        }
        for control in &mut charter.controls {
            keep(&mut control.text, languages);
            keep(&mut control.answer, languages);
        }
        charter.controls.retain(|c| !c.text.is_empty());
        charter
    }

    /// Only the topics marked `core`. Controls and gates stay, and so does the digest: it names the files. A twin in a
    /// topic that is left out is dropped, since it will not be asked.
    pub fn core(&self) -> Self {
        let mut core = self.clone();
        core.topics.retain(|t| t.core);
        let asked: std::collections::HashSet<String> = core
            .topics
            .iter()
            .flat_map(|t| t.probes.iter().map(move |p| format!("{}/{}", t.id, p.id)))
            .collect();
        for probe in core.topics.iter_mut().flat_map(|t| &mut t.probes) {
            probe.twin = probe.twin.take().filter(|twin| asked.contains(twin));
        }
        core
    }
}

fn unreadable(e: CharterError) -> Report {
    let message = e.to_string();
    let defect = Defect { file: "charter.toml".into(), line: 1, severity: Severity::Error, message };
    Report { defects: vec![defect], charter: None }
}

fn report(files: &Files) -> Report {
    let mut sink = Sink::default();
    let charter = read::charter(files, &mut sink);
    let broken = sink.broken;
    check::run(&charter, files, &mut sink);
    Report { defects: sink.into_defects(), charter: (!broken).then_some(charter) }
}

fn refuse_defective(files: Files) -> Result<Charter, CharterError> {
    let report = report(&files);
    let errors = report.errors().count();
    let first = report.errors().next().cloned();
    match (first, report.charter) {
        (None, Some(charter)) => Ok(charter),
        (first, _) => {
            let unreadable = || Defect {
                file: "charter.toml".into(),
                line: 1,
                severity: Severity::Error,
                message: "could not be read".into(),
            };
            let first = Box::new(first.unwrap_or_else(unreadable));
            Err(CharterError::Defective { root: files.root, first, errors })
        }
    }
}
