//! Text to dense vectors, by the configured model.
//! Never truncates silently what it was told fits: callers measure with [`Embedder::count_tokens`].

use lectern_resilience::deadline::Deadline;

use crate::config::{EmbedderKind, EmbedderSection};
use crate::error::{ModelError, SetupError};
use crate::http::Http;

mod bert;
mod local;
mod openai;
mod pool;

use local::Local;
use openai::OpenaiEmbedder;

/// The configured embedder.
#[derive(Debug)]
pub struct Embedder {
    identity: ModelIdentity,
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    Local(Box<Local>),
    Openai(OpenaiEmbedder),
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
    /// The window that is assumed behind an endpoint: the smallest one among the embedding models in wide use.
    const ENDPOINT_TOKENS: usize = 512;

    /// Loads the local model or prepares the calls of the endpoint. Blocks while it reads the model.
    pub fn new(section: &EmbedderSection, http: &Http) -> Result<Self, SetupError> {
        let backend = match section.kind {
            EmbedderKind::Local => Backend::Local(Box::new(Local::load(section)?)),
            EmbedderKind::Openai => Backend::Openai(OpenaiEmbedder::new(section, http)?),
        };
        let identity = ModelIdentity {
            model: section.model.clone(),
            dimension: section.dimension,
            pooled_here: matches!(backend, Backend::Local(_)),
        };
        Ok(Self { identity, backend })
    }

    /// What the vectors are.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// Most tokens of a text that the model sees, as [`Self::count_tokens`] counts them.
    pub fn max_tokens(&self) -> usize {
        match &self.backend {
            Backend::Local(local) => local.max_tokens(),
            Backend::Openai(_) => Self::ENDPOINT_TOKENS,
        }
    }

    /// Length of a text in the model's tokens, without the special ones.
    /// For an endpoint, whose tokenizer is not known here, a quarter of the text's bytes, rounded up.
    pub fn count_tokens(&self, text: &str) -> usize {
        match &self.backend {
            Backend::Local(local) => local.count_tokens(text),
            Backend::Openai(_) => text.len().div_ceil(4),
        }
    }

    /// One vector per text, in the order of the texts. Any number of texts: batched inside.
    pub async fn embed(&self, texts: Vec<String>, deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        match &self.backend {
            Backend::Local(local) => local.embed(texts, deadline).await,
            Backend::Openai(endpoint) => endpoint.embed(texts, deadline).await,
        }
    }
}
