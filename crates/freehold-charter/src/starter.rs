//! The starter charter that `freehold charter new` writes: small, commented, and without errors.

use std::path::Path;

use crate::error::CharterError;

/// Relative path and content of each of the starter's files.
pub const FILES: [(&str, &str); 8] = [
    ("charter.toml", include_str!("../starter/charter.toml")),
    ("topics/tuskegee-study.toml", include_str!("../starter/topics/tuskegee-study.toml")),
    ("topics/katyn.toml", include_str!("../starter/topics/katyn.toml")),
    ("topics/parthenon-sculptures.toml", include_str!("../starter/topics/parthenon-sculptures.toml")),
    ("controls/harmless.toml", include_str!("../starter/controls/harmless.toml")),
    ("controls/benign.toml", include_str!("../starter/controls/benign.toml")),
    ("controls/harmful.toml", include_str!("../starter/controls/harmful.toml")),
    ("controls/script.toml", include_str!("../starter/controls/script.toml")),
];

/// Writes the starter charter into `dir`, which must be empty or not exist yet.
pub fn write(dir: &Path) -> Result<(), CharterError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CharterError::Io { path, source }
    };
    match std::fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(CharterError::Exists { path: dir.to_owned() });
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io(dir)(e)),
    }
    for folder in ["topics", "controls"] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    }
    for (name, content) in FILES {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(io(&path))?;
    }
    Ok(())
}
