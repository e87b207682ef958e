//! Fetches a model and says where it is: `cargo run -p freehold-hub --example pull -- NAME [--offline]`.

use std::process::ExitCode;

use freehold_hub::{Cache, Progress};

/// Messages only.
struct Words;

impl Progress for Words {
    fn start(&self, total: u64) {
        eprintln!("{total} bytes");
    }
    fn advance(&self, _: u64) {}
    fn message(&self, text: &str) {
        eprintln!("{text}");
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = args.first() else {
        eprintln!("usage: pull NAME [--offline]");
        return ExitCode::from(2);
    };
    let offline = args.iter().any(|a| a == "--offline");
    match Cache::open().and_then(|cache| cache.resolve(name, offline, &Words)) {
        Ok(model) => {
            println!("{model:#?}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
