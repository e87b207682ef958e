use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use serde_json::json;

use super::{print, print_json};
use crate::args::Common;

pub fn lint(common: &Common, path: Option<&Path>) -> Result<u8> {
    let text = match path {
        Some(p) => std::fs::read_to_string(p).with_context(|| p.display().to_string())?,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            text
        }
    };
    let findings = freehold_zh::lint::lint(&text);
    let place = |at: usize| {
        let line = text[..at].matches('\n').count() + 1;
        let column = text[text[..at].rfind('\n').map_or(0, |i| i + 1)..at].chars().count() + 1;
        (line, column)
    };
    if common.json {
        let rows: Vec<_> = findings
            .iter()
            .map(|f| {
                let (line, column) = place(f.start);
                json!({ "line": line, "column": column, "word": f.word, "suggestion": f.suggestion, "kind": format!("{:?}", f.kind).to_lowercase() })
            })
            .collect();
        print_json(&rows)?;
    } else {
        let name = path.map_or_else(|| "-".into(), |p| p.display().to_string());
        for f in &findings {
            let (line, column) = place(f.start);
            print(&format!("{name}:{line}:{column}: {} → {}", f.word, f.suggestion))?;
        }
    }
    Ok(0)
}
