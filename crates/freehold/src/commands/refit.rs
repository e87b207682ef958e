use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use freehold_audit::Selection;
use freehold_proof::{comparison_text, exit_code, gates_text, scorecard_text};

use super::audit::{audit_into, known_languages};
use super::compare::{measure_kl, prove};
use super::treat::train;
use super::{print, print_json};
use crate::args::{Common, Refit};
use crate::context::{charter, engine, recipe, resolve};
use crate::ui::Ui;

pub fn run(common: &Common, args: &Refit, ui: &Ui) -> Result<u8> {
    let started = Instant::now();
    let whole = charter(args.charter.as_deref())?;
    known_languages(&whole, &args.languages)?;
    let core = whole.core();
    let charter = match (core.topics.is_empty(), args.languages.is_empty()) {
        (true, _) => whole,
        // Languages that a person names are asked even where the core leaves them out.
        (false, true) if !whole.core_languages.is_empty() => core.speaking(&whole.core_languages),
        (false, _) => core,
    };
    let recipe = recipe(args.recipe.as_ref(), common.seed)?;
    let file = resolve(common, &args.model, ui)?;
    ui.finish();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from("freehold-out").join(format!("refit-{}", file.name)));
    let selection = Selection { languages: args.languages.clone(), limit: args.limit };

    ui.say(&format!(
        "refit of {} against {} {} into {}",
        file.name,
        charter.id,
        charter.version,
        out.display()
    ));
    ui.say("1/4 audit of the model as it is");
    let base = engine(&file, None, ui)?;
    ui.show_telling(8);
    let before_dir = out.join("before");
    let before = audit_into(&base, &charter, &selection, false, &before_dir, ui)?;
    ui.show_telling(0);
    // The scorecard is for the person who waits; with --json, standard output is kept for the result.
    let card = format!("before treatment:\n{}", scorecard_text(&before.scorecard));
    if common.json {
        ui.say(&card)
    } else {
        print(&card)?
    }

    // Scoring facts against narratives comes after the scorecard: the person who waits has something to read by now.
    let before = match before.verdicts.iter().any(|v| v.open_book.is_some()) {
        true => before,
        false => audit_into(&base, &charter, &selection, true, &before_dir, ui)?,
    };

    ui.say("2/4 treatment");
    let adapter = out.join("adapter");
    let training = train(&base, &charter, &before, &recipe, &adapter, ui)?;

    ui.say("3/4 audit of the treated model");
    let treated = base.with_adapter(&adapter)?;
    let after = audit_into(&treated, &charter, &selection, true, &out.join("after"), ui)?;
    measure_kl(&base, &treated, &charter, &before, &after.path)?;

    ui.say("4/4 proof");
    let proof_dir = out.join("proof");
    let parameters = (base.model.spec.flops_per_token(true) / 2.0) as u64;
    let proof = prove(&charter, (&before, &after), Some(&training), Some(parameters), &proof_dir)?;
    if common.json {
        print_json(&proof)?;
    } else {
        print(&comparison_text(&proof.comparison))?;
        print(&gates_text(&proof.gates))?;
        let minutes = started.elapsed().as_secs_f64() / 60.0;
        print(&format!("this took {minutes:.1} minutes"))?;
        print(&format!("report: {}", proof_dir.join("report.html").display()))?;
        print(&format!("try it: freehold chat {} --adapter {}", file.name, adapter.display()))?;
    }
    Ok(exit_code(&proof.gates))
}
