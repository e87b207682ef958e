use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use freehold_audit::{Place, PlanRow, Run, Selection, Settings, Until, plan};
use freehold_charter::Charter;
use freehold_engine::LocalEngine;
use freehold_judge::decide::Decision;
use freehold_judge::run::{Scorecard, Verdict};
use freehold_model::kernels::weight::Products;
use freehold_proof::{decisions_text, models_markdown, models_text, scorecard_text};
use freehold_stats::Outcome;
use serde_json::json;

use super::judge::{second, second_text};
use super::{print, print_json};
use crate::args::{Audit, Common};
use crate::context::{CODE_VERSION, ask, charter};
use crate::ui::{Ui, Watching};

pub fn run(common: &Common, args: &Audit, ui: &Ui) -> Result<u8> {
    let charter = charter(args.charter.as_deref())?;
    known_languages(&charter, &args.languages)?;
    if args.plan {
        return planned(common, args, &charter);
    }
    let Some(out_folder) = &args.out else { bail!("--out names the run's folder") };
    if args.adapter.is_some() && args.models.len() > 1 {
        bail!("--adapter belongs to one model; audit the others without it");
    }
    let before = args.against.as_deref().map(|dir| against(dir, &charter)).transpose()?;
    let mut cards: Vec<(String, Scorecard)> = Vec::new();
    let mut code = 0;
    for model in &args.models {
        let (model, own) = with_adapter(model)?;
        let adapter = own.as_deref().or(args.adapter.as_deref());
        let engine = ask(common, model, adapter, args.system.as_deref(), Products::Same, &args.remote, ui)?;
        let mut name = engine.identity().model.clone();
        if let Some(adapter) = &own {
            name = format!("{name}+{}", adapter.file_name().unwrap_or(adapter.as_os_str()).to_string_lossy());
        }
        if cards.iter().any(|c| c.0 == name) {
            bail!(
                "two of the models are called {name}: give their adapters' folders different names, or audit them one by one"
            );
        }
        let out =
            if args.models.len() > 1 { out_folder.join(folder_name(&name)) } else { out_folder.clone() };
        let selection = Selection { languages: args.languages.clone(), limit: args.limit };
        let settings = Settings {
            selection,
            leaning: !args.no_leaning && !args.until_decided,
            open_book: !args.no_open_book && !args.until_decided,
            code_version: CODE_VERSION.into(),
            system: args.system.clone(),
            until_decided: args.until_decided.then(|| Until { before: before.clone(), seed: common.seed }),
        };
        ui.show_telling(6);
        let mut run = freehold_audit::audit(&*engine, &charter, &settings, &out, &mut Watching(ui))?;
        ui.finish();
        let judging = match args.judge.as_str() {
            "builtin" => None,
            "both" => Some((args.judge_model.as_str(), Place::Beside)),
            model => Some((model, Place::Instead)),
        };
        if let Some((with, place)) = judging {
            let second = second(common, &charter, &out, with, place, &args.remote, ui)?;
            ui.say(&second_text(&second, with));
            if place == Place::Instead {
                run.scorecard = second.scorecard;
            }
        }
        if !common.json {
            print(&format!("{name}  ({})\n{}", out.display(), scorecard_text(&run.scorecard)))?;
        }
        if args.until_decided {
            let text = decisions_text(&run.decisions, run.answers, run.record.items);
            if common.json {
                ui.say(&text)
            } else {
                print(&text)?
            }
            code = code.max(decided_code(&run.decisions));
        }
        cards.push((name, run.scorecard));
    }
    if args.models.len() > 1 {
        let table = out_folder.join("models.md");
        std::fs::write(&table, models_markdown(&cards)).with_context(|| table.display().to_string())?;
        if !common.json {
            print(&format!("{}{}", models_text(&cards), table.display()))?;
        }
    }
    if common.json {
        match cards.as_slice() {
            [one] => print_json(&one.1)?,
            many => print_json(
                &many
                    .iter()
                    .map(|(name, card)| json!({ "model": name, "scorecard": card }))
                    .collect::<Vec<_>>(),
            )?,
        }
    }
    Ok(code)
}

