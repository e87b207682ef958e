//! How much early stopping saves, and how often it errs: two finished runs, replayed in many random orders.
//!
//!     cargo run --release -p freehold-judge --example early_stopping -- CHARTER BEFORE AFTER [ORDERS]
//!
//! An error is a gate that is decided otherwise than on all the questions: passed although the figure is more than the
//! tolerance beyond its bound, or failed although it is within.

use std::collections::BTreeMap;
use std::path::Path;

use freehold_charter::Charter;
use freehold_judge::Judge;
use freehold_judge::decide::{Decider, TOLERANCE};
use freehold_judge::measure::{in_slice, value};
use freehold_judge::run::{Answer, ItemId, Verdict};
use freehold_stats::Outcome;

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, charter, before, after, rest @ ..] = args.as_slice() else {
        eprintln!("early_stopping CHARTER BEFORE AFTER [ORDERS]");
        std::process::exit(2);
    };
    let orders: u64 = rest.first().map_or(200, |n| n.parse().expect("ORDERS is a number"));
    let charter = Charter::load(Path::new(charter)).unwrap_or_else(|e| panic!("{e}"));
    let judge = Judge::new(&charter);
    let before: Vec<Verdict> = read(&Path::new(before).join("verdicts.jsonl"));
    let verdicts: Vec<Verdict> = read(&Path::new(after).join("verdicts.jsonl"));
    let answers: Vec<Answer> = read(&Path::new(after).join("answers.jsonl"));
    let tokens: BTreeMap<&ItemId, usize> = answers.iter().map(|a| (&a.item, a.new_tokens)).collect();
    let items: Vec<ItemId> = verdicts.iter().map(|v| v.item.clone()).collect();
    // What gates are over: only that is compared, or leaving out train and dev questions would count as saved.
    let due: Vec<&Verdict> =
        verdicts.iter().filter(|v| charter.gates.iter().any(|g| in_slice(v, g.slice))).collect();
    let all: usize = due.iter().map(|v| tokens[&v.item]).sum();
    let was: BTreeMap<&ItemId, &Verdict> = before.iter().map(|v| (&v.item, v)).collect();

    let mut saved = Vec::new();
    let mut by_gate: BTreeMap<String, (usize, usize, usize, usize, usize)> = BTreeMap::new();
    for order in 0..orders {
        let mut seed = order.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut shuffled = due.clone();
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, (draw() % (i as u64 + 1)) as usize);
        }
        let mut decider = Decider::new(&charter, &judge, &items, Some(&before));
        let mut asked = 0;
        for v in shuffled {
            if decider.needs(&v.item) {
                asked += tokens[&v.item];
                decider.take(v);
            }
        }
        saved.push(1.0 - asked as f64 / all as f64);
        for d in decider.decisions() {
            let gate = charter.gates.iter().find(|g| g.id == d.gate).expect("a gate of the charter");
            let rows = verdicts.iter().filter(|v| in_slice(v, gate.slice));
            let values: Vec<f64> = rows
                .filter_map(|v| {
                    let x = value(v, &gate.measure)?;
                    let level = gate.test == freehold_charter::GateTest::Level;
                    Some(if level { x } else { x - value(was.get(&v.item)?, &gate.measure)? })
                })
                .collect();
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            let beyond = |by: f64| {
                gate.at_most.is_some_and(|b| mean > b + by + 1e-9)
                    || gate.at_least.is_some_and(|b| mean < b - by - 1e-9)
            };
            let entry = by_gate.entry(d.gate).or_default();
            match d.outcome {
                Some(Outcome::Passed) => {
                    entry.0 += 1;
                    entry.3 += usize::from(beyond(TOLERANCE));
                }
                Some(Outcome::Failed) => {
                    entry.1 += 1;
                    entry.3 += usize::from(gate.margin.is_none() && !beyond(0.0));
                }
                _ => entry.2 += 1,
            }
            entry.4 += d.asked;
        }
    }
    saved.sort_by(f64::total_cmp);
    println!(
        "{orders} orders, {all} tokens in slices of gates: saved {:.1}% on average, {:.1}% at the median, {:.1}% at least",
        100.0 * saved.iter().sum::<f64>() / saved.len() as f64,
        100.0 * saved[saved.len() / 2],
        100.0 * saved[0]
    );
    println!(
        "{:24}{:>8}{:>8}{:>10}{:>8}{:>14}",
        "gate", "passed", "failed", "undecided", "wrong", "answers asked"
    );
    for (gate, (passed, failed, undecided, wrong, asked)) in by_gate {
        println!(
            "{gate:24}{passed:>8}{failed:>8}{undecided:>10}{wrong:>8}{:>14.0}",
            asked as f64 / orders as f64
        );
    }
}
