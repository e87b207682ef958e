use std::path::Path;

use anyhow::{Context as _, Result, bail};
use freehold_audit::{Place, Run, Second};
use freehold_charter::Charter;
use freehold_model::kernels::weight::Products;
use freehold_proof::gold::{Checked, GoldAnswer, Half, Row};
use freehold_proof::{JudgeAgreement, gold, scorecard_text};
use freehold_stats::cohen_kappa;
use serde_json::json;

use super::{print, print_json};
use crate::args::{Common, GoldHalf, Remote};
use crate::context::{CODE_VERSION, ask, charter};
use crate::ui::{Ui, Watching};

const BEFORE: &str = include_str!("../../../../gold/open-society/before.jsonl");
const AFTER: &str = include_str!("../../../../gold/open-society/after.jsonl");

/// How well the judge agrees with the labelled answers of this charter, where there are any.
pub fn agreement(charter: &Charter) -> Result<Option<JudgeAgreement>> {
    if charter.id != "open-society" {
        return Ok(None);
    }
    let (before, after) = (
        gold::read("gold/open-society/before.jsonl", BEFORE)?,
        gold::read("gold/open-society/after.jsonl", AFTER)?,
    );
    Ok(Some(gold::agree(charter, &before, &after)))
}

/// The labelled answers of a folder, by arm.
fn labelled(folder: Option<&Path>) -> Result<Vec<(&'static str, Vec<GoldAnswer>)>> {
    let mut arms = Vec::new();
    for (arm, bundled) in [("before", BEFORE), ("after", AFTER)] {
        let name = format!("{arm}.jsonl");
        let read = match folder {
            None => gold::read(&format!("gold/open-society/{name}"), bundled)?,
            Some(dir) => {
                let path = dir.join(&name);
                let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                gold::read(&path.display().to_string(), &text)?
            }
        };
        arms.push((arm, read));
    }
    Ok(arms)
}

pub fn check(
    common: &Common,
    half: Option<GoldHalf>,
    disagreements: bool,
    folder: Option<&Path>,
    charter_path: Option<&Path>,
) -> Result<u8> {
    let charter = charter(charter_path)?;
    if folder.is_none() && charter.id != "open-society" {
        bail!("the bundled labelled answers are of the charter open-society; name your own with --gold");
    }
    let half = half.map(|h| match h {
        GoldHalf::Tune => Half::Tune,
        GoldHalf::Report => Half::Report,
    });
    let checked = gold::check(&charter, &labelled(folder)?, half);
    if common.json {
        print_json(&checked)?;
        return Ok(0);
    }
    print(&checked_text(&checked))?;
    if disagreements {
        for d in &checked.disagreements {
            let who = if d.reader {
                "the reader says so, the judge does not"
            } else {
                "the judge says so, the reader does not"
            };
            let line = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
            let grounds = match d.grounds.as_slice() {
                [] => String::new(),
                some => format!("\n  on: {}", some.iter().map(|g| line(g)).collect::<Vec<_>>().join(" … ")),
            };
            print(&format!(
                "\n{} ({who}): {} {}, {}\n  ? {}\n  ! {}{grounds}",
                d.label,
                d.item.id,
                d.item.lang,
                d.arm,
                line(&d.prompt),
                line(&d.text)
            ))?;
        }
    }
    Ok(0)
}

fn checked_text(checked: &Checked) -> String {
    let mut out = format!("{} labelled answers", checked.answers);
    if checked.unknown > 0 {
        out.push_str(&format!("; {} more are to questions that the charter no longer has", checked.unknown));
    }
    out.push_str(&format!(
        "\n\n{:14} {:8} {:7} {:>4} {:>6} {:>18} {:>9} {:>9}   {}\n",
        "label",
        "language",
        "arm",
        "n",
        "agree",
        "kappa [95%]",
        "of yes",
        "of no",
        "both, reader only, judge only, none"
    ));
    for r in &checked.rows {
        // Languages are told apart for both arms together only, where the label occurs.
        if r.table.both_yes + r.table.first_only + r.table.second_only == 0
            || (r.lang != "all" && r.arm != "all")
        {
            continue;
        }
        out.push_str(&line(r));
    }
    if !checked.readers.is_empty() {
        out.push_str("\nthe two readers, before they were reconciled\n");
        checked.readers.iter().for_each(|r| out.push_str(&line(r)));
    }
    out
}

