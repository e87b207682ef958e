//! The catalogue: models that are known by name.

use serde::Deserialize;

use crate::error::HubError;
use crate::source::Source;

/// Models that are known by name, with where they come from and what they must hash to.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub models: Vec<Entry>,
}

/// One model of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    pub title: String,
    pub licence: String,
    /// File name in the cache.
    pub file: String,
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// False: known, but not shown, since its family does not run yet.
    #[serde(default = "yes")]
    pub listed: bool,
    /// In the order in which they are tried.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    model: Vec<Entry>,
}

impl Catalogue {
    /// The one that is part of the program.
    pub fn bundled() -> Result<Self, HubError> {
        Self::parse(include_str!("../../../catalogue.toml"))
    }

    /// From TOML in the form of `catalogue.toml`.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let document: Document = toml::from_str(text).map_err(|e| HubError::Catalogue(e.to_string()))?;
        let catalogue = Self { models: document.model };
        catalogue.validate()?;
        Ok(catalogue)
    }

    fn validate(&self) -> Result<(), HubError> {
        let wrong = |entry: &Entry, why: &str| HubError::Catalogue(format!("model `{}`: {why}", entry.name));
        let mut names = std::collections::HashSet::new();
        for entry in &self.models {
            for name in std::iter::once(&entry.name).chain(&entry.aliases) {
                // A name becomes a folder, and must never be taken for a path or a source.
                let plain =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
                if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(plain) {
                    return Err(wrong(entry, "names have lower-case letters, digits, dots and hyphens only"));
                }
                if !names.insert(name) {
                    return Err(wrong(entry, &format!("the name `{name}` is taken already")));
                }
            }
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            if entry.sha256.len() != 64 || !entry.sha256.chars().all(hex) {
                return Err(wrong(entry, "sha256 must be 64 lower-case hex digits"));
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if entry.file.starts_with('.') || entry.file.is_empty() || !entry.file.chars().all(plain) {
                return Err(wrong(entry, "file must be a plain file name"));
            }
            if entry.size == 0 || entry.sources.is_empty() {
                return Err(wrong(entry, "it needs a size and at least one source"));
            }
            for source in &entry.sources {
                source.validate().map_err(|why| wrong(entry, &why))?;
            }
        }
        Ok(())
    }

    /// The model with this name or alias.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.models.iter().find(|m| m.name == name || m.aliases.iter().any(|a| a == name))
    }

    /// The known name nearest to a mistyped one.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        if name.len() > 80 {
            return None;
        }
        let name = name.to_lowercase();
        let names = self.models.iter().flat_map(|m| std::iter::once(&m.name).chain(&m.aliases));
        let scored = names.map(|n| (strsim::jaro_winkler(&name, n), n.as_str()));
        scored.filter(|s| s.0 > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|s| s.1)
    }

    /// What to say where `name` is no model.
    pub(crate) fn unknown(&self, name: &str) -> HubError {
        let hint = match self.nearest(name) {
            Some(near) => format!("did you mean `{near}`? `freehold list` shows all"),
            None => {
                let names: Vec<&str> =
                    self.models.iter().filter(|m| m.listed).map(|m| m.name.as_str()).collect();
                format!("known are {}; or give hf:OWNER/REPO/FILE, or the path of a file", names.join(", "))
            }
        };
        HubError::Unknown { name: name.chars().take(120).collect(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_one_is_valid() {
        let c = Catalogue::bundled().unwrap();
        assert_eq!(c.find("default").unwrap().name, "qwen2.5-coder-0.5b-instruct");
        assert!(!c.find("gemma-3-270m").unwrap().listed);
        assert_eq!(c.nearest("smolm2"), Some("smollm2"));
        assert_eq!(c.nearest("gpt-5"), None);
        let text = c.unknown("gpt-5").to_string();
        assert!(text.contains("smollm2-135m-instruct") && !text.contains("gemma"), "{text}");
    }

    #[test]
    fn a_hostile_catalogue_is_refused() {
        let entry = |name: &str, file: &str, source: &str| {
            format!(
                "[[model]]\nname = \"{name}\"\ntitle = \"t\"\nlicence = \"l\"\nfile = \"{file}\"\nsize = 1\nsha256 = \"{}\"\n\
                 [[model.source]]\n{source}\n",
                "0".repeat(64)
            )
        };
        assert!(Catalogue::parse(&entry("a", "f.gguf", "path = \"/x\"")).is_ok());
        for (name, file, source) in [
            ("../a", "f", "path = \"/x\""),
            ("a", "../f", "path = \"/x\""),
            ("a", "f", "hf = \"owner/../x\""),
            ("a", "f", "hf = \"owner/repo\""),
            ("a", "f", "pypi = []"),
            ("a", "f", "pypi = [{ package = \"-r\", version = \"1\", member = \"m\" }]"),
            ("a", "f", "hf = \"a/b/c\"\npath = \"/x\""),
            ("a", "f", "ftp = \"x\""),
        ] {
            assert!(Catalogue::parse(&entry(name, file, source)).is_err(), "{name} {file} {source}");
        }
    }
}
