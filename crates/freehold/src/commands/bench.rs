use anyhow::{Context as _, Result};
use freehold_engine::bench::{Rates, measure, measure_many, measure_server};
use freehold_engine::{Address, Endpoint, KEY_VARIABLE, Options};
use freehold_model::kernels::pool::threads;
use freehold_model::kernels::target::instruction_set;
use serde_json::json;

use super::{print, print_json};
use crate::args::Common;
use crate::context::{engine, resolve};
use crate::ui::Ui;

/// `bench --many`
pub fn many(common: &Common, model: &str, rounds: usize, ui: &Ui) -> Result<u8> {
    let file = resolve(common, model, ui)?;
    ui.finish();
    let engine = engine(&file, None, ui)?;
    ui.begin("measuring, round", rounds as u64, 0, false);
    let rate = measure_many(&engine, rounds, |_| ui.advance(1))?;
    ui.finish();
    let (threads, set) = (threads(), instruction_set());
    if common.json {
        print_json(&json!({ "batch_64": rate, "threads": threads, "instruction_set": set }))?;
    } else {
        print(&format!(
            "{model}, {threads} threads, {set}: 64 prompts, 64 new tokens each, {rate:.1} new tokens a second, median of {rounds}"
        ))?;
    }
    Ok(0)
}

pub fn run(common: &Common, model: &str, rounds: usize, against: Option<&str>, ui: &Ui) -> Result<u8> {
    let server = against.map(server).transpose()?;
    let file = resolve(common, model, ui)?;
    ui.finish();
    let mut engine = engine(&file, None, ui)?;
    ui.begin("measuring, round", rounds as u64, 0, false);
    let f = measure(&mut engine, rounds, |_| ui.advance(1))?;
    ui.finish();
    let theirs = match &server {
        Some(server) => {
            ui.begin("measuring the server, round", rounds as u64, 0, false);
            let theirs = measure_server(&engine, server, rounds, |_| ui.advance(1))?;
            ui.finish();
            Some(theirs)
        }
        None => None,
    };
    if common.json {
        let mut all = serde_json::to_value(&f)?;
        if let Some(t) = &theirs {
            all["server"] = json!(t);
        }
        print_json(&all)?;
        return Ok(0);
    }
    let row = |r: &Rates| [r.prefill_512, r.decode_1, r.decode_16, r.decode_32];
    let names =
        ["prefill, 512 tokens ", "decode,  1 sequence ", "decode, 16 sequences", "decode, 32 sequences"];
    let mut text = format!(
        "{model}, {} threads, {}: tokens a second, medians of {rounds}\n",
        f.threads, f.instruction_set
    );
    for (i, name) in names.iter().enumerate() {
        let ours = row(&f.rates)[i];
        text.push_str(&format!("\n{name}  {ours:8.1}"));
        if let Some(same) = &f.same {
            text.push_str(&format!("   as audits run {:8.1}", row(same)[i]));
        }
        if let Some(theirs) = theirs.as_ref().map(|t| row(t)[i]) {
            text.push_str(&format!("   server {theirs:8.1}   ratio {:.2}", ours / theirs));
        }
    }
    if f.same.is_some() {
        text.push_str(
            "\n\nAudits multiply a few rows as they multiply many, so that no answer depends on what is asked beside it.",
        );
    }
    if let Some(mib) = f.memory_beyond_file {
        text.push_str(&format!(
            "\nmemory beyond the model's file, 16 prompts of 512 tokens: {mib} MiB at most"
        ));
    }
    if theirs.is_some() {
        text.push_str(
            "\n\nThe server's tokens travel over HTTP, ours do not, and it chooses how many threads it uses.",
        );
    }
    print(&text)?;
    Ok(0)
}

/// The server, asked as many questions at once as the largest figure needs.
fn server(url: &str) -> Result<Endpoint> {
    let address = Address::parse(url)
        .with_context(|| format!("--against {url}: not an http:// or https:// address"))?;
    let options = Options { concurrency: 32, stream: false, ..Options::default() };
    Ok(Endpoint::connect(&address, std::env::var(KEY_VARIABLE).ok(), options)?)
}
