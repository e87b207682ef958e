use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::ops::ControlFlow;

use anyhow::Result;
use freehold_engine::{Event, Message, Request, Role, Sampling};
use freehold_model::kernels::weight::Products;

use crate::args::{Chat, Common};
use crate::context::ask;
use crate::ui::Ui;

pub fn run(common: &Common, args: &Chat, ui: &Ui) -> Result<u8> {
    let engine = ask(common, &args.model, args.adapter.as_deref(), None, Products::Fast, &args.remote, ui)?;
    let mut system = args.system.clone();
    let mut history: Vec<Message> = Vec::new();
    let terminal = std::io::stdin().is_terminal();
    match system.clone().or_else(|| engine.inserted_system_prompt()) {
        Some(s) => eprintln!("system prompt: {s}"),
        None if engine.identity().verifiable => eprintln!("no system prompt"),
        None => eprintln!("no system prompt from here; the server may add one of its own"),
    }
    eprintln!("/reset forgets the conversation, /system TEXT sets the system prompt, /quit or Ctrl-D ends");
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if terminal {
            eprint!("> ");
        }
        let Some(line) = lines.next() else { return Ok(0) };
        let line = line?;
        let line = line.trim();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("", _) => continue,
            ("/quit" | "/exit", _) => return Ok(0),
            ("/reset", _) => {
                history.clear();
                eprintln!("forgotten");
                continue;
            }
            ("/system", text) => {
                system = Some(text.trim().to_string()).filter(|s| !s.is_empty());
                history.clear();
                eprintln!("system prompt: {}", system.as_deref().unwrap_or("the template's own"));
                continue;
            }
            (command, _) if command.starts_with('/') => {
                eprintln!("unknown command {command}; there are /reset, /system, /quit");
                continue;
            }
            _ => {}
        }
        history.push(Message::user(line));
        let mut messages: Vec<Message> =
            system.iter().map(|s| Message::new(Role::System, s.clone())).collect();
        messages.extend(history.iter().cloned());
        let prompt = engine.prompt(&messages)?;
        let sampling =
            Sampling { temperature: args.temperature, seed: common.seed.wrapping_add(history.len() as u64) };
        let mut reply = String::new();
        let mut out = std::io::stdout();
        let mut broken = None;
        let answered =
            engine.generate(&[Request { prompt, max_new_tokens: args.max_tokens, sampling }], &mut |event| {
                if let Event::Text(_, piece) = event {
                    reply.push_str(piece);
                    if let Err(e) = out.write_all(piece.as_bytes()).and_then(|()| out.flush()) {
                        broken = Some(e);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            });
        println!();
        if let Some(e) = broken {
            return Err(e.into());
        }
        match answered {
            Ok(()) => history.push(Message::new(Role::Assistant, reply)),
            Err(e) => {
                history.pop();
                eprintln!("error: {e}; /reset begins anew");
            }
        }
    }
}
