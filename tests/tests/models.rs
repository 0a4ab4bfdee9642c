//! The models crate against a provider on a real socket: what each failure becomes, and that nothing waits for ever.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up fails it")]

use std::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use lectern_models::config::{EmbedderKind, EmbedderSection, LlmKind, LlmSection};
use lectern_models::embedder::Embedder;
use lectern_models::error::{ModelError, SetupError};
use lectern_models::http::Http;
use lectern_models::llm::{ChatEvent, ChatRequest, FinishReason, Llm, Message, Role, Usage};
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_tests::provider::{Ending, Failure, Provider, Raw};
use secrecy::SecretString;
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

const KEY: &str = "sk-planted-secret";

/// Far more than any of these calls needs.
fn patient() -> Deadline {
    within(20_000)
}

fn within(millis: u64) -> Deadline {
    Deadline::after(Instant::now(), Duration::from_millis(millis))
}

fn chat_section(url: &str) -> LlmSection {
    LlmSection {
        kind: LlmKind::Openai,
        url: Some(Url::parse(url).unwrap()),
        model: "mock-chat".into(),
        api_key: Some(SecretString::from(KEY)),
        ..LlmSection::default()
    }
}

/// One call and no other: what it becomes shows as it is.
fn single_try() -> RetrySection {
    RetrySection { attempts: NonZeroU32::MIN, ..RetrySection::default() }
}

fn llm_at(url: &str) -> Llm {
    Llm::new(&chat_section(url), &single_try(), &Http::new().unwrap()).unwrap().unwrap()
}

