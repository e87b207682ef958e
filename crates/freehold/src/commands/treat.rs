use std::path::Path;

use anyhow::{Result, bail};
use freehold_audit::Run;
use freehold_charter::Charter;
use freehold_engine::LocalEngine;
use freehold_treat::{OwnAnswers, Recipe, Training};
use serde_json::json;

use super::{print, print_json};
use crate::args::{Common, Treat};
use crate::context::{charter, engine, recipe, resolve};
use crate::ui::{Ui, Watching};

pub fn run(common: &Common, args: &Treat, ui: &Ui) -> Result<u8> {
    let charter = charter(args.charter.as_deref())?;
    let recipe = recipe(args.recipe.as_ref(), common.seed)?;
    let run = Run::load(&args.from)?;
    let file = resolve(common, &args.model, ui)?;
    if run.record.model_digest != file.digest {
        bail!("{} is a run of another model ({})", args.from.display(), run.record.model);
    }
    if run.record.charter_digest != charter.digest {
        bail!("{} is a run against another charter or another version of it", args.from.display());
    }
    if run.record.adapter_digest.is_some() {
        bail!(
            "{} is a run of a model with an adapter; treat from a run of the bare model",
            args.from.display()
        );
    }
    let engine = engine(&file, None, ui)?;
    if args.plan {
        let set = freehold_treat::build(&charter, &engine, &OwnAnswers::new(&run.answers), &recipe)?;
        let plan = json!({
            "recipe": recipe, "examples": set.counts(), "left_out": set.left_out,
            "tokens_per_pass": set.train.iter().map(|e| e.prompt.len() + e.reply.len()).sum::<usize>(),
            "dev": set.dev.len(), "dev_anchors": set.dev_anchors.len(),
        });
        print_json(&plan)?;
        return Ok(0);
    }
    let training = train(&engine, &charter, &run, &recipe, &args.out, ui)?;
    if common.json {
        print_json(&training)?;
    } else {
        print(&format!(
            "adapter: {} (best of {} steps: {})",
            args.out.display(),
            training.steps,
            training.best_step
        ))?;
    }
    Ok(0)
}

/// Trains an adapter from a run, or gives the record of one that is finished already.
pub fn train(
    engine: &LocalEngine,
    charter: &Charter,
    run: &Run,
    recipe: &Recipe,
    out: &Path,
    ui: &Ui,
) -> Result<Training> {
    let set = freehold_treat::build(charter, engine, &OwnAnswers::new(&run.answers), recipe)?;
    let counts: Vec<String> = set.counts().iter().map(|(k, n)| format!("{n} {k}")).collect();
    ui.say(&format!("training on {} examples: {}", set.train.len(), counts.join(", ")));
    for (why, n) in &set.left_out {
        ui.say(&format!("  left out {n} of the model's own answers: {why}"));
    }
    let training = freehold_treat::train(engine, &set, recipe, out, &mut Watching(ui))?;
    ui.finish();
    Ok(training)
}
