use freehold_stats::StatsError;

/// Why two runs could not be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompareError {
    #[error(
        "the run {run} has two verdicts for {id} in {lang}: its verdicts.jsonl is damaged or was joined from two runs"
    )]
    Duplicate { run: &'static str, id: String, lang: String },
    #[error(
        "{id} in {lang} has another {field} in the two runs: they were audited with different charters; audit both \
         with one charter"
    )]
    Changed { id: String, lang: String, field: &'static str },
    #[error("the verdicts' {measure} in slice {slice} cannot be measured: {source}")]
    Stats { measure: String, slice: &'static str, source: StatsError },
}
