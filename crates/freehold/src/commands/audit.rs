use std::path::Path;

use anyhow::{Result, bail};
use freehold_audit::{Run, Selection, Settings};
use freehold_charter::Charter;
use freehold_engine::LocalEngine;
use freehold_model::kernels::weight::Products;
use freehold_proof::scorecard_text;

use super::{print, print_json};
use crate::args::{Audit, Common};
use crate::context::{CODE_VERSION, ask, charter};
use crate::ui::{Ui, Watching};

pub fn run(common: &Common, args: &Audit, ui: &Ui) -> Result<u8> {
    let charter = charter(args.charter.as_deref())?;
    known_languages(&charter, &args.languages)?;
    if args.adapter.is_some() && args.models.len() > 1 {
        bail!("--adapter belongs to one model; audit the others without it");
    }
    let mut cards = Vec::new();
    for model in &args.models {
        let engine = ask(
            common,
            model,
            args.adapter.as_deref(),
            args.system.as_deref(),
            Products::Same,
            &args.remote,
            ui,
        )?;
        let name = engine.identity().model.clone();
        let out = if args.models.len() > 1 { args.out.join(folder_name(&name)) } else { args.out.clone() };
        let selection = Selection { languages: args.languages.clone(), limit: args.limit };
        let settings = Settings {
            selection,
            leaning: !args.no_leaning,
            open_book: !args.no_open_book,
            code_version: CODE_VERSION.into(),
            system: args.system.clone(),
        };
        ui.show_telling(6);
        let run = freehold_audit::audit(&*engine, &charter, &settings, &out, &mut Watching(ui))?;
        ui.finish();
        if !common.json {
            print(&format!("{name}  ({})\n{}", out.display(), scorecard_text(&run.scorecard)))?;
        }
        cards.push(run.scorecard);
    }
    if common.json {
        match cards.as_slice() {
            [one] => print_json(one)?,
            many => print_json(&many)?,
        }
    }
    Ok(0)
}

/// A model's name as a folder's: an endpoint's has slashes and a colon.
fn folder_name(model: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    let name: String =
        model.trim_start_matches("http://").trim_start_matches("https://").chars().map(keep).collect();
    name.trim_matches('.').to_string()
}

pub fn known_languages(charter: &Charter, languages: &[String]) -> Result<()> {
    match languages.iter().find(|l| !charter.languages.contains(l)) {
        Some(l) => bail!("the charter has no language `{l}`; it has {}", charter.languages.join(", ")),
        None => Ok(()),
    }
}

/// One audit of a refit. `thorough`: with the scoring and the questions that ask what a plain answer cannot tell.
pub fn audit_into(
    engine: &LocalEngine,
    charter: &Charter,
    selection: &Selection,
    thorough: bool,
    out: &Path,
    ui: &Ui,
) -> Result<Run> {
    let settings = Settings {
        selection: selection.clone(),
        leaning: thorough,
        open_book: thorough,
        code_version: CODE_VERSION.into(),
        system: None,
    };
    let run = freehold_audit::audit(engine, charter, &settings, out, &mut Watching(ui))?;
    ui.finish();
    Ok(run)
}
