use std::path::PathBuf;

/// What can be wrong with a model, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a usable GGUF file: {reason}")]
    Gguf { path: PathBuf, reason: String },
    #[error("{path}: the metadata key `{key}` {reason}")]
    Metadata { path: PathBuf, key: String, reason: String },
    #[error("{path}: tensor `{tensor}`: {reason}")]
    Tensor { path: PathBuf, tensor: String, reason: String },
    #[error(
        "architecture `{0}` is not supported yet (supported: llama, qwen2); `freehold list` shows models that run"
    )]
    Architecture(String),
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    #[error("chat template: {0}")]
    Template(String),
    #[error("{path}: adapter: {reason}")]
    Adapter { path: PathBuf, reason: String },
    #[error(
        "the prompt has {prompt} tokens and {new} new ones may follow, but the model's context is {context}: shorten the prompt or lower --max-tokens"
    )]
    Context { prompt: usize, new: usize, context: usize },
    #[error("device `{name}`: {reason}")]
    Device { name: String, reason: String },
    #[error("compute: {0}")]
    Compute(#[from] candle_core::Error),
}

pub type Result<T, E = ModelError> = std::result::Result<T, E>;

impl ModelError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| ModelError::Io { path: path.to_path_buf(), source }
    }
}
