//! Open weights: files as views, tokenizers, chat templates, and ONE decoder written against one [`ops::Ops`] trait.

pub mod adapter;
pub mod candle_ops;
pub mod cpu;
pub mod decoder;
mod error;
pub mod gguf;
pub mod kernels;
mod model;
pub mod ops;
pub mod primitives;
mod spec;
pub mod template;
pub mod tokenizer;
pub mod weights;

pub use error::{ModelError, Result};
pub use model::Model;
pub use spec::DecoderSpec;
