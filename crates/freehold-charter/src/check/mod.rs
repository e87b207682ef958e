//! Checks of meaning: what the types cannot say.

mod answers;
mod controls;
mod head;
mod lang;
mod overlap;
mod probes;
mod topics;

use std::collections::HashMap;

use crate::files::Files;
use crate::sink::Sink;
use crate::types::Charter;

pub(crate) fn run(charter: &Charter, files: &Files, sink: &mut Sink) {
    for file in &files.ignored {
        let message = format!("`{file}` is not read: only *.toml files in topics/ and controls/ are");
        sink.warn("charter", message);
    }
    head::check(charter, sink);
    topics::check(charter, sink);
    for (number, topic) in charter.topics.iter().enumerate() {
        let path = format!("t{number}");
        probes::check(charter, topic, &path, sink);
        answers::check(charter, topic, &path, sink);
    }
    controls::check(charter, sink);
    if !sink.broken {
        // What spans files is only known when all of them could be read.
        head::coverage(charter, sink);
        probes::twins(charter, sink);
        overlap::check(charter, sink);
    }
}

/// Letters, digits and hyphens in lower case: safe in file names, URLs and messages.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 80
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Reports ids that are badly formed or given twice; a missing one was reported while reading.
fn ids<'a>(what: &str, ids: impl Iterator<Item = (&'a str, String)>, sink: &mut Sink) {
    let mut seen: HashMap<&str, String> = HashMap::new();
    for (id, path) in ids.filter(|(id, _)| !id.is_empty()) {
        let shown: String = id.chars().take(80).collect();
        if what != "control" && !is_id(id) {
            sink.error(
                &format!("{path}.id"),
                format!("{what} id `{shown}`: use lower-case letters, digits and hyphens, at most 80"),
            );
        } else if id.contains(['/', ' ', '\n', '\t']) || id.len() > 80 {
            sink.error(
                &format!("{path}.id"),
                format!("{what} id `{shown}`: no spaces or slashes, at most 80 bytes"),
            );
        }
        match seen.get(id) {
            Some(first) => {
                let first = sink.whereabouts(first);
                sink.error(
                    &format!("{path}.id"),
                    format!("{what} id `{shown}` is taken already ({first}); give one of them another"),
                );
            }
            None => {
                seen.insert(id, format!("{path}.id"));
            }
        }
    }
}

/// Two capital letters, as ISO 3166-1 alpha-2 has them.
fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())
}
