//! Judges the answers of a run and prints each with its labels and the words they rest on:
//!
//!     cargo run -p freehold-judge --example judge -- charters/open-society RUN/answers.jsonl
//!
//! Reading such a list is the way to find out where the judge is wrong.

use std::io::BufRead;
use std::path::Path;

use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::measure::{CONTROL_MEASURES, PROBE_MEASURES, value};
use freehold_judge::run::Answer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [charter, answers] = arguments.as_slice() else {
        return Err("usage: judge CHARTER ANSWERS.jsonl".into());
    };
    let judge = Judge::new(&Charter::load(Path::new(charter))?);
    for line in std::io::BufReader::new(std::fs::File::open(answers)?).lines() {
        let answer: Answer = serde_json::from_str(&line?)?;
        let Some(v) = judge.answer(&answer) else {
            println!("{} {}: no such item in this charter\n", answer.item.id, answer.item.lang);
            continue;
        };
        let holds = |m: &&&str| !matches!(**m, "coverage" | "leaning") && value(&v, m) == Some(1.0);
        let labels: Vec<&&str> = if v.topic.is_some() {
            PROBE_MEASURES.iter().filter(holds).collect()
        } else {
            CONTROL_MEASURES.iter().filter(holds).collect()
        };
        println!("{} {}  {labels:?} coverage {:?}", v.item.id, v.item.lang, v.coverage);
        println!("  ? {}\n  > {}", answer.prompt, answer.text.replace('\n', "\n    "));
        for g in &v.grounds {
            println!(
                "  {}: {:?} {}",
                g.label,
                &answer.text[g.start..g.end],
                g.claim.as_deref().unwrap_or("")
            );
        }
        println!();
    }
    Ok(())
}
