//! One chat endpoint without retries: what each answer and each failure becomes.

use std::time::{Duration, Instant};

use futures::StreamExt;
use lectern_models::config::{LlmKind, LlmSection};
use lectern_models::error::{ModelError, SetupError};
use lectern_models::http::Http;
use lectern_models::llm::{ChatEvent, FinishReason, Llm, Usage};
use lectern_resilience::config::RetrySection;
use lectern_tests::provider::{Ending, Failure, Provider, Raw};
use tokio::net::{TcpSocket, TcpStream};
use url::Url;

use crate::fixture::{KEY, ask, chain, eventually, llm_at, patient, question, text, within};

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
