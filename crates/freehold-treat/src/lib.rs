//! Treatments: from a charter's reference answers and the model's own answers to an adapter.

mod checkpoint;
mod error;
mod examples;
pub mod lora;
pub mod optim;
mod recipe;
pub mod sft;

pub use error::TreatError;
pub use examples::{Example, Kind, OwnAnswers, TrainingSet, build};
pub use recipe::Recipe;
pub use sft::{CurvePoint, Training, Watch, train};
