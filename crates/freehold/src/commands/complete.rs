use std::ops::ControlFlow;

use anyhow::{Result, bail};
use freehold_engine::{Event, Prompt, Request, Sampling};
use freehold_model::kernels::weight::Products;
use serde_json::json;

use super::{print, print_json};
use crate::args::{Common, Complete};
use crate::context::ask;
use crate::ui::Ui;

pub fn run(common: &Common, args: &Complete, ui: &Ui) -> Result<u8> {
    if args.prompt.is_empty() {
        bail!("--prompt is empty: there is nothing to continue");
    }
    let engine = ask(common, &args.model, args.adapter.as_deref(), None, Products::Fast, &args.remote, ui)?;
    let request = Request {
        prompt: Prompt::Text(args.prompt.clone()),
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
