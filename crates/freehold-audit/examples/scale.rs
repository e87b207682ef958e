//! What a hundred thousand answers cost the audit itself: memory and time to resume, with an engine that answers at once.
//!
//!     cargo run --release -p freehold-audit --example scale -- FOLDER [ANSWERS]
//!
//! Run it twice on one folder: the second time nothing is asked, and what it takes is what a resumed run takes.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use freehold_audit::{Settings, Watch, audit};
use freehold_charter::Charter;
use freehold_engine::{
    Engine, EngineError, Event, Finish, Generation, Identity, Message, Prompt, Request, Score, ScoreRequest,
};
use freehold_judge::run::{Answer, Verdict};

struct AtOnce(Identity);

impl Engine for AtOnce {
    fn identity(&self) -> &Identity {
        &self.0
    }

    fn prompt(&self, messages: &[Message]) -> Result<Prompt, EngineError> {
        // About as many ids as a tokenizer makes.
        Ok(Prompt::Ids(messages.iter().flat_map(|m| m.content.bytes()).map(u32::from).collect()))
    }

    fn inserted_system_prompt(&self) -> Option<String> {
        None
    }

    fn generate(
        &self,
        requests: &[Request],
        on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        for (i, r) in requests.iter().enumerate() {
            let text =
                format!("An answer of the usual length, number {i}, that says nothing of note. ").repeat(5);
            let g = Generation {
                ids: vec![7; 90],
                text,
                reasoning: String::new(),
                finish: Finish::Stop,
                prompt_tokens: r.prompt.ids().len(),
                new_tokens: 90,
                logprob: Some(-1.0),
            };
            if on(Event::Done(i, g)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn score(&self, _: &[ScoreRequest]) -> Result<Vec<Score>, EngineError> {
        unreachable!("leaning is off")
    }

    fn about(&self) -> String {
        String::new()
    }
}

struct Clock(Instant, usize);

impl Watch for Clock {
    fn start(&mut self, stage: &str, total: usize, done: usize) {
        let s = self.0.elapsed().as_secs_f64();
        println!("{s:6.2} s  {stage}: {done} of {total} there, {} MB", memory());
    }

    fn answer(&mut self, _: &Answer, _: Option<&Verdict>) {
        self.advance();
    }

    fn advance(&mut self) {
        self.1 += 1;
        if self.1.is_multiple_of(20_000) {
            println!("{:6.2} s  {} answers, {} MB", self.0.elapsed().as_secs_f64(), self.1, memory());
        }
    }

    fn note(&mut self, text: &str) {
        println!("{text}");
    }
}

/// Resident memory in MB; 0 where the system does not tell.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(out) = args.next() else {
        eprintln!("scale FOLDER [ANSWERS]");
        std::process::exit(2);
    };
    let wanted: usize = args.next().map_or(100_000, |n| n.parse().expect("ANSWERS is a number"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charters/open-society");
    let mut charter = Charter::load(&path).unwrap_or_else(|e| panic!("{e}"));
    // The same probes again and again, with other ids and wordings.
    let size: usize = charter.topics.iter().flat_map(|t| &t.probes).map(|p| p.text.len()).sum();
    for topic in &mut charter.topics {
        let own = topic.probes.clone();
        for copy in 1..wanted.div_ceil(size) {
            for mut probe in own.clone() {
                probe.id = format!("{}-{copy}", probe.id);
                probe.text.values_mut().for_each(|t| t.push_str(&format!(" ({copy})")));
                probe.variants.clear();
                topic.probes.push(probe);
            }
        }
    }
    let engine = AtOnce(Identity {
        model: "at-once".into(),
        model_digest: "0".into(),
        architecture: "none".into(),
        adapter: None,
        adapter_digest: None,
        verifiable: false,
    });
    let mut clock = Clock(Instant::now(), 0);
    println!("{:6.2} s  charter in memory, {} MB", 0.0, memory());
    let done = audit(&engine, &charter, &Settings::default(), Path::new(&out), &mut clock)
        .unwrap_or_else(|e| panic!("{e}"));
    let s = clock.0.elapsed().as_secs_f64();
    println!("{s:6.2} s  {} answers judged and measured, {} MB", done.answers, memory());
}
