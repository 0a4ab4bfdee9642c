//! Chat completion as a stream of events, by the configured endpoints: retried and passed on before the first token.
//! Never makes a call again, or another one, once a token was handed out.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::BoxStream;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::spread;
use lectern_resilience::upstream::Snapshot;

use crate::config::{LlmKind, LlmSection};
use crate::error::{ModelError, SetupError};
use crate::http::Http;

mod anthropic;
mod endpoint;
mod ledger;
mod openai;
mod reading;
mod sse;

pub use ledger::TokenCounts;

use endpoint::ChatEndpoint;
use ledger::Ledger;

/// What is sent to a chat model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation, system message first.
    pub messages: Vec<Message>,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: f32,
    /// How the answer is read.
    pub delivery: Delivery,
}

/// How an answer is read by whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As it comes.
    Streamed,
    /// When it is there: an endpoint may be asked for it in one piece.
    Whole,
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

/// An answer that has begun.
pub struct Chat {
    /// Name of the model that writes it.
    pub model: String,
    /// Whether it is one that was only asked because all that share the load had failed.
    pub fallback: bool,
    /// The answer. Its first event is there already.
    pub events: ChatStream,
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, fallback, .. } = self;
        f.debug_struct("Chat").field("model", model).field("fallback", fallback).finish_non_exhaustive()
    }
}

/// The chat models behind endpoints: those that share the load, and those that stand in for them.
#[derive(Debug)]
pub struct Llm {
    /// In the order of the configuration; never empty.
    endpoints: Vec<ChatEndpoint>,
    model: String,
    weights: Vec<u32>,
    ledger: Arc<Ledger>,
}

impl Llm {
    /// The chat models of the section; none when the section asks for no model (`extractive`).
    pub fn new(section: &LlmSection, retry: &RetrySection, http: &Http) -> Result<Option<Self>, SetupError> {
        if section.kind == LlmKind::Extractive {
            if section.fallback.is_empty() {
                return Ok(None);
            }
            return Err(SetupError::setting("llm", "kind", "must name a model when there are fallbacks"));
        }
        let mut endpoints = vec![ChatEndpoint::new("llm", section, retry, http)?];
        for (place, fallback) in section.fallback.iter().enumerate() {
            let name = format!("llm.fallback.{place}");
            if !fallback.fallback.is_empty() {
                return Err(SetupError::setting(&name, "fallback", "is not allowed: list it under `llm`"));
            }
            endpoints.push(ChatEndpoint::new(&name, fallback, retry, http)?);
        }
        let given = [section].into_iter().chain(&section.fallback).map(|section| section.weight);
        let weights = given.enumerate().map(|(place, weight)| weight.unwrap_or(u32::from(place == 0)));
        Ok(Some(Self {
            endpoints,
            model: section.model.clone(),
            weights: weights.collect(),
            ledger: Arc::default(),
        }))
    }

    /// Name of the first model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Starts an answer; resolves when its first token is there, or all of it if it comes in one piece. Until then, failed
    /// calls are made again and other endpoints asked; afterwards, never. The deadline bounds the whole answer.
    pub async fn chat(&self, request: ChatRequest, deadline: Deadline) -> Result<Chat, ModelError> {
        let order = spread::order(&self.weights, |all| fastrand::u64(0..all));
        let mut asked: Vec<&ChatEndpoint> =
            order.iter().filter_map(|place| self.endpoints.get(*place)).collect();
        asked.reverse();
        let mut failure = None;
        while let Some(endpoint) = asked.pop() {
            match endpoint.chat(&request, deadline, asked.len(), &self.ledger).await {
                Ok(events) => return Ok(self.begun(endpoint, events)),
                Err(error) => {
                    let (model, left) = (endpoint.model(), asked.len());
                    tracing::debug!(model, left, error = %error, "language model failed");
                    failure = Some(more_telling(failure, error));
                }
            }
            if deadline.has_passed(Instant::now()) {
                break;
            }
        }
        Err(failure.unwrap_or_else(|| ModelError::late(&self.model)))
    }

    /// What the endpoints look like from here, in the order of the configuration.
    pub fn upstreams(&self) -> Vec<Snapshot> {
        self.endpoints.iter().map(ChatEndpoint::snapshot).collect()
    }

    /// Tokens of all answers so far.
    pub fn tokens(&self) -> TokenCounts {
        self.ledger.read()
    }

    fn begun(&self, endpoint: &ChatEndpoint, events: ChatStream) -> Chat {
        let place = self.endpoints.iter().position(|one| std::ptr::eq(one, endpoint));
        let shares = |place: usize| self.weights.get(place).is_some_and(|weight| *weight > 0);
        let is_first_choice =
            place.is_some_and(shares) || (place == Some(0) && !self.weights.iter().any(|w| *w > 0));
        Chat { model: endpoint.model().to_owned(), fallback: !is_first_choice, events }
    }
}

/// Of two failures, the one that says most to a caller who may come back: the first that a retry may mend.
fn more_telling(before: Option<ModelError>, error: ModelError) -> ModelError {
    match before {
        Some(before) if before.is_retryable() || !error.is_retryable() => before,
        _ => error,
    }
}
