//! The command line: one file a verb; no logic of its own.

mod args;
mod commands;
mod context;
mod ui;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    freehold_model::candle_ops::quiet();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { 2.into() } else { 0.into() };
        }
    };
    // What is written is valid after every line, so leaving at once loses nothing.
    let _ = ctrlc::set_handler(|| {
        eprintln!("\ninterrupted; the same command goes on from here");
        std::process::exit(1);
    });
    match commands::run(cli) {
        Ok(code) => code.into(),
        Err(e) => {
            let broken_pipe = e.chain().any(|c| {
                c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            });
            if !broken_pipe {
                eprintln!("error: {e:#}");
            }
            1.into()
        }
    }
}