fn embedder_at(url: &str, batch: usize, concurrency: usize) -> Embedder {
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

fn question() -> ChatRequest {
    let content = "[1] Keys expire after ninety days.\n\nQuestion: when do keys expire?".to_owned();
    ChatRequest { messages: vec![Message { role: Role::User, content }], max_tokens: 50, temperature: 0.0 }
}

async fn ask(llm: &Llm, deadline: Deadline) -> Result<Vec<ChatEvent>, ModelError> {
    llm.chat(question(), deadline).await?.events.try_collect().await
}

fn text(events: &[ChatEvent]) -> String {
    let deltas = events.iter().filter_map(|event| match event {
        ChatEvent::Delta(text) => Some(text.as_str()),
        _ => None,
    });
    deltas.collect()
}

/// An error with its causes, as a log prints it.
fn chain(error: &ModelError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Waits until the condition holds; a second is ten times what any of them needs.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(1), "not within a second: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_streamed_answer_arrives_whole_with_its_usage_and_its_reason() {
    let provider = Provider::start().await.unwrap();
    let events = ask(&llm_at(&provider.url()), patient()).await.unwrap();
    assert_eq!(text(&events), "Keys expire after ninety days. [1]");
    assert!(events.len() > 5, "not streamed: {events:?}");
    let [.., ChatEvent::Usage(usage), ChatEvent::Finished(FinishReason::Stop)] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(usage, Usage { prompt_tokens: 11, completion_tokens: 6 });
}

#[tokio::test]
async fn a_call_carries_the_key_and_asks_for_usage() {
    let provider = Provider::start().await.unwrap();
    ask(&llm_at(&provider.url()), patient()).await.unwrap();
    let call = provider.requests().remove(0);
    assert_eq!(call.authorization, Some(format!("Bearer {KEY}")));
    assert_eq!(call.body["model"], "mock-chat");
    assert_eq!(call.body["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_provider_that_does_not_stream_is_understood() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.streams = false);
    let events = ask(&llm_at(&provider.url()), patient()).await.unwrap();
    assert_eq!(text(&events), "Keys expire after ninety days. [1]");
    assert_eq!(events.last(), Some(&ChatEvent::Finished(FinishReason::Stop)));
}

#[tokio::test]
async fn usage_is_optional_and_reasons_are_told_apart() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    for (name, reason) in [("length", FinishReason::Length), ("content_filter", FinishReason::Filtered)] {
        provider.set(|knobs| (knobs.usage, knobs.finish_reason) = (false, name));
        let events = ask(&llm, patient()).await.unwrap();
        assert_eq!(events.last(), Some(&ChatEvent::Finished(reason)));
        assert!(!events.iter().any(|event| matches!(event, ChatEvent::Usage(_))));
    }
}

#[tokio::test]
async fn finished_streams_give_their_connection_back() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    for _ in 0..20 {
        ask(&llm, patient()).await.unwrap();
    }
    assert_eq!((provider.chat().calls, provider.connections()), (20, 1));
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_the_providers_words_and_without_the_key() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    for status in [302, 400, 401, 403, 404] {
        let body = format!(r#"{{"error":{{"message":"not with {KEY}"}}}}"#);
        provider.set(|knobs| knobs.failures = vec![Failure::always(status).body(body)]);
        let error = ask(&llm, patient()).await.unwrap_err();
        assert!(matches!(error, ModelError::Refused { .. }), "{status}: {error:?}");
        assert_eq!(
            chain(&error),
            format!("mock-chat refused the request: HTTP {status}: not with [redacted]")
        );
        assert!(!format!("{error:?} {llm:?}").contains(KEY));
    }
    assert_eq!(provider.chat().calls, 5, "refusals are not retried, redirects not followed");
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(429).retry_after("7")]);
    let error = ask(&llm_at(&provider.url()), patient()).await.unwrap_err();
    let ModelError::Limited { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_failing_provider_is_unavailable() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    for status in [500, 502, 503] {
        let html = "<html>".repeat(100_000);
        provider.set(|knobs| knobs.failures = vec![Failure::always(status).body(html)]);
        let error = ask(&llm, patient()).await.unwrap_err();
        assert!(matches!(error, ModelError::Unavailable { .. }), "{status}: {error:?}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_provider_that_is_gone_is_unavailable() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    ask(&llm, patient()).await.unwrap();
    drop(provider);
    let error = ask(&llm, patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unavailable { .. }), "{error:?}");
    assert!(!chain(&error).contains("127.0.0.1"), "{}", chain(&error));
}

#[tokio::test]
async fn garbage_is_garbled_and_never_an_answer() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    let endless = ["data: ", &"x".repeat(2 * 1024 * 1024)].concat();
    for (content_type, body) in [
        ("text/html", "<html>Welcome to the proxy</html>"),
        ("application/json", r#"{"choices":[{"message":{"content":"tor"#),
        ("application/json", "{}"),
        ("application/json", ""),
        ("text/event-stream", "data: {\"choices\":[{\"delta\":\n\n"),
        ("text/event-stream", "data: <html>\n\n"),
        ("text/event-stream", endless.as_str()),
    ] {
        provider.set(|knobs| knobs.raw = Some(Raw { content_type, body: body.as_bytes().to_vec() }));
        let error = ask(&llm, patient()).await.unwrap_err();
        assert!(matches!(error, ModelError::Garbled { .. }), "{content_type} {error:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_not_finished_is_an_error_after_what_was_delivered() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    for ending in [Ending::BreakAfter(2), Ending::StopAfter(2), Ending::ErrorAfter(2)] {
        provider.set(|knobs| knobs.ending = ending.clone());
        let events: Vec<_> = llm.chat(question(), patient()).await.unwrap().events.collect().await;
        let (last, delivered) = events.split_last().unwrap();
        let delivered: Vec<_> = delivered.iter().map(|event| event.as_ref().unwrap().clone()).collect();
        assert_eq!(text(&delivered), "Keys expire ", "{ending:?}");
        assert!(matches!(last, Err(ModelError::Unavailable { .. })), "{ending:?}: {last:?}");
    }
}

#[tokio::test]
async fn waiting_for_the_first_byte_ends_at_the_deadline() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_mins(1));
    let started = Instant::now();
    let error = ask(&llm_at(&provider.url()), within(100)).await.unwrap_err();
    assert!(matches!(error, ModelError::Late { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("the provider sees its caller go", || provider.chat().cancelled == 1).await;
}

#[tokio::test]
async fn a_stalled_stream_ends_at_the_deadline() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider.url());
    provider.set(|knobs| knobs.ending = Ending::StallAfter(2));
    let started = Instant::now();
    let mut events = llm.chat(question(), within(200)).await.unwrap().events;
    assert_eq!(events.next().await.unwrap().unwrap(), ChatEvent::Delta("Keys ".into()));
    assert_eq!(events.next().await.unwrap().unwrap(), ChatEvent::Delta("expire ".into()));
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ModelError::Late { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(events.next().await.is_none());
    eventually("the provider sees its caller go", || provider.chat().cancelled == 1).await;
}

#[tokio::test]
async fn a_stream_that_trickles_does_not_outlive_its_deadline() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| {
        knobs.answer = Some("word ".repeat(1_000));
        knobs.delay_between_tokens = Duration::from_millis(10);
    });
    let started = Instant::now();
    let error = ask(&llm_at(&provider.url()), within(200)).await.unwrap_err();
    assert!(matches!(error, ModelError::Late { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// A listener whose queue is full: connections to it are never answered. Holds what fills it.
async fn unconnectable() -> (String, Vec<TcpStream>, tokio::net::TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the queue never fills");
    }
    (format!("http://{address}/v1"), held, listener)
}

#[tokio::test]
async fn waiting_for_a_connection_ends_at_the_deadline() {
    let (url, _held, _listener) = unconnectable().await;
    let started = Instant::now();
    let error = ask(&llm_at(&url), within(150)).await.unwrap_err();
    assert!(matches!(error, ModelError::Late { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_host_that_does_not_connect_counts_as_stalled_long_before_a_late_deadline() {
    let (url, _held, _listener) = unconnectable().await;
    let started = Instant::now();
    let error = ask(&llm_at(&url), patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Stalled { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn dropping_a_stream_closes_the_call() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.ending = Ending::StallAfter(1));
    let mut events = llm_at(&provider.url()).chat(question(), patient()).await.unwrap().events;
    events.next().await.unwrap().unwrap();
    assert_eq!(provider.chat().in_flight, 1);
    drop(events);
    eventually("the call is closed", || provider.chat().in_flight == 0).await;
    assert_eq!(provider.chat().cancelled, 1);
}

#[tokio::test]
async fn dropping_a_call_before_its_answer_closes_it() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_mins(1));
    let llm = llm_at(&provider.url());
    let call = tokio::spawn(async move { ask(&llm, patient()).await });
    eventually("the call has come in", || provider.chat().in_flight == 1).await;
    call.abort();
    eventually("the call is closed", || provider.chat().cancelled == 1).await;
}

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("word{n} and the number {n}")).collect()
}

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_whatever_the_batches() {
    let provider = Provider::start().await.unwrap();
    let all = embedder_at(&provider.url(), 3, 4).embed(texts(20), patient()).await.unwrap();
    assert_eq!(provider.embeddings().calls, 7);
    let one_by_one = embedder_at(&provider.url(), 1, 1);
    for (text, vector) in texts(20).into_iter().zip(all) {
        assert_eq!(one_by_one.embed(vec![text], patient()).await.unwrap(), [vector]);
    }
}

#[tokio::test]
async fn no_texts_make_no_call() {
    let provider = Provider::start().await.unwrap();
    let vectors = embedder_at(&provider.url(), 3, 4).embed(vec![], patient()).await.unwrap();
    assert_eq!((vectors.len(), provider.embeddings().calls), (0, 0));
}

#[tokio::test]
async fn calls_at_once_are_bounded_over_all_askers() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(20));
    let embedder = embedder_at(&provider.url(), 1, 3);
    let askers = (0..5).map(|_| embedder.embed(texts(6), patient()));
    for vectors in futures::future::join_all(askers).await {
        assert_eq!(vectors.unwrap().len(), 6);
    }
    let counts = provider.embeddings();
    assert_eq!((counts.calls, counts.max_in_flight, counts.in_flight), (30, 3, 0));
}

#[tokio::test]
async fn waiting_for_a_turn_ends_at_the_deadline() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_mins(1));
    let embedder = embedder_at(&provider.url(), 1, 1);
    let (first, second) =
        tokio::join!(embedder.embed(texts(1), within(300)), embedder.embed(texts(1), within(100)));
    assert!(matches!(first, Err(ModelError::Late { .. })) && matches!(second, Err(ModelError::Late { .. })));
    assert_eq!(provider.embeddings().calls, 1, "the second never had its turn");
}

#[tokio::test]
async fn a_failed_batch_fails_the_whole_by_its_kind() {
    let provider = Provider::start().await.unwrap();
    let embedder = embedder_at(&provider.url(), 2, 2);
    let error_of = async |failure| {
        provider.set(|knobs| knobs.failures = vec![failure]);
        embedder.embed(texts(10), patient()).await.unwrap_err()
    };
    assert!(matches!(error_of(Failure::share(429, 0.3)).await, ModelError::Limited { .. }));
    assert!(matches!(error_of(Failure::share(500, 0.3)).await, ModelError::Unavailable { .. }));
    assert!(matches!(error_of(Failure::always(401)).await, ModelError::Refused { .. }));
}

#[tokio::test]
async fn vectors_that_do_not_fit_are_garbled() {
    let provider = Provider::start().await.unwrap();
    let embedder = embedder_at(&provider.url(), 2, 2);
    provider.set(|knobs| knobs.dimension = 32);
    let error = embedder.embed(texts(1), patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Garbled { .. }));
    assert!(chain(&error).contains("32 elements, but `embedder.dimension` is 64"), "{}", chain(&error));
    let too_long = vec![b' '; 65 * 1024 * 1024];
    for body in [b"<html>".to_vec(), br#"{"data":[]}"#.to_vec(), br#"{"data":[{"ind"#.to_vec(), too_long] {
        provider.set(|knobs| knobs.raw = Some(Raw { content_type: "application/json", body }));
        let error = embedder.embed(texts(1), patient()).await.unwrap_err();
        assert!(matches!(error, ModelError::Garbled { .. }), "{error:?}");
    }
}

#[test]
fn a_section_without_its_address_or_model_names_the_missing_key() {
    let (http, retry) = (Http::new().unwrap(), RetrySection::default());
    assert!(Llm::new(&LlmSection::default(), &retry, &http).unwrap().is_none());
    let section = LlmSection { kind: LlmKind::Openai, ..LlmSection::default() };
    let fault = Llm::new(&section, &retry, &http).unwrap_err();
    assert!(matches!(&fault, SetupError::Setting { key, .. } if key == "llm.url"), "{fault}");
    let section = LlmSection { url: Some(Url::parse("http://localhost/v1").unwrap()), ..section };
    let fault = Llm::new(&section, &retry, &http).unwrap_err();
    assert!(matches!(&fault, SetupError::Setting { key, .. } if key == "llm.model"), "{fault}");
}
