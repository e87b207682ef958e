use anyhow::Result;
use freehold_charter::Charter;
use freehold_proof::JudgeAgreement;

use super::{print, print_json};
use crate::args::Common;
use crate::context::charter;

/// How well the judge agrees with people on the labelled answers of this charter, where there are any.
pub fn agreement(_charter: &Charter) -> Result<Option<JudgeAgreement>> {
    Ok(None)
}

pub fn check(common: &Common) -> Result<u8> {
    let charter = charter(None)?;
    let agreement = agreement(&charter)?;
    if common.json {
        print_json(&agreement)?;
    } else {
        print(&format!("{agreement:#?}"))?;
    }
    Ok(0)
}
