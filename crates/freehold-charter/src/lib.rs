//! The charter: what a model must say truthfully, what it must not recite, in which language and script.
//! Types, loading, validation with file and line, splits, leak check. The format is in `docs/charter.md`.

mod check;
mod error;
pub mod evidence;
mod files;
pub mod leak;
mod load;
mod measures;
mod node;
mod read;
mod sentence;
mod sink;
pub mod starter;
mod types;

pub use error::{CharterError, Defect, Report, Severity};
pub use leak::{Leak, LeakGuard, LeakKind};
pub use measures::MEASURES;
pub use types::*;
