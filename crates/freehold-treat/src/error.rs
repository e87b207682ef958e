use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum TreatError {
    #[error(transparent)]
    Model(#[from] freehold_model::ModelError),
    #[error(transparent)]
    Engine(#[from] freehold_engine::EngineError),
    #[error("compute: {0}")]
    Compute(#[from] candle_core::Error),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "the training data would leak into the test, so nothing was trained: {0}. Reword or remove that text in the charter"
    )]
    Leak(String),
    #[error(
        "{0}: the checkpoint in it belongs to other data, another recipe or other weights; choose another folder or remove it"
    )]
    OtherCheckpoint(PathBuf),
    #[error(
        "{0} holds an adapter of another treatment (other data, recipe or weights): choose another folder, or remove it"
    )]
    OtherAdapter(PathBuf),
    #[error("there is nothing to train on: {0}")]
    Empty(String),
    #[error("the loss became {0} at step {1}: lower `learning_rate` in the recipe (--recipe)")]
    Diverged(f64, usize),
}

pub type Result<T, E = TreatError> = std::result::Result<T, E>;

pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> TreatError + '_ {
    move |source| TreatError::Io { path: path.into(), source }
}
