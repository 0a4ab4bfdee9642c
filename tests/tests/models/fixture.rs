//! Models behind a mock provider, questions, and bounded waiting.
//! Never asserts what a test is about.

use std::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use lectern_models::config::{EmbedderKind, EmbedderSection, LlmKind, LlmSection};
use lectern_models::embedder::Embedder;
use lectern_models::error::ModelError;
use lectern_models::http::Http;
use lectern_models::llm::{ChatEvent, ChatRequest, Delivery, Llm, Message, Role};
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use secrecy::SecretString;
use url::Url;

pub(crate) const KEY: &str = "sk-planted-secret";

/// Far more than any of these calls needs.
pub(crate) fn patient() -> Deadline {
    within(20_000)
}

pub(crate) fn within(millis: u64) -> Deadline {
    Deadline::after(Instant::now(), Duration::from_millis(millis))
}

pub(crate) fn chat_section(url: &str) -> LlmSection {
    LlmSection {
        kind: LlmKind::Openai,
        url: Some(Url::parse(url).unwrap()),
        model: "mock-chat".into(),
        api_key: Some(SecretString::from(KEY)),
        ..LlmSection::default()
    }
}

/// One call and no other: what it becomes shows as it is.
pub(crate) fn single_try() -> RetrySection {
    RetrySection { attempts: NonZeroU32::MIN, ..RetrySection::default() }
}

pub(crate) fn llm_at(url: &str) -> Llm {
    Llm::new(&chat_section(url), &single_try(), &Http::new().unwrap()).unwrap().unwrap()
}

pub(crate) fn embedder_at(url: &str, batch: usize, concurrency: usize) -> Embedder {
    let section = EmbedderSection {
        kind: EmbedderKind::Openai,
        url: Some(Url::parse(url).unwrap()),
        model: "mock-embedding".into(),
        api_key: Some(SecretString::from(KEY)),
        dimension: 64,
        batch: NonZeroUsize::new(batch).unwrap(),
        concurrency: NonZeroUsize::new(concurrency).unwrap(),
        ..EmbedderSection::default()
    };
    Embedder::new(&section, &single_try(), &Http::new().unwrap()).unwrap()
}

pub(crate) fn question() -> ChatRequest {
    let content = "[1] Keys expire after ninety days.\n\nQuestion: when do keys expire?".to_owned();
    ChatRequest {
        messages: vec![Message { role: Role::User, content }],
        max_tokens: 50,
        temperature: 0.0,
        delivery: Delivery::Streamed,
    }
}

pub(crate) async fn ask(llm: &Llm, deadline: Deadline) -> Result<Vec<ChatEvent>, ModelError> {
    llm.chat(question(), deadline).await?.events.try_collect().await
}

pub(crate) fn text(events: &[ChatEvent]) -> String {
    let deltas = events.iter().filter_map(|event| match event {
        ChatEvent::Delta(text) => Some(text.as_str()),
        _ => None,
    });
    deltas.collect()
}

/// An error with its causes, as a log prints it.
pub(crate) fn chain(error: &ModelError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Waits until the condition holds; a second is ten times what any of them needs.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(1), "not within a second: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Calls again quickly.
pub(crate) fn quick_retry() -> RetrySection {
    RetrySection { base: Duration::from_millis(2), cap: Duration::from_millis(20), ..RetrySection::default() }
}

pub(crate) fn llm_with(section: &LlmSection, retry: &RetrySection) -> Llm {
    Llm::new(section, retry, &Http::new().unwrap()).unwrap().unwrap()
}

pub(crate) fn texts(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("word{n} and the number {n}")).collect()
}
