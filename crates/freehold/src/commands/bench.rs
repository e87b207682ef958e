use anyhow::Result;
use freehold_engine::bench::measure;

use super::{print, print_json};
use crate::args::Common;
use crate::context::{engine, resolve};
use crate::ui::Ui;

pub fn run(common: &Common, model: &str, rounds: usize, ui: &Ui) -> Result<u8> {
    let file = resolve(common, model, ui)?;
    ui.finish();
    let engine = engine(&file, None, ui)?;
    ui.begin("measuring, round", rounds as u64, 0, false);
    let f = measure(&engine, rounds, |_| ui.advance(1))?;
    ui.finish();
    if common.json {
        print_json(&f)?;
        return Ok(0);
    }
    print(&format!(
        "{model}, {} threads, {}: tokens a second, medians of {rounds}\n\n\
         prefill, 512 tokens   {:8.1}\n\
         decode,  1 sequence   {:8.1}\n\
         decode, 16 sequences  {:8.1}\n\
         decode, 32 sequences  {:8.1}",
        f.threads, f.instruction_set, f.prefill_512, f.decode_1, f.decode_16, f.decode_32
    ))?;
    Ok(0)
}
