//! Text to dense vectors, by the configured model.
//! Never truncates silently what it was told fits: callers measure with [`Embedder::count_tokens`].

use lectern_resilience::deadline::Deadline;

use crate::config::EmbedderSection;
use crate::error::{ModelError, SetupError};
use crate::http::Http;

/// The configured embedder.
#[derive(Debug)]
pub struct Embedder {
    _todo: (),
}

/// What decides whether two vectors are comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// Name of the model.
    pub model: String,
    /// Elements per vector.
    pub dimension: u32,
    /// Whether the pooling is ours (mean, L2-normalised) or the provider's.
    pub pooled_here: bool,
}

impl Embedder {
    /// Loads the local model or prepares the client of the endpoint. Blocks while it reads the model.
    pub fn new(section: &EmbedderSection, http: &Http) -> Result<Self, SetupError> {
        todo!()
    }

    /// What the vectors are.
    pub fn identity(&self) -> &ModelIdentity {
        todo!()
    }

    /// Most tokens of a text that the model sees.
    pub fn max_tokens(&self) -> usize {
        todo!()
    }

    /// Length of a text in the model's tokens, without the special ones.
    /// For an endpoint, whose tokenizer is not known here, a quarter of the text's bytes, rounded up.
    pub fn count_tokens(&self, text: &str) -> usize {
        todo!()
    }

    /// One vector per text, in the order of the texts. Any number of texts: batched inside.
    pub async fn embed(&self, texts: Vec<String>, deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        todo!()
    }
}
