//! One file a verb.

mod audit;
mod bench;
mod charter;
mod chat;
mod compare;
mod complete;
mod judge;
mod list;
mod pull;
mod refit;
mod report;
mod show;
mod treat;
mod zh;

use anyhow::Result;
use serde::Serialize;

use crate::args::{CharterVerb, Cli, JudgeVerb, Verb, ZhVerb};
use crate::ui::Ui;

/// Runs a verb; gives the exit code.
pub fn run(cli: Cli) -> Result<u8> {
    let ui = Ui::new();
    let common = &cli.common;
    match cli.verb {
        Verb::Refit(a) => refit::run(common, &a, &ui),
        Verb::Pull { model } => pull::run(common, &model, &ui),
        Verb::List => list::run(common),
        Verb::Show { model, tensors } => show::run(common, &model, tensors, &ui),
        Verb::Audit(a) => audit::run(common, &a, &ui),
        Verb::Treat(a) => treat::run(common, &a, &ui),
        Verb::Compare(a) => compare::run(common, &a),
        Verb::Report { path, memo: true, out, charter, .. } => {
            report::memo(common, &path, out.as_deref(), charter.as_deref())
        }
        Verb::Report { path, export: Some(format), out, charter, .. } => {
            report::export(common, &path, format, out.as_deref(), charter.as_deref())
        }
        Verb::Report { path, .. } => report::run(common, &path),
        Verb::Chat(a) => chat::run(common, &a, &ui),
        Verb::Complete(a) => complete::run(common, &a, &ui),
        Verb::Bench { model, rounds, many: true, .. } => {
            bench::many(common, &model, usize::from(rounds), &ui)
        }
        Verb::Bench { model, rounds, against, .. } => {
            bench::run(common, &model, usize::from(rounds), against.as_deref(), &ui)
        }
        Verb::Charter(CharterVerb::Check { path }) => charter::check(common, path.as_deref()),
        Verb::Charter(CharterVerb::New { path }) => charter::new(common, &path),
        Verb::Charter(CharterVerb::Questions { path, languages, limit }) => {
            charter::questions(path.as_deref(), languages, limit)
        }
        Verb::Judge(JudgeVerb::Check { half, disagreements, gold, charter }) => {
            judge::check(common, half, disagreements, gold.as_deref(), charter.as_deref())
        }
        Verb::Judge(JudgeVerb::Model { run, with, instead, charter, remote }) => {
            judge::model(common, &run, &with, instead, charter.as_deref(), &remote, &ui)
        }
        Verb::Judge(JudgeVerb::Answers { file, out, model, charter }) => {
            judge::answers(common, &file, &out, &model, charter.as_deref())
        }
        Verb::Zh(ZhVerb::Lint { path }) => zh::lint(common, path.as_deref()),
    }
}

/// Prints to standard output; a reader that went away is no error worth a message (see `main`).
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n'))?;
    out.flush()?;
    Ok(())
}

fn print_json(value: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}
