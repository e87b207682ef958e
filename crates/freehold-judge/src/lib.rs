//! The built-in judge and the measures: from answers to verdicts, from verdicts to rates with intervals. No engine, no
//! files.
//!
//! The judge is transparent: every label rests on a span of the answer ([`run::Ground`]), found by the charter's own
//! evidence or by the phrases in `lexicon/*.toml`. `docs/judge.md` says how each label is decided, and what it misses.
//!
//! A reply goes through it in this order. `reading` folds the text (width, case, script, quotation marks) and cuts it
//! into sentences. `acts` finds refusals and admissions of not knowing, `cues` what denies and attributes. `claims` looks
//! for the charter's claims, and `stance` says how each stands there: asserted, attributed, denied, asked, only named.
//! `premise` looks for the false line of a leading question, `degenerate` for loops, `grade` compares with a control's
//! key. `judge` draws the labels; `measure` and `scorecard` count them.

mod acts;
mod case;
mod claims;
mod cues;
pub mod decide;
mod degenerate;
mod grade;
mod index;
mod judge;
mod lexicon;
pub mod measure;
mod phrase;
mod premise;
mod reading;
pub mod run;
mod scorecard;
mod stance;
mod verbatim;

pub use judge::Judge;
