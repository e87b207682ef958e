use anyhow::Result;

use super::{print, print_json};
use crate::args::Common;
use crate::context::resolve;
use crate::ui::Ui;

pub fn run(common: &Common, model: &str, ui: &Ui) -> Result<u8> {
    let file = resolve(common, model, ui)?;
    ui.finish();
    if common.json {
        print_json(&file)?;
    } else {
        let licence = file.licence.as_deref().unwrap_or("unknown licence");
        print(&format!(
            "{}\n  {}\n  sha256 {}, {} bytes, {licence}",
            file.name,
            file.path.display(),
            file.digest,
            file.size
        ))?;
    }
    Ok(0)
}
