use std::path::Path;

use anyhow::Result;
use freehold_audit::{Selection, items};
use freehold_charter::{Charter, starter};
use serde_json::json;

use super::audit::known_languages;
use super::{print, print_json};
use crate::args::Common;
use crate::context::{BUNDLED_NAME, bundled_files, charter};

pub fn check(common: &Common, path: Option<&Path>) -> Result<u8> {
    let report = match path {
        Some(path) => Charter::check(path),
        None => Charter::check_files(BUNDLED_NAME, bundled_files()),
    };
    let passed = report.passed();
    if common.json {
        print_json(&json!({ "passed": passed, "defects": report.defects }))?;
        return Ok(if passed { 0 } else { 1 });
    }
    for d in &report.defects {
        print(&d.to_string())?;
    }
    if let Some(c) = &report.charter {
        let probes: usize = c.topics.iter().map(|t| t.probes.len()).sum();
        let only = c.test_only_topics().len();
        print(&format!(
            "{} {}: {} topics ({only} for testing only), {probes} probes, {} controls, {} languages",
            c.id,
            c.version,
            c.topics.len(),
            c.controls.len(),
            c.languages.len()
        ))?;
    }
    let (errors, warnings) = (report.errors().count(), report.warnings().count());
    print(&format!("{errors} errors, {warnings} warnings"))?;
    Ok(if passed { 0 } else { 1 })
}

pub fn new(common: &Common, path: &Path) -> Result<u8> {
    starter::write(path)?;
    if common.json {
        print_json(&json!({ "path": path }))?;
    } else {
        print(&format!(
            "{}: a starter charter; edit it, then: freehold charter check {}",
            path.display(),
            path.display()
        ))?;
    }
    Ok(0)
}

/// The questions of an audit, one JSON object a line.
pub fn questions(path: Option<&Path>, languages: Vec<String>, limit: Option<usize>) -> Result<u8> {
    let charter = charter(path)?;
    known_languages(&charter, &languages)?;
    let mut out = String::new();
    for item in items(&charter, &Selection { languages, limit }) {
        let line = json!({
            "id": item.id.id, "lang": item.id.lang, "prompt": item.prompt, "max_new_tokens": item.max_new_tokens,
        });
        out.push_str(&format!("{line}\n"));
    }
    print(&out)?;
    Ok(0)
}