fn line(r: &Row) -> String {
    let t = &r.table;
    let n = t.both_yes + t.first_only + t.second_only + t.both_no;
    let share = |hits: usize, all: usize| format!("{hits}/{all}");
    format!(
        "{:14} {:8} {:7} {n:>4} {:>5.0}% {:>18} {:>9} {:>9}   {} {} {} {}\n",
        r.label,
        r.lang,
        r.arm,
        100.0 * t.observed,
        format!("{:.2} [{:.2}, {:.2}]", t.value, t.low, t.high),
        share(t.both_yes, t.both_yes + t.first_only),
        share(t.both_no, t.both_no + t.second_only),
        t.both_yes,
        t.first_only,
        t.second_only,
        t.both_no
    )
}

/// Judges answers that were made elsewhere.
pub fn answers(
    common: &Common,
    file: &Path,
    out: &Path,
    model: &str,
    charter_path: Option<&Path>,
) -> Result<u8> {
    let charter = charter(charter_path)?;
    let run = freehold_audit::import(&charter, file, model, CODE_VERSION, out)?;
    if common.json {
        print_json(&run.scorecard)?;
    } else {
        let (n, of) = (run.answers.len(), run.record.items);
        let text = scorecard_text(&run.scorecard);
        print(&format!("{model}  ({}), {n} of {of} questions answered\n{text}", out.display()))?;
    }
    Ok(0)
}

/// Judges a finished run with a model.
pub fn model(
    common: &Common,
    run: &Path,
    with: &str,
    instead: bool,
    charter_path: Option<&Path>,
    remote: &Remote,
    ui: &Ui,
) -> Result<u8> {
    let charter = charter(charter_path)?;
    let record = Run::load(run)?.record;
    if record.charter_digest != charter.digest {
        bail!("{}: that run is of another charter; name its folder with --charter", run.display());
    }
    let place = if instead { Place::Instead } else { Place::Beside };
    let second = second(common, &charter, run, with, place, remote, ui)?;
    if common.json {
        print_json(&json!({
            "judged": second.judged, "unjudged": second.unjudged, "agreement": second.agreement, "scorecard": second.scorecard,
            "disagreements": second.dissents,
        }))?;
    } else {
        print(&second_text(&second, with))?;
        print(&scorecard_text(&second.scorecard))?;
    }
    Ok(0)
}

pub fn second(
    common: &Common,
    charter: &Charter,
    run: &Path,
    with: &str,
    place: Place,
    remote: &Remote,
    ui: &Ui,
) -> Result<Second> {
    let engine = ask(common, with, None, None, Products::Same, remote, ui)?;
    let second = freehold_audit::second_judge(&*engine, charter, run, place, &mut Watching(ui))?;
    ui.finish();
    Ok(second)
}

/// How a model that judges agrees with the built-in judge.
pub fn second_text(second: &Second, with: &str) -> String {
    let mut out = format!(
        "{with} judged {} answers to probes; {} are left unjudged (no readable reply, or no opinion)\n{:12} {:>6} {:>14} {:>11} {:>8} {:>7}\n",
        second.judged, second.unjudged, "label", "both", "built-in only", "model only", "neither", "kappa"
    );
    for (label, [both, built_in, model, neither]) in &second.agreement {
        let pairs =
            [(true, true, both), (true, false, built_in), (false, true, model), (false, false, neither)];
        let (a, b): (Vec<bool>, Vec<bool>) =
            pairs.iter().flat_map(|(a, b, n)| std::iter::repeat_n((*a, *b), **n)).unzip();
        let kappa = cohen_kappa(&a, &b).map_or_else(|_| "–".into(), |k| format!("{:.2}", k.value));
        out.push_str(&format!("{label:12} {both:>6} {built_in:>14} {model:>11} {neither:>8} {kappa:>7}\n"));
    }
    out
}
