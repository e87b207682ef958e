/// Why a figure could not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatsError {
    #[error("no observations: there is nothing to estimate")]
    Empty,
    #[error("an observation is not a finite number: {0}")]
    NotFinite(f64),
    #[error("an observation lies outside {low}..={high}: {value}")]
    OutOfBounds { value: f64, low: f64, high: f64 },
    #[error("{successes} successes among {n} trials")]
    Counts { successes: usize, n: usize },
    #[error("a confidence level or probability must lie strictly between 0 and 1, and is {0}")]
    Probability(f64),
    #[error("two lists of labels differ in length: {left} and {right}")]
    Lengths { left: usize, right: usize },
    #[error(
        "the judge is no better than chance on the labelled answers (sensitivity {sensitivity:.3} + specificity \
         {specificity:.3} is at most 1), so its rates cannot be corrected"
    )]
    Uninformative { sensitivity: f64, specificity: f64 },
}
