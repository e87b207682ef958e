//! Intervals, paired and clustered tests, judge-error correction: pure functions over `f64`.
//!
//! Every interval is two-sided at 95%. Nothing here reads a clock or a file; the one Monte-Carlo test takes its seed as
//! an argument, so the same data always give the same figures.

mod agreement;
mod clusters;
pub mod dist;
mod error;
mod estimate;
mod judge;
mod multiple;
mod paired;
mod plan;
mod rng;
mod sequence;
#[cfg(test)]
mod simulations;

pub use agreement::{Kappa, cohen_kappa};
pub use clusters::{clustered_mean, effective_size};
pub use error::StatsError;
pub use estimate::{Bounds, Estimate, LEAST_CLUSTERS, Outcome, non_inferiority, wilson};
pub use judge::{Calibration, Counts, corrected_difference, rogan_gladen};
pub use multiple::holm;
pub use paired::{Pair, PairedDifference, SignFlip, mcnemar_exact, paired_difference, sign_flip};
pub use plan::{Design, intraclass_correlation};
pub use sequence::{BoundTest, Sequence, Side, clustered_sequence};
