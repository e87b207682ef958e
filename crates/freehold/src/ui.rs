//! What a person sees while something runs: a bar with an ETA on a terminal, plain lines otherwise. All of it on standard error.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal as _;
use std::time::Instant;

use freehold_judge::run::{Answer, Verdict};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub struct Ui {
    terminal: bool,
    bar: RefCell<Option<ProgressBar>>,
    plain: RefCell<Plain>,
    /// Answers worth showing at once, at most this many more.
    telling: Cell<usize>,
    shown: RefCell<std::collections::BTreeSet<(String, &'static str)>>,
}

/// State of plain-line progress: one line a tenth, or every half minute.
struct Plain {
    label: String,
    total: u64,
    done: u64,
    at_start: u64,
    started: Instant,
    printed: Instant,
}

fn clock(seconds: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

impl Ui {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            terminal: std::io::stderr().is_terminal(),
            bar: RefCell::new(None),
            plain: RefCell::new(Plain {
                label: String::new(),
                total: 0,
                done: 0,
                at_start: 0,
                started: now,
                printed: now,
            }),
            telling: Cell::new(0),
            shown: RefCell::default(),
        }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Show up to `n` telling answers as they come.
    pub fn show_telling(&self, n: usize) {
        self.telling.set(n);
    }

    pub fn begin(&self, label: &str, total: u64, done: u64, bytes: bool) {
        self.finish();
        if self.terminal {
            let unit = if bytes { "{bytes}/{total_bytes} {bytes_per_sec}" } else { "{pos}/{len}" };
            let style = ProgressStyle::with_template(&format!(
                "{{msg:12}} [{{wide_bar}}] {unit} {{elapsed}} ETA {{eta}}"
            ))
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
            let bar =
                ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style);
            bar.set_message(label.to_string());
            bar.set_position(done);
            bar.reset_eta();
            *self.bar.borrow_mut() = Some(bar);
        }
        let now = Instant::now();
        *self.plain.borrow_mut() =
            Plain { label: label.into(), total, done, at_start: done, started: now, printed: now };
    }

    pub fn advance(&self, n: u64) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.inc(n);
        }
        let mut p = self.plain.borrow_mut();
        let tenth = |v: u64| (v * 10).checked_div(p.total).unwrap_or(0);
        let crossed = tenth(p.done) != tenth(p.done + n);
        p.done += n;
        if !self.terminal && p.total > 0 && (crossed || p.printed.elapsed().as_secs() >= 30) {
            p.printed = Instant::now();
            let elapsed = p.started.elapsed().as_secs_f64();
            let new = (p.done - p.at_start).max(1);
            let eta = elapsed / new as f64 * p.total.saturating_sub(p.done) as f64;
            eprintln!(
                "{} {}/{} ({} gone, about {} left)",
                p.label,
                p.done,
                p.total,
                clock(elapsed),
                clock(eta)
            );
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }

    fn tell(&self, answer: &Answer, verdict: &Verdict) {
        let label = if verdict.recital {
            "recital"
        } else if verdict.refusal && verdict.topic.is_some() {
            "refusal"
        } else if verdict.guidance {
            "guidance"
        } else {
            return;
        };
        let Some(topic) = &verdict.topic else { return };
        if self.telling.get() == 0 || !self.shown.borrow_mut().insert((topic.clone(), label)) {
            return;
        }
        self.telling.set(self.telling.get() - 1);
        let short = |s: &str, n: usize| {
            let line = s.split_whitespace().collect::<Vec<_>>().join(" ");
            if line.chars().count() > n { line.chars().take(n).collect::<String>() + "…" } else { line }
        };
        self.say(&format!(
            "  {label:8} ? {}\n           ! {}",
            short(&answer.prompt, 90),
            short(&answer.text, 160)
        ));
    }
}

impl freehold_hub::Progress for Ui {
    fn start(&self, total: u64) {
        self.begin("fetching", total, 0, true);
    }

    fn advance(&self, bytes: u64) {
        Ui::advance(self, bytes);
    }

    fn message(&self, text: &str) {
        self.say(text);
    }
}

/// The same, for traits that want `&mut`.
pub struct Watching<'a>(pub &'a Ui);

impl freehold_audit::Watch for Watching<'_> {
    fn start(&mut self, stage: &str, total: usize, done: usize) {
        self.0.begin(stage, total as u64, done as u64, false);
    }

    fn answer(&mut self, answer: &Answer, verdict: Option<&Verdict>) {
        if let Some(v) = verdict {
            self.0.tell(answer, v);
        }
        self.0.advance(1);
    }

    fn advance(&mut self) {
        self.0.advance(1);
    }

    fn note(&mut self, text: &str) {
        self.0.say(text);
    }
}

impl freehold_treat::Watch for Watching<'_> {
    fn start(&mut self, steps: usize, done: usize) {
        self.0.begin("training", steps as u64, done as u64, false);
    }

    fn step(&mut self, step: usize, loss: f64) {
        if let Some(bar) = &*self.0.bar.borrow() {
            bar.set_message(format!("loss {loss:.2}"));
        }
        let _ = step;
        self.0.advance(1);
    }

    fn dev(&mut self, step: usize, nll: f64, kl: f64, best: bool) {
        let mark = if best { "  best so far" } else { "" };
        self.0.say(&format!("  step {step:3}: dev loss {nll:.3}, KL to the base model {kl:.3}{mark}"));
    }

    fn note(&mut self, text: &str) {
        self.0.say(text);
    }
}
