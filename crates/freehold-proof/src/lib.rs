//! What changed between two runs and what did not: the paired comparison and the charter's gates.

pub mod compare;
pub mod error;
pub mod exchange;
pub mod gates;
pub mod gold;
pub mod memo;
pub mod proof;
pub mod report;
pub mod terminal;
pub mod value;

pub use compare::{Comparison, Corrected, Delta, JudgeError, Labels, PairRow, Unpaired, compare};
pub use error::CompareError;
pub use gates::{GateResult, Status, exit_code, judge_gates};
pub use proof::{Proof, ProofError, read_proof, write_proof};
pub use report::{CurvePoint, JudgeAgreement, LabelAgreement, ProofInput, RunData, TrainingSummary};
pub use terminal::{
    comparison_text, decisions_text, gates_text, models_markdown, models_text, scorecard_text,
};
