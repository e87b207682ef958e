//! How a treatment is done.

use serde::{Deserialize, Serialize};

/// Settings of an SFT treatment. The defaults are those that `freehold refit` uses; `docs/decisions/0006-recipe.md` tells why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Rank of the LoRA matrices, and alpha: the update is scaled by alpha / rank.
    pub rank: usize,
    pub alpha: f64,
    /// Projections that get an adapter, by their Hugging Face names.
    pub targets: Vec<String>,
    /// First layer that gets one, as a share of all layers. Layers below are never changed, and need no gradients.
    pub from_layer: f64,
    pub learning_rate: f64,
    /// Share of all steps over which the rate rises; then it falls along a cosine to a tenth.
    pub warmup: f64,
    pub weight_decay: f64,
    /// Gradients are scaled down to this Euclidean norm.
    pub clip: f64,
    /// Examples whose gradients are summed before a step.
    pub batch: usize,
    /// Tokens that run through the model at once; bounds memory.
    pub micro_tokens: usize,
    /// Passes over the reference answers, and over the examples of the other kinds.
    pub epochs: f64,
    pub unknown_epochs: f64,
    pub anchor_epochs: f64,
    pub open_book_epochs: f64,
    /// Wordings of one train probe that are asked a second time with the facts before them; 0 also leaves out the open-book examples of
    /// `unknown` controls.
    pub open_book: usize,
    /// Most wordings of one train probe that are used, the probe's own included.
    pub wordings: usize,
    /// Weight of a token of an anchor (KL to the base model) relative to a token of a reference answer.
    pub anchor_weight: f64,
    /// Tokens of the base model's distribution that an anchor keeps at each position.
    pub anchor_top: usize,
    /// Most tokens of an anchor's answer that are used.
    pub anchor_tokens: usize,
    /// Steps between evaluations on `dev`; training stops after `patience` of them without a better one.
    pub eval_every: usize,
    pub patience: usize,
    /// Weight of KL on dev anchors in what early stopping minimises.
    pub dev_kl_weight: f64,
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            targets: freehold_model::decoder::PROJECTIONS.iter().map(|p| p.to_string()).collect(),
            from_layer: 1.0 / 3.0,
            learning_rate: 4e-4,
            warmup: 0.1,
            weight_decay: 0.0,
            clip: 1.0,
            batch: 4,
            micro_tokens: 768,
            epochs: 1.75,
            unknown_epochs: 0.75,
            anchor_epochs: 1.5,
            open_book_epochs: 1.0,
            open_book: 1,
            wordings: 9,
            anchor_weight: 4.0,
            anchor_top: 48,
            anchor_tokens: 64,
            eval_every: 75,
            patience: 3,
            dev_kl_weight: 1.0,
            seed: 1,
        }
    }
}

impl Recipe {
    /// Learning rate of a step, counted from 0.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let warm = (self.warmup * steps as f64).max(1.0);
        let at = step as f64 + 1.0;
        if at <= warm {
            return self.learning_rate * at / warm;
        }
        let progress = ((at - warm) / (steps as f64 - warm).max(1.0)).min(1.0);
        self.learning_rate * (0.1 + 0.45 * (1.0 + (std::f64::consts::PI * progress).cos()))
    }
}
