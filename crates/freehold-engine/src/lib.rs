//! What answers: the [`Engine`] trait, [`LocalEngine`], which runs weights in this process, and [`Endpoint`], which asks a server.

mod batch;
pub mod bench;
mod endpoint;
mod error;
mod local;
mod sample;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use endpoint::{Address, Endpoint, KEY_VARIABLE, Options};
pub use error::{EngineError, Result};
pub use freehold_model::template::{Message, Role};
pub use local::{LocalEngine, Reply, TopTokens};
pub use sample::Sampling;

/// Who answers, for lineage and for cache keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// As the person named it.
    pub model: String,
    /// SHA-256 (hex) of the weights; of an endpoint, of all that it lets us know of itself.
    pub model_digest: String,
    pub architecture: String,
    pub adapter: Option<String>,
    pub adapter_digest: Option<String>,
    /// False for an endpoint: nobody can know from here which weights answered.
    pub verifiable: bool,
}

/// What is to be continued, in the form that an engine takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Token ids, template included.
    Ids(Vec<u32>),
    /// A conversation; the server applies its template.
    Chat(Vec<Message>),
    /// Plain text to go on from; the server makes tokens of it.
    Text(String),
}

impl Prompt {
    /// Token ids, where this side knows them; else none.
    pub fn ids(&self) -> &[u32] {
        match self {
            Self::Ids(ids) => ids,
            Self::Chat(_) | Self::Text(_) => &[],
        }
    }
}

/// A prompt to be continued.
#[derive(Debug, Clone)]
pub struct Request {
    pub prompt: Prompt,
    pub max_new_tokens: usize,
    pub sampling: Sampling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
    /// A server's filter withheld the answer or cut it.
    Filter,
}

/// A finished continuation.
#[derive(Debug, Clone)]
pub struct Generation {
    /// New tokens, where this side knows them.
    pub ids: Vec<u32>,
    pub text: String,
    /// What a server sent apart as the model's reasoning.
    pub reasoning: String,
    pub finish: Finish,
    /// Tokens of the prompt and new ones, as counted by who made them.
    pub prompt_tokens: usize,
    pub new_tokens: usize,
    /// Sum of the log-probabilities of the new tokens (the stop token included), in nats, at temperature 1; where they are known.
    pub logprob: Option<f64>,
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
    pub prompt: Prompt,
    pub continuation: String,
}

/// A continuation's log-probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Sum over its tokens, in nats.
    pub logprob: f64,
    pub tokens: usize,
}

impl Score {
    /// Nats per token.
    pub fn mean(&self) -> f64 {
        self.logprob / self.tokens.max(1) as f64
    }
}

/// Where an audit's or a chat's answers come from.
pub trait Engine {
    fn identity(&self) -> &Identity;

    /// A conversation up to where the assistant's turn begins.
    fn prompt(&self, messages: &[Message]) -> Result<Prompt>;

    /// The system prompt that the chat template inserts by itself, where this side can know.
    fn inserted_system_prompt(&self) -> Option<String>;

    /// Continues all requests, in whatever order is fastest; tells each end, and pieces of text as they come where the engine has them so. `Break`
    /// stops at once, with the unfinished ones left out.
    fn generate(&self, requests: &[Request], on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<()>;

    /// Log-probabilities of each continuation's tokens.
    ///
    /// # Errors
    /// [`EngineError::CannotScore`] when the engine cannot tell them.
    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>>;

    /// What a person should know before much is asked: how many requests run at once, where questions go.
    fn about(&self) -> String;
}
