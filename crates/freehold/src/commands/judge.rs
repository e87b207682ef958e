use anyhow::Result;
use freehold_charter::Charter;
use freehold_proof::{JudgeAgreement, gold};

use super::{print, print_json};
use crate::args::Common;
use crate::context::charter;

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

pub fn check(common: &Common) -> Result<u8> {
    let charter = charter(None)?;
    let agreement = agreement(&charter)?;
    if common.json {
        print_json(&agreement)?;
    } else {
        let Some(a) = agreement else { return Ok(0) };
        print(&format!(
            "{:14} {:>6} {:>6} {:>7} {:>8} {:>8}",
            "label", "n", "agree", "kappa", "of yes", "of no"
        ))?;
        for (arm, n, labels) in [("before", a.n_before, &a.before), ("after", a.n_after, &a.after)] {
            print(&format!("{arm}: {n} answers labelled by reading"))?;
            for (label, l) in labels {
                let kappa = l.kappa.map_or_else(|| "–".into(), |k| format!("{k:.2}"));
                let share = |(hits, all): (usize, usize)| format!("{hits}/{all}");
                let agree = 100.0 * l.agree as f64 / l.n as f64;
                let (yes, no) = (share(l.sensitivity), share(l.specificity));
                print(&format!("{label:14} {:>6} {agree:>5.0}% {kappa:>7} {yes:>8} {no:>8}", l.n))?;
            }
        }
    }
    Ok(0)
}
