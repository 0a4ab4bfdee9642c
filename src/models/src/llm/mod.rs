//! Chat completion as a stream of events, by the configured endpoint.
//! Never retries and never falls back: an error says whether that makes sense.

use futures::stream::BoxStream;
use lectern_resilience::deadline::Deadline;

use crate::config::{LlmKind, LlmSection};
use crate::error::{ModelError, SetupError};
use crate::http::{Account, Endpoint, Http};

mod openai;
mod sse;

/// What is sent to a chat model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation, system message first.
    pub messages: Vec<Message>,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: f32,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The rules.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// A piece of a generated answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// More text.
    Delta(String),
    /// What the call has cost so far; the last one counts.
    Usage(Usage),
    /// The text is whole. Always the last event of a stream that did not fail.
    Finished(FinishReason),
}

/// Tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub completion_tokens: u64,
}

impl Usage {
    /// What two calls cost together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
        }
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It ran into `max_tokens`.
    Length,
    /// The provider cut it off for its content.
    Filtered,
}

/// The events of one call. Dropping it closes the call.
pub type ChatStream = BoxStream<'static, Result<ChatEvent, ModelError>>;

/// The chat model behind an endpoint.
#[derive(Debug)]
pub struct Llm {
    endpoint: Endpoint,
}

impl Llm {
    /// The chat model of the section; none when the section asks for no model (`extractive`).
    pub fn new(section: &LlmSection, http: &Http) -> Result<Option<Self>, SetupError> {
        let account = Account {
            section: "llm",
            url: section.url.as_ref(),
            model: &section.model,
            api_key: section.api_key.as_ref(),
        };
        match section.kind {
            LlmKind::Extractive => Ok(None),
            LlmKind::Openai => {
                let endpoint = Endpoint::new(http, &account, &["chat", "completions"])?;
                Ok(Some(Self { endpoint }))
            }
        }
    }

    /// Name of the model.
    pub fn model(&self) -> &str {
        self.endpoint.model()
    }

    /// Starts a call; resolves when the provider has begun to answer. The deadline bounds the whole stream.
    pub async fn chat(&self, request: ChatRequest, deadline: Deadline) -> Result<ChatStream, ModelError> {
        openai::chat(&self.endpoint, &request, deadline).await
    }
}
