use std::path::Path;

use anyhow::{Result, bail};
use freehold_audit::Run;
use freehold_proof::{comparison_text, exit_code, gates_text, read_proof, scorecard_text};

use super::{print, print_json};
use crate::args::Common;

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
