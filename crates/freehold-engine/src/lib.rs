//! What answers: the [`Engine`] trait, and [`LocalEngine`], which runs weights in this process.

mod batch;
pub mod bench;
mod local;
mod sample;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use freehold_model::template::{Message, Role};
pub use freehold_model::{ModelError as EngineError, Result};
pub use local::{LocalEngine, Reply, TopTokens};
pub use sample::Sampling;

/// Who answers, for lineage and for cache keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// As the person named it.
    pub model: String,
    /// SHA-256 (hex) of the weights.
    pub model_digest: String,
    pub architecture: String,
    pub adapter: Option<String>,
    pub adapter_digest: Option<String>,
}

/// A prompt to be continued.
#[derive(Debug, Clone)]
pub struct Request {
    pub ids: Vec<u32>,
    pub max_new_tokens: usize,
    pub sampling: Sampling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
}

/// A finished continuation.
#[derive(Debug, Clone)]
pub struct Generation {
    pub ids: Vec<u32>,
    pub text: String,
    pub finish: Finish,
    /// Sum of the log-probabilities of the new tokens (the stop token included), in nats, at temperature 1.
    pub logprob: f64,
}

/// What happens while requests are being continued.
#[derive(Debug)]
pub enum Event<'a> {
    /// New text of a request (by its index), as whole characters.
    Text(usize, &'a str),
    Done(usize, Generation),
}

/// A continuation whose log-probability is asked for.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    pub prompt: Vec<u32>,
    pub continuation: Vec<u32>,
}

/// Where an audit's or a chat's answers come from.
pub trait Engine {
    fn identity(&self) -> &Identity;

    /// Token ids of a conversation up to where the assistant's turn begins.
    fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>>;

    /// Token ids of plain text.
    fn tokenize(&self, text: &str) -> Result<Vec<u32>>;

    /// The system prompt that the chat template inserts by itself.
    fn inserted_system_prompt(&self) -> Option<String>;

    /// Continues all requests, in whatever order is fastest; tells each piece of text and each end. `Break` stops at once, with the
    /// unfinished ones left out.
    fn generate(&self, requests: &[Request], on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<()>;

    /// Sum of log-probabilities (nats) of each continuation's tokens.
    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<f64>>;

    /// The residual stream after every block at the last token of `ids`: `layers` vectors of the model's width.
    fn activations(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>>;
}