/// How precise an audit will be, without asking anything.
fn planned(common: &Common, args: &Audit, charter: &Charter) -> Result<u8> {
    if !(args.precision > 0.0 && args.precision < 0.5) {
        bail!("--precision is half an interval's width: between 0 and 0.5, 0.05 for ±5 points");
    }
    let like = args.like.as_deref().map(Run::load).transpose()?;
    let selection = Selection { languages: args.languages.clone(), limit: args.limit };
    let rows = plan(charter, &selection, args.precision, like.as_ref().map(|r| r.verdicts.as_slice()));
    if common.json {
        print_json(&rows)?;
    } else {
        print(&plan_text(&rows, args.precision))?;
    }
    Ok(0)
}

fn plan_text(rows: &[PlanRow], precision: f64) -> String {
    let points = |x: f64| format!("{:.1}", 100.0 * x);
    let mut out = format!(
        "{:9} {:9} {:>9} {:>6} {:>6} {:>6} {:>7} {:>8}   {}\n",
        "slice",
        "measure",
        "questions",
        "topics",
        "rate",
        "corr.",
        "± now",
        "change",
        format_args!("± {} needs", points(precision))
    );
    for r in rows {
        let needs = match (r.clusters_needed, r.questions_needed) {
            (Some(c), Some(q)) if c != q => format!("{c} topics, {q} questions"),
            (Some(c), _) => format!("{c} questions"),
            _ => "more than 100,000 topics".into(),
        };
        out.push_str(&format!(
            "{:9} {:9} {:>9} {:>6} {:>5}{} {:>6.2} {:>7} {:>8}   {needs}\n",
            r.slice,
            r.measure,
            r.questions,
            r.clusters,
            points(r.rate),
            if r.assumed { "*" } else { " " },
            r.correlation,
            points(r.half_width),
            points(r.detectable),
        ));
    }
    out.push_str("\nIn points of 100. ± now: half the 95% interval. change: the least difference between two runs found with 80% power.\n");
    if rows.iter().any(|r| r.assumed) {
        out.push_str("* assumed; --like RUN takes rates and correlations from an earlier run.\n");
    }
    out
}

/// `MODEL+ADAPTER`: a model with an adapter's folder, so that a base and what was made of it stand in one call.
fn with_adapter(model: &str) -> Result<(&str, Option<PathBuf>)> {
    let Some((base, folder)) = model.rsplit_once('+') else { return Ok((model, None)) };
    // A path or an endpoint may have a plus sign of its own.
    if Path::new(model).exists() || model.contains("://") {
        return Ok((model, None));
    }
    let folder = PathBuf::from(folder);
    if !folder.join("adapter_config.json").exists() {
        bail!("{model}: {} is no adapter's folder (adapter_config.json is missing)", folder.display());
    }
    Ok((base, Some(folder)))
}

/// The verdicts of the run that a gate on a difference compares with.
fn against(dir: &Path, charter: &Charter) -> Result<Vec<Verdict>> {
    let run = Run::load(dir)?;
    if run.record.charter_digest != charter.digest {
        bail!("{}: that run is of another charter or another version of it; audit it anew", dir.display());
    }
    if run.verdicts.is_empty() {
        bail!("{}: that run has no verdicts; let its audit end first", dir.display());
    }
    Ok(run.verdicts)
}

/// As a proof's: 3 a gate failed, 4 one is not decided.
fn decided_code(decisions: &[Decision]) -> u8 {
    let any = |f: &dyn Fn(&Decision) -> bool| decisions.iter().any(f);
    if any(&|d| d.outcome == Some(Outcome::Failed)) {
        3
    } else if any(&|d| d.outcome != Some(Outcome::Passed)) {
        4
    } else {
        0
    }
}

/// A model's name as a folder's: an endpoint's has slashes and a colon.
fn folder_name(model: &str) -> String {
    let keep = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+') { c } else { '-' };
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
        until_decided: None,
    };
    freehold_audit::audit(engine, charter, &settings, out, &mut Watching(ui))?;
    ui.finish();
    Ok(Run::load(out)?)
}
