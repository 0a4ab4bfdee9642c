//! The `embedder` and `llm` sections of the configuration.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
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
    /// How long questions wait for others to share a call with, while one is under way. 0 does not wait.
    #[serde(rename = "batch_wait_ms", deserialize_with = "milliseconds")]
    pub batch_wait: Duration,
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
    /// `POST {url}/embed` of Hugging Face's text-embeddings-inference.
    Tei,
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
            batch_wait: Duration::from_millis(2),
        }
    }
}

/// Which model writes the answers: one endpoint, and those that stand in for it or share its load.
#[derive(Debug, Clone, Deserialize)]
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
    /// Share of the load. Endpoints with a weight above 0 share it in proportion; one without is asked when all before it
    /// in the list have failed. Where none is given, 1 for the section itself and 0 for its fallbacks.
    pub weight: Option<u32>,
    /// Most requests per minute.
    pub requests_per_minute: Option<NonZeroU64>,
    /// Most tokens per minute, prompts and answers together.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Most calls to the endpoint under way at once.
    pub concurrency: NonZeroUsize,
    /// How long the first token may take before the endpoint counts as stalled.
    #[serde(rename = "first_token_ms", deserialize_with = "positive_milliseconds")]
    pub first_token: Duration,
    /// How long it may be silent after that.
    #[serde(rename = "stall_ms", deserialize_with = "positive_milliseconds")]
    pub stall: Duration,
    /// Whether the answer is asked for in one piece when nobody reads it as it comes. Then a silent endpoint is noticed only
    /// when the time for the answer is used up.
    pub whole_answers: bool,
    /// More endpoints, in order. None of them has fallbacks of its own.
    pub fallback: Vec<LlmSection>,
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
    /// `POST {url}/v1/messages` in Anthropic's shape.
    Anthropic,
}

impl Default for LlmSection {
    fn default() -> Self {
        Self {
            kind: LlmKind::default(),
            url: None,
            model: String::new(),
            api_key: None,
            weight: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            // As many streams as a replica is made for: lower it to what the provider bears.
            concurrency: NonZeroUsize::new(1_024).unwrap_or(NonZeroUsize::MIN),
            first_token: Duration::from_secs(15),
            stall: Duration::from_secs(15),
            whole_answers: false,
            fallback: Vec::new(),
        }
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

fn positive_milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    NonZeroU64::deserialize(deserializer).map(|ms| Duration::from_millis(ms.get()))
}
