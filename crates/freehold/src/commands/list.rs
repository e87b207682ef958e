use anyhow::Result;
use freehold_hub::Cache;

use super::{print, print_json};
use crate::args::Common;

pub fn run(common: &Common) -> Result<u8> {
    let models = Cache::open()?.list()?;
    if common.json {
        print_json(&models)?;
        return Ok(0);
    }
    for m in models {
        let size = m.size as f64 / 1e6;
        let place = m.path.map_or_else(|| "not fetched".to_string(), |p| p.display().to_string());
        let aliases =
            if m.aliases.is_empty() { String::new() } else { format!(" (also: {})", m.aliases.join(", ")) };
        print(&format!(
            "{}{aliases}\n  {}, {size:.0} MB, {}\n  {place}",
            m.name,
            m.title,
            m.licence.as_deref().unwrap_or("licence not stated")
        ))?;
    }
    Ok(0)
}
