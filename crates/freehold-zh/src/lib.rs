//! Chinese script and regional wording: measure and lint.
//!
//! A reply to a Taiwanese reader is due in Traditional characters and in Taiwan's words. [`script::due`] says whether a
//! reply drifted from the language, script or wording due, with the span it rests on; [`lint::lint`] lists every
//! Simplified character and mainland word of a text with Taiwan's counterpart.
//!
//! The character sets are derived from OpenCC's dictionaries (see `data/make.py` and `data/NOTICE`); the wording list,
//! `data/mainland.tsv`, is our own. All spans are byte offsets on character boundaries.

pub mod chars;
pub mod lint;
mod prose;
pub mod script;
pub mod words;

pub use lint::{Finding, FindingKind, lint};
pub use script::{Drift, DriftKind, Profile, due, profile};
