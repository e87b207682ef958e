//! A model ready to be used: weights, spec, tokenizer, chat template.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::spec::DecoderSpec;
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

pub struct Model {
    pub weights: Arc<Weights>,
    pub spec: DecoderSpec,
    pub tokenizer: Tokenizer,
    pub template: ChatTemplate,
}

impl Model {
    /// Opens a GGUF file (any file of a split one). Nothing is expanded yet.
    ///
    /// # Errors
    /// When the file is no usable GGUF, its architecture or tokenizer is not supported, or its template does not parse.
    pub fn open(path: &Path) -> Result<Self> {
        let weights = Weights::open(path)?;
        let spec = DecoderSpec::from_weights(&weights)?;
        let tokenizer = Tokenizer::from_weights(&weights, spec.vocab)?;
        let token = |key: &str| {
            let tokens = weights.metadata.get("tokenizer.ggml.tokens")?.as_array()?;
            tokens.get(usize::try_from(weights.metadata.get(key)?.as_u64()?).ok()?)?.as_str()
        };
        let template = ChatTemplate::new(
            weights.metadata.get("tokenizer.chat_template").and_then(|v| v.as_str()),
            token("tokenizer.ggml.bos_token_id").unwrap_or_default(),
            token("tokenizer.ggml.eos_token_id").unwrap_or_default(),
        )?;
        Ok(Self { weights: Arc::new(weights), spec, tokenizer, template })
    }
}
