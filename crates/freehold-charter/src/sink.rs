//! Where defects go, and how a part of the charter finds its line again.

use std::collections::HashMap;

use crate::error::{Defect, Severity};

/// Collects defects. Parts of the charter are named by paths (`t3.c0.text.en`: the English text of the first claim
/// of the fourth topic), each marked with file and line while reading, so that checks need only the types.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    files: Vec<String>,
    marks: HashMap<String, (usize, usize)>,
    defects: Vec<Defect>,
    /// A file could not be read: checks across files would only repeat that.
    pub broken: bool,
}

impl Sink {
    pub fn file(&mut self, name: &str) -> usize {
        self.files.push(name.to_owned());
        self.files.len() - 1
    }

    pub fn mark(&mut self, path: &str, file: usize, line: usize) {
        self.marks.insert(path.to_owned(), (file, line));
    }

    pub fn add(&mut self, file: usize, line: usize, severity: Severity, message: impl Into<String>) {
        let file = self.files.get(file).cloned().unwrap_or_else(|| "charter.toml".into());
        self.defects.push(Defect { file, line: line.max(1), severity, message: message.into() });
    }

    /// A defect of the part at `path`, or of the nearest part around it that the file has.
    pub fn error(&mut self, path: &str, message: impl Into<String>) {
        let (file, line) = self.place(path);
        self.add(file, line, Severity::Error, message);
    }

    pub fn warn(&mut self, path: &str, message: impl Into<String>) {
        let (file, line) = self.place(path);
        self.add(file, line, Severity::Warning, message);
    }

    /// `file:line` of a part, for messages that point at a second place.
    pub fn whereabouts(&self, path: &str) -> String {
        let (file, line) = self.place(path);
        format!("{}:{line}", self.files.get(file).map_or("charter.toml", String::as_str))
    }

    /// An unknown part is at the start of charter.toml, which is always the first file.
    fn place(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(&mark) = self.marks.get(path) {
                return mark;
            }
            match path.rfind('.') {
                Some(at) => path = &path[..at],
                None => return (0, 1),
            }
        }
    }

    pub fn into_defects(mut self) -> Vec<Defect> {
        // One defect may be found twice (by a check of the whole and of a part).
        self.defects.sort_by(|a, b| {
            (&a.file, a.line, a.severity, &a.message).cmp(&(&b.file, b.line, b.severity, &b.message))
        });
        self.defects.dedup();
        self.defects
    }
}
