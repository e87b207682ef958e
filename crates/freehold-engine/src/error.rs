/// What can go wrong between a question and its answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Model(#[from] freehold_model::ModelError),
    /// The endpoint's address, its key or its model is not usable; nothing is gained by trying again.
    #[error("{url}: {reason}")]
    Endpoint { url: String, reason: String },
    /// Some requests got no answer in spite of all tries; the others were delivered.
    #[error(
        "{url}: {unanswered} of {asked} questions got no answer ({tries} tries each; the last: {last}); the answers that came are kept, the same command asks only for the rest"
    )]
    Unanswered { url: String, unanswered: usize, asked: usize, tries: usize, last: String },
    #[error("{url}: this endpoint cannot score: {reason}")]
    CannotScore { url: String, reason: String },
    /// A prompt in a form that belongs to another kind of engine.
    #[error("{0}")]
    Unsupported(&'static str),
}

pub type Result<T, E = EngineError> = std::result::Result<T, E>;
