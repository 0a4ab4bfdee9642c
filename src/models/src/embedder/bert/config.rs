//! What `config.json` says of a BERT model.
//! Never guesses: a model that would be computed differently from how it was trained is refused.

use serde::Deserialize;

use super::SPECIAL_TOKENS;
use crate::error::Cause;

/// Sizes and choices of a model, by the names that its file gives them.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) intermediate_size: usize,
    pub(super) hidden_act: Activation,
    pub(super) max_position_embeddings: usize,
    pub(super) type_vocab_size: usize,
    pub(super) layer_norm_eps: f32,
    #[serde(default)]
    #[expect(dead_code, reason = "it is read for the others to be refused")]
    model_type: Architecture,
    #[serde(default)]
    #[expect(dead_code, reason = "it is read for the others to be refused")]
    position_embedding_type: Positions,
}

/// What is applied between the two matrices of a layer's feed-forward part.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Activation {
    /// With the error function.
    Gelu,
    /// With the hyperbolic tangent that approximates it.
    #[serde(alias = "gelu_fast", alias = "gelu_pytorch_tanh")]
    GeluNew,
    Relu,
}

/// Others share the names of BERT's tensors but not the computation: `RoBERTa` counts its positions from 2.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Architecture {
    #[default]
    Bert,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Positions {
    #[default]
    Absolute,
}

impl Config {
    /// Reads the file and refuses sizes that the computation would divide by zero or leave its buffers with.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Cause> {
        let config: Self = serde_json::from_slice(bytes)?;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        if width == 0 || heads == 0 || !width.is_multiple_of(heads) {
            return Err("`hidden_size` is not a multiple of `num_attention_heads`".into());
        }
        if config.intermediate_size == 0 {
            return Err("`intermediate_size` is 0".into());
        }
        if config.max_position_embeddings <= SPECIAL_TOKENS {
            return Err("`max_position_embeddings` leaves no room for text".into());
        }
        Ok(config)
    }

    /// Elements that each attention head looks at.
    pub(super) fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}
