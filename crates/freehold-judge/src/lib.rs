//! Judge and measure: from answers to verdicts, from verdicts to rates with intervals. No engine, no files.

mod lexicon;
mod phrase;
mod reading;
pub mod run;
