//! Prints every defect of the charter in a folder: `cargo run -p freehold-charter --example check -- DIR`.

use std::path::PathBuf;
use std::process::ExitCode;

use freehold_charter::Charter;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: check DIR");
        return ExitCode::from(2);
    };
    let report = Charter::check(&path);
    for defect in &report.defects {
        println!("{defect}");
    }
    println!("{} errors, {} warnings", report.errors().count(), report.warnings().count());
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
