use std::path::Path;

use anyhow::{Context as _, Result, bail};
use freehold_audit::Run;
use freehold_charter::Charter;
use freehold_proof::exchange;
use freehold_proof::memo::{self, Tongue};
use freehold_proof::report::RunData;
use freehold_proof::{comparison_text, exit_code, gates_text, read_proof, scorecard_text};

use super::{print, print_json};
use crate::args::{Common, Format};
use crate::context::{BUNDLED_NAME, charter};

/// A finished run with its charter.
fn finished(path: &Path, charter_path: Option<&Path>) -> Result<(Run, Charter)> {
    if !path.join("run.json").exists() {
        bail!("{} holds no run (run.json): this is made from one audit", path.display());
    }
    let run = Run::load(path)?;
    let charter = charter(charter_path)?;
    if run.record.charter_digest != charter.digest {
        bail!(
            "{}: the run is of charter {} version {} (digest {}…), not of {}: name its folder with --charter, or audit anew",
            path.display(),
            run.record.charter,
            run.record.charter_version,
            run.record.charter_digest.chars().take(12).collect::<String>(),
            charter_path.map_or_else(|| BUNDLED_NAME.to_string(), |p| p.display().to_string()),
        );
    }
    if run.verdicts.is_empty() {
        bail!("{}: the audit has not ended yet; run the same `freehold audit` again", path.display());
    }
    Ok((run, charter))
}

fn data(run: &Run) -> RunData<'_> {
    RunData { record: &run.record, answers: &run.answers, verdicts: &run.verdicts, scorecard: &run.scorecard }
}

/// Writes files beside their places and renames them; tells where they are.
fn write_all(common: &Common, out: &Path, files: Vec<(String, String)>) -> Result<u8> {
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let mut written = Vec::new();
    for (name, text) in files {
        let file = out.join(name);
        let part = file.with_extension("part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &file))
            .with_context(|| file.display().to_string())?;
        written.push(file.display().to_string());
    }
    if common.json {
        print_json(&written)?
    } else {
        print(&written.join("\n"))?
    }
    Ok(0)
}

/// Writes `memo.<language>.html` and `.md`.
pub fn memo(common: &Common, path: &Path, out: Option<&Path>, charter_path: Option<&Path>) -> Result<u8> {
    let (run, charter) = finished(path, charter_path)?;
    let judge = super::judge::agreement(&charter)?;
    let mut files = Vec::new();
    for tongue in Tongue::ALL {
        let blocks = memo::memo(&charter, &data(&run), judge.as_ref(), tongue);
        files.push((format!("memo.{}.html", tongue.tag()), memo::html(&blocks, tongue)));
        files.push((format!("memo.{}.md", tongue.tag()), memo::markdown(&blocks)));
    }
    write_all(common, out.unwrap_or(path), files)
}

/// Writes a run as another tool reads it.
pub fn export(
    common: &Common,
    path: &Path,
    format: Format,
    out: Option<&Path>,
    charter_path: Option<&Path>,
) -> Result<u8> {
    let (run, charter) = finished(path, charter_path)?;
    let files = match format {
        Format::Inspect => {
            let log = exchange::inspect(&charter, &data(&run));
            vec![("inspect.json".to_string(), serde_json::to_string_pretty(&log)?)]
        }
        Format::LmEval => {
            let exchange::LmEval { results, samples, stamp } = exchange::lm_eval(&charter, &data(&run));
            let mut files = vec![(format!("results_{stamp}.json"), serde_json::to_string_pretty(&results)?)];
            for (task, rows) in samples {
                let lines: String = rows.iter().map(|r| format!("{r}\n")).collect();
                files.push((format!("samples_{task}_{stamp}.jsonl"), lines));
            }
            files
        }
    };
    write_all(common, out.unwrap_or(path), files)
}

pub fn run(common: &Common, path: &Path) -> Result<u8> {
    if path.join("proof.json").exists() {
        let proof = read_proof(path)?;
        if common.json {
            print_json(&proof)?;
        } else {
            print(&comparison_text(&proof.comparison))?;
            print(&gates_text(&proof.gates))?;
            print(&format!("report: {}", path.join("report.html").display()))?;
        }
        return Ok(exit_code(&proof.gates));
    }
    if path.join("run.json").exists() {
        let run = Run::load(path)?;
        if common.json {
            print_json(&run.scorecard)?;
        } else {
            print(&scorecard_text(&run.scorecard))?;
        }
        return Ok(0);
    }
    bail!("{} holds neither a proof (proof.json) nor a run (run.json)", path.display())
}
