use std::ops::ControlFlow;

use anyhow::{Result, bail};
use freehold_engine::{Engine as _, Event, Request, Sampling};
use serde_json::json;

use super::{print, print_json};
use crate::args::{Common, Complete};
use crate::context::{engine, resolve};
use crate::ui::Ui;

pub fn run(common: &Common, args: &Complete, ui: &Ui) -> Result<u8> {
    if args.prompt.is_empty() {
        bail!("--prompt is empty: there is nothing to continue");
    }
    let file = resolve(common, &args.model, ui)?;
    ui.finish();
    let engine = engine(&file, args.adapter.as_deref(), ui)?;
    let request = Request {
        ids: engine.tokenize_raw(&args.prompt)?,
        max_new_tokens: args.max_tokens,
        sampling: Sampling { temperature: args.temperature, seed: common.seed },
    };
    let mut done = None;
    engine.generate(&[request], &mut |event| {
        if let Event::Done(_, g) = event {
            done = Some(g);
        }
        ControlFlow::Continue(())
    })?;
    let Some(g) = done else { return Ok(1) };
    if common.json {
        print_json(
            &json!({ "text": g.text, "tokens": g.ids, "logprob": g.logprob, "finish": format!("{:?}", g.finish).to_lowercase() }),
        )?;
    } else {
        print(&g.text)?;
    }
    Ok(0)
}
