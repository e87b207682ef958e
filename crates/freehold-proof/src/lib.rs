//! What changed between two runs and what did not: the paired comparison and the charter's gates.

pub mod compare;
pub mod error;
pub mod gates;
pub mod value;

pub use compare::{Comparison, Corrected, Delta, JudgeError, Labels, PairRow, Unpaired, compare};
pub use error::CompareError;
pub use gates::{GateResult, Status, exit_code, judge_gates};
