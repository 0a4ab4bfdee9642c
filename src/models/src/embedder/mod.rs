//! Text to dense vectors, by the configured model.
//! Never truncates silently what it was told fits: callers measure with [`Embedder::count_tokens`].

use std::num::NonZeroUsize;
use std::sync::Arc;

use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::gather::{Bounds, Gather};
use lectern_resilience::upstream::Snapshot;

use crate::config::{EmbedderKind, EmbedderSection};
use crate::error::{ModelError, SetupError};
use crate::http::Http;

mod bert;
mod cores;
mod local;
mod openai;
mod pool;
mod questions;
mod remote;
mod tei;

use local::Local;
use questions::Questions;
use remote::{Remote, Wire};

/// The configured embedder.
#[derive(Debug)]
pub struct Embedder {
    identity: ModelIdentity,
    batch: NonZeroUsize,
    backend: Arc<Backend>,
    questions: Gather<Questions>,
}

#[derive(Debug)]
enum Backend {
    Local(Box<Local>),
    Remote(Box<Remote>),
}

impl Backend {
    async fn embed(&self, texts: Vec<String>, deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        match self {
            Self::Local(local) => local.embed(texts, deadline).await,
            Self::Remote(remote) => remote.embed(texts, deadline).await,
        }
    }

    /// Whether a batch may have failed for one of its texts.
    fn may_blame_a_text(&self, error: &ModelError) -> bool {
        match self {
            Self::Local(_) => matches!(error, ModelError::Unavailable { .. }),
            Self::Remote(_) => matches!(error, ModelError::Refused { .. }),
        }
    }

    /// Batches that make sense at once.
    fn width(&self) -> NonZeroUsize {
        match self {
            Self::Local(local) => NonZeroUsize::new(local.width()).unwrap_or(NonZeroUsize::MIN),
            Self::Remote(remote) => remote.width(),
        }
    }
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
    pub fn new(section: &EmbedderSection, retry: &RetrySection, http: &Http) -> Result<Self, SetupError> {
        let remote =
            |wire| Remote::new(wire, section, retry, http).map(|remote| Backend::Remote(Box::new(remote)));
        let backend = Arc::new(match section.kind {
            EmbedderKind::Local => Backend::Local(Box::new(Local::load(section)?)),
            EmbedderKind::Openai => remote(Wire::Openai)?,
            EmbedderKind::Tei => remote(Wire::Tei)?,
        });
        let identity = ModelIdentity {
            model: section.model.clone(),
            dimension: section.dimension,
            pooled_here: matches!(*backend, Backend::Local(_)),
        };
        // While calls are under way questions gather: that is when there are many, and when a call of their own would
        // compete with those.
        let bounds = Bounds {
            asks: section.batch,
            eager: NonZeroUsize::MIN,
            calls: backend.width(),
            wait: section.batch_wait,
        };
        let questions = Questions { backend: Arc::clone(&backend), model: section.model.clone() };
        Ok(Self { identity, batch: section.batch, backend, questions: Gather::new(questions, bounds) })
    }

    /// What the vectors are.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// Most texts of one call.
    pub fn batch(&self) -> NonZeroUsize {
        self.batch
    }

    /// Calls that make sense at once.
    pub fn width(&self) -> NonZeroUsize {
        self.backend.width()
    }

    /// Most tokens of a text that the model sees, as [`Self::count_tokens`] counts them.
    pub fn max_tokens(&self) -> usize {
        match &*self.backend {
            Backend::Local(local) => local.max_tokens(),
            Backend::Remote(_) => Self::ENDPOINT_TOKENS,
        }
    }

    /// Length of a text in the model's tokens, without the special ones.
    /// For an endpoint, whose tokenizer is not known here, a quarter of the text's bytes, rounded up.
    pub fn count_tokens(&self, text: &str) -> usize {
        match &*self.backend {
            Backend::Local(local) => local.count_tokens(text),
            Backend::Remote(_) => text.len().div_ceil(4),
        }
    }

    /// One vector per text, in the order of the texts. Any number of texts: batched inside.
    pub async fn embed(&self, texts: Vec<String>, deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        self.backend.embed(texts, deadline).await
    }

    /// The vector of one question. Questions that are asked at the same time share calls.
    pub async fn embed_question(&self, text: String, deadline: Deadline) -> Result<Vec<f32>, ModelError> {
        self.questions.ask(text, deadline).await
    }

    /// What the endpoint looks like from here; none for the local model, which cannot be down.
    pub fn upstream(&self) -> Option<Snapshot> {
        match &*self.backend {
            Backend::Local(_) => None,
            Backend::Remote(remote) => Some(remote.snapshot()),
        }
    }
}
