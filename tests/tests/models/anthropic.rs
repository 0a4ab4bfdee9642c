//! Anthropic's Messages: headers, streams, whole answers, reasons, usage, errors.

use std::time::Duration;

use futures::StreamExt;
use lectern_models::config::{LlmKind, LlmSection};
use lectern_models::error::ModelError;
use lectern_models::llm::{ChatEvent, FinishReason, Llm, Message, Role, Usage};
use lectern_tests::provider::{Ending, Failure, Provider};

use crate::fixture::{
    KEY, ask, chain, chat_section, llm_with, patient, question, quick_retry, single_try, text,
};

fn claude(url: &str) -> Llm {
    let section = LlmSection { kind: LlmKind::Anthropic, model: "mock-claude".into(), ..chat_section(url) };
    llm_with(&section, &single_try())
}

#[tokio::test]
async fn a_call_carries_the_key_the_version_and_the_rules_apart_from_the_talk() {
    let provider = Provider::start().await.unwrap();
    let mut request = question();
    request.messages.insert(0, Message { role: Role::System, content: "Quote.".into() });
    let bare = provider.url().trim_end_matches("/v1").to_owned();
    for url in [provider.url(), bare] {
        claude(&url).chat(request.clone(), patient()).await.unwrap();
    }
    for call in provider.requests() {
        assert_eq!((call.path, call.authorization), ("/v1/messages", None));
        assert_eq!(call.headers["x-api-key"], KEY);
        assert_eq!(call.headers["anthropic-version"], "2023-06-01");
        assert_eq!(call.body["system"], "Quote.");
        assert_eq!(call.body["messages"].as_array().unwrap().len(), 1);
        assert_eq!((&call.body["model"], &call.body["max_tokens"]), (&"mock-claude".into(), &50.into()));
    }
    assert_eq!(provider.chat().calls, 2);
}

#[tokio::test]
async fn an_answer_is_the_same_streamed_and_whole() {
    let provider = Provider::start().await.unwrap();
    for streams in [true, false] {
        provider.set(|knobs| knobs.streams = streams);
        let events = ask(&claude(&provider.url()), patient()).await.unwrap();
        assert_eq!(text(&events), "Keys expire after ninety days. [1]");
        assert_eq!(events.len() > 5, streams, "{events:?}");
        let [.., ChatEvent::Usage(usage), ChatEvent::Finished(FinishReason::Stop)] = events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(usage, Usage { prompt_tokens: 11, completion_tokens: 6 });
    }
}

#[tokio::test]
async fn reasons_are_told_apart() {
    let provider = Provider::start().await.unwrap();
    for (name, reason) in [("length", FinishReason::Length), ("content_filter", FinishReason::Filtered)] {
        provider.set(|knobs| knobs.finish_reason = name);
        let events = ask(&claude(&provider.url()), patient()).await.unwrap();
        assert_eq!(events.last(), Some(&ChatEvent::Finished(reason)));
    }
}

#[tokio::test]
async fn errors_keep_their_words_their_kind_and_their_wait() {
    let provider = Provider::start().await.unwrap();
    let error_of = async |failure: Failure| {
        let body = r#"{"type":"error","error":{"type":"some_error","message":"because"}}"#;
        provider.set(|knobs| knobs.failures = vec![failure.body(body)]);
        ask(&claude(&provider.url()), patient()).await.unwrap_err()
    };
    let refused = error_of(Failure::always(401)).await;
    assert_eq!(chain(&refused), "mock-claude refused the request: HTTP 401: because");
    let overloaded = error_of(Failure::always(529)).await;
    assert!(matches!(overloaded, ModelError::Unavailable { .. }), "{overloaded:?}");
    let limited = error_of(Failure::always(429).retry_after("9")).await;
    assert_eq!(limited.retry_after(), Some(Duration::from_secs(9)));
}

/// The beginning of a message reports usage: that is no token.
#[tokio::test]
async fn an_error_between_usage_and_the_first_token_is_retried() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.ending = Ending::ErrorAfter(0));
    let section = LlmSection { kind: LlmKind::Anthropic, ..chat_section(&provider.url()) };
    llm_with(&section, &quick_retry()).chat(question(), patient()).await.unwrap_err();
    assert!(provider.chat().calls > 1);
}

#[tokio::test]
async fn a_stream_that_is_not_finished_is_an_error_after_what_was_delivered() {
    let provider = Provider::start().await.unwrap();
    for ending in [Ending::BreakAfter(2), Ending::StopAfter(2), Ending::ErrorAfter(2)] {
        provider.set(|knobs| knobs.ending = ending.clone());
        let chat = claude(&provider.url()).chat(question(), patient()).await.unwrap();
        let events: Vec<_> = chat.events.collect().await;
        let (last, delivered) = events.split_last().unwrap();
        let delivered: Vec<_> = delivered.iter().map(|event| event.as_ref().unwrap().clone()).collect();
        assert_eq!(text(&delivered), "Keys expire ", "{ending:?}");
        assert!(matches!(last, Err(ModelError::Unavailable { .. })), "{ending:?}: {last:?}");
    }
}
