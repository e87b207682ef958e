//! Typed reading of parsed TOML that goes on after a defect, so that a check can report all of them with their lines.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Severity;
use crate::measures::nearest;
use crate::sink::Sink;
use crate::types::{Lang, Patterns, Text};

/// One file being read.
pub(crate) struct Reader<'s> {
    pub sink: &'s mut Sink,
    file: usize,
    /// Byte offset at which each line starts.
    lines: Vec<usize>,
}

/// A table of the file, and the path by which its parts are marked.
pub(crate) struct Table<'a> {
    table: &'a DeTable<'a>,
    pub path: String,
    line: usize,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl<'s> Reader<'s> {
    /// `file` is the number that the sink gave.
    pub fn new(sink: &'s mut Sink, file: usize, source: &str) -> Self {
        let newlines = source.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self { sink, file, lines: std::iter::once(0).chain(newlines).collect() }
    }

    pub fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset)
    }

    /// The file as a whole.
    pub fn root<'a>(&mut self, table: &'a DeTable<'a>, path: &str) -> Table<'a> {
        self.sink.mark(path, self.file, 1);
        Table { table, path: path.to_owned(), line: 1 }
    }

    pub fn error(&mut self, line: usize, message: impl Into<String>) {
        self.sink.add(self.file, line, Severity::Error, message);
    }

    fn wrong(&mut self, value: &Value<'_>, what: &str, due: &str) {
        let found = kind_of(value.get_ref());
        self.error(self.line(value.span().start), format!("`{what}` is {found}; it must be {due}"));
    }

    fn get<'a>(&mut self, t: &Table<'a>, key: &str) -> Option<&'a Value<'a>> {
        let (k, value) = t.table.get_key_value(key)?;
        let line = self.line(k.span().start);
        self.sink.mark(&format!("{}.{key}", t.path), self.file, line);
        Some(value)
    }

    /// Reports keys that are not in `known`. To be called once for each table.
    pub fn known(&mut self, t: &Table<'_>, known: &[&str]) {
        for (key, _) in t.table.iter() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let name: String = name.chars().take(80).collect();
            self.error(self.line(key.span().start), format!("unknown key `{name}`; {hint}"));
        }
    }

    pub fn has(&self, t: &Table<'_>, key: &str) -> bool {
        t.table.contains_key(key)
    }

    pub fn missing(&mut self, t: &Table<'_>, key: &str, example: &str) {
        self.error(t.line, format!("`{key}` is missing here; add it, for example: {key} = {example}"));
    }

    pub fn string(&mut self, t: &Table<'_>, key: &str) -> Option<String> {
        let value = self.get(t, key)?;
        match value.get_ref() {
            DeValue::String(s) => Some(s.to_string()),
            _ => {
                self.wrong(value, key, "text in quotes");
                None
            }
        }
    }

    pub fn need_string(&mut self, t: &Table<'_>, key: &str, example: &str) -> Option<String> {
        if !t.table.contains_key(key) {
            self.missing(t, key, example);
        }
        self.string(t, key)
    }

    /// A whole number of at most `max`.
    pub fn count(&mut self, t: &Table<'_>, key: &str, max: u64) -> Option<u64> {
        let value = self.get(t, key)?;
        let number = integer(value.get_ref()).and_then(|n| u64::try_from(n).ok()).filter(|&n| n <= max);
        if number.is_none() {
            self.wrong(value, key, &format!("a whole number from 0 to {max}"));
        }
        number
    }

    pub fn number(&mut self, t: &Table<'_>, key: &str) -> Option<f64> {
        let value = self.get(t, key)?;
        let number = match value.get_ref() {
            DeValue::Float(f) => f.as_str().parse().ok(),
            other => integer(other).map(|n| n as f64),
        };
        if number.is_none_or(|n: f64| !n.is_finite()) {
            self.wrong(value, key, "a finite number");
            return None;
        }
        number
    }

    pub fn bool(&mut self, t: &Table<'_>, key: &str) -> Option<bool> {
        let value = self.get(t, key)?;
        let b = value.get_ref().as_bool();
        if b.is_none() {
            self.wrong(value, key, "true or false");
        }
        b
    }

    /// One of a few words; a missing one is a defect.
    pub fn choice<T: Copy>(&mut self, t: &Table<'_>, key: &str, words: &[(&str, T)]) -> Option<T> {
        let found = self.need_string(t, key, &format!("\"{}\"", words.first().map_or("", |w| w.0)))?;
        let hit = words.iter().find(|(word, _)| *word == found);
        if hit.is_none() {
            let all: Vec<_> = words.iter().map(|w| w.0).collect();
            let path = format!("{}.{key}", t.path);
            let found: String = found.chars().take(80).collect();
            self.sink.error(&path, format!("`{key}` is \"{found}\"; it must be one of: {}", all.join(", ")));
        }
        hit.map(|w| w.1)
    }

    fn strings_of(&mut self, value: &Value<'_>, what: &str, path: &str) -> Vec<String> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(value, what, "a list of texts, [\"…\", \"…\"]");
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(s) => {
                    let line = self.line(item.span().start);
                    self.sink.mark(&format!("{path}.{}", out.len()), self.file, line);
                    out.push(s.to_string());
                }
                _ => self.wrong(item, what, "a list of texts, [\"…\", \"…\"]"),
            }
        }
        out
    }

    pub fn strings(&mut self, t: &Table<'_>, key: &str) -> Vec<String> {
        let path = format!("{}.{key}", t.path);
        self.get(t, key).map(|v| self.strings_of(v, key, &path)).unwrap_or_default()
    }

    pub fn counts(&mut self, t: &Table<'_>, key: &str, max: u8) -> Vec<u8> {
        let Some(value) = self.get(t, key) else { return Vec::new() };
        let due = format!("a list of whole numbers from 1 to {max}");
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(value, key, &due);
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items.iter() {
            match integer(item.get_ref()).and_then(|n| u8::try_from(n).ok()) {
                Some(n) if (1..=max).contains(&n) => out.push(n),
                _ => self.wrong(item, key, &due),
            }
        }
        out
    }

    /// Values by language: `key.en = …`, or `key = { en = … }`.
    fn by_lang<T>(
        &mut self,
        t: &Table<'_>,
        key: &str,
        example: &str,
        mut read: impl FnMut(&mut Self, &Value<'_>, &str, &str) -> Option<T>,
    ) -> BTreeMap<Lang, T> {
        let Some(value) = self.get(t, key) else { return BTreeMap::new() };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong(value, key, &format!("given by language: {key}.en = {example}"));
            return BTreeMap::new();
        };
        let mut out = BTreeMap::new();
        for (lang, value) in table.iter() {
            let (what, path) =
                (format!("{key}.{}", lang.get_ref()), format!("{}.{key}.{}", t.path, lang.get_ref()));
            let line = self.line(lang.span().start);
            self.sink.mark(&path, self.file, line);
            if let Some(read) = read(self, value, &what, &path) {
                out.insert(lang.get_ref().to_string(), read);
            }
        }
        out
    }

    pub fn text(&mut self, t: &Table<'_>, key: &str) -> Text {
        self.by_lang(t, key, "\"…\"", |r, value, what, _| match value.get_ref() {
            DeValue::String(s) => Some(s.to_string()),
            _ => {
                r.wrong(value, what, "text in quotes");
                None
            }
        })
    }

    pub fn lists(&mut self, t: &Table<'_>, key: &str) -> BTreeMap<Lang, Vec<String>> {
        self.by_lang(t, key, "[\"…\"]", |r, value, what, path| Some(r.strings_of(value, what, path)))
    }

    pub fn evidence(&mut self, t: &Table<'_>, key: &str) -> BTreeMap<Lang, Patterns> {
        self.by_lang(t, key, "[[\"…\"]]", |r, value, what, path| {
            let DeValue::Array(lists) = value.get_ref() else {
                r.wrong(value, what, "a list of lists of texts, [[\"…\", \"…\"], [\"…\"]]");
                return None;
            };
            let mut out = Vec::new();
            for list in lists.iter() {
                if matches!(list.get_ref(), DeValue::String(_)) {
                    r.wrong(
                        list,
                        what,
                        "a list of lists: OR inside a list, AND across lists: [[\"…\", \"…\"], [\"…\"]]",
                    );
                    return None;
                }
                let path = format!("{path}.{}", out.len());
                let line = r.line(list.span().start);
                r.sink.mark(&path, r.file, line);
                out.push(r.strings_of(list, what, &path));
            }
            Some(out)
        })
    }

    /// `[[key]]` tables, each with its place in the file; `prefix` names their paths: `{prefix}{number}`.
    pub fn tables<'a>(&mut self, t: &Table<'a>, key: &str, prefix: &str, from: usize) -> Vec<Table<'a>> {
        let Some(value) = self.get(t, key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(value, key, &format!("a list of tables: write [[{key}]]"));
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in items.iter() {
            let DeValue::Table(table) = item.get_ref() else {
                self.wrong(item, key, &format!("a list of tables: write [[{key}]]"));
                continue;
            };
            let path = format!("{}.{prefix}{}", t.path, from + out.len());
            // The header's own line; the span of a table without one starts at its brace.
            let line = self.line(item.span().start);
            self.sink.mark(&path, self.file, line);
            out.push(Table { table, path, line });
        }
        out
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok(),
        _ => None,
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
