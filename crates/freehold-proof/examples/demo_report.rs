//! Writes a demonstration proof, made of invented answers:
//!
//!     cargo run -p freehold-proof --example demo_report -- [CHARTER] [OUT]

#[path = "demo/data.rs"]
mod data;

use std::path::{Path, PathBuf};

use freehold_charter::Charter;
use freehold_proof::{comparison_text, gates_text, scorecard_text, write_proof};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let charter = args.next().map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charters/open-society"),
        PathBuf::from,
    );
    let out = args.next().map_or_else(|| std::env::temp_dir().join("freehold-demo-proof"), PathBuf::from);
    let demo = data::Demo::new(Charter::load(&charter)?);
    let (before, after) = (out.join("before"), out.join("after"));
    for (dir, run) in [(&before, &demo.before), (&after, &demo.after)] {
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("run.json"), serde_json::to_vec_pretty(&run.record)?)?;
    }
    print!("{}\n{}\n", scorecard_text(&demo.before.scorecard), comparison_text(&demo.comparison));
    print!("{}", gates_text(&demo.gates));
    write_proof(&out, &demo.input(), &before, &after)?;
    println!("{}", out.join("report.html").display());
    Ok(())
}
