//! The `embedder` and `llm` sections of the configuration.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// Which model turns text into dense vectors.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedderSection {
    /// In the process, or behind an endpoint.
    pub kind: EmbedderKind,
    /// Directory of the local model: `config.json`, `tokenizer.json`, `model.safetensors`.
    pub path: PathBuf,
    /// Base address of the endpoint, e.g. `https://api.openai.com/v1`.
    pub url: Option<Url>,
    /// Name of the model; part of the fingerprint.
    pub model: String,
    /// Key of the endpoint.
    pub api_key: Option<SecretString>,
    /// Elements per vector.
    pub dimension: u32,
    /// Most texts per call or per local batch.
    pub batch: NonZeroUsize,
    /// Most calls to the embedder under way at once.
    pub concurrency: NonZeroUsize,
}

/// Kinds of embedder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderKind {
    /// A BERT-family model in the process.
    #[default]
    Local,
    /// `POST {url}/embeddings` in OpenAI's shape.
    Openai,
}

impl Default for EmbedderSection {
    fn default() -> Self {
        Self {
            kind: EmbedderKind::default(),
            path: PathBuf::from("./models/all-MiniLM-L6-v2"),
            url: None,
            model: "all-MiniLM-L6-v2".to_owned(),
            api_key: None,
            dimension: 384,
            batch: NonZeroUsize::new(32).unwrap_or(NonZeroUsize::MIN),
            concurrency: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// Which model writes the answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlmSection {
    /// No model at all, or an endpoint.
    pub kind: LlmKind,
    /// Base address of the endpoint, e.g. `https://api.openai.com/v1`.
    pub url: Option<Url>,
    /// Name of the model.
    pub model: String,
    /// Key of the endpoint.
    pub api_key: Option<SecretString>,
}

/// Kinds of language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmKind {
    /// The best sentences of the evidence, chosen without a model.
    #[default]
    Extractive,
    /// `POST {url}/chat/completions` in OpenAI's shape.
    Openai,
}
