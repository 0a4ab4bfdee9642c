//! Answers that are asked for in one piece: what differs from streamed ones, and what must not.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use lectern_models::config::{LlmKind, LlmSection};
use lectern_models::error::ModelError;
use lectern_models::llm::{ChatEvent, ChatRequest, Delivery, FinishReason, Llm, TokenCounts, Usage};
use lectern_resilience::breaker::BreakerState;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_tests::provider::{Ending, Failure, Provider, Raw};

use crate::fixture::{
    chain, chat_section, eventually, llm_with, patient, question, quick_retry, single_try, text, within,
};

const ANSWER: &str = "Keys expire after ninety days. [1]";

/// An endpoint of this provider that is asked for whole answers.
fn section(provider: &Provider) -> LlmSection {
    LlmSection { whole_answers: true, ..chat_section(&provider.url()) }
}

fn llm_at(provider: &Provider) -> Llm {
    llm_with(&section(provider), &single_try())
}

fn read_as(delivery: Delivery) -> ChatRequest {
    ChatRequest { delivery, ..question() }
}

async fn ask(llm: &Llm, deadline: Deadline) -> Result<Vec<ChatEvent>, ModelError> {
    llm.chat(read_as(Delivery::Whole), deadline).await?.events.try_collect().await
}

#[tokio::test]
async fn an_answer_in_one_piece_has_its_text_its_usage_and_its_reason() {
    let provider = Provider::start().await.unwrap();
    for kind in [LlmKind::Openai, LlmKind::Anthropic] {
        let llm = llm_with(&LlmSection { kind, ..section(&provider) }, &single_try());
        assert_eq!(
            ask(&llm, patient()).await.unwrap(),
            [
                ChatEvent::Delta(ANSWER.into()),
                ChatEvent::Usage(Usage { prompt_tokens: 11, completion_tokens: 6 }),
                ChatEvent::Finished(FinishReason::Stop),
            ]
        );
        assert_eq!(provider.requests().pop().unwrap().body["stream"], false, "{kind:?}");
    }
}

#[tokio::test]
async fn only_what_nobody_follows_is_asked_for_in_one_piece_and_only_where_that_is_configured() {
    let provider = Provider::start().await.unwrap();
    let streams = async |whole_answers, delivery| {
        let section = LlmSection { whole_answers, ..section(&provider) };
        let chat = llm_with(&section, &single_try()).chat(read_as(delivery), patient()).await.unwrap();
        chat.events.try_collect::<Vec<_>>().await.unwrap();
        provider.requests().pop().unwrap().body["stream"] == true
    };
    assert!(!streams(true, Delivery::Whole).await);
    assert!(streams(true, Delivery::Streamed).await);
    assert!(streams(false, Delivery::Whole).await);
}

#[tokio::test]
async fn passing_failures_are_hidden_by_retries() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::share(429, 0.2), Failure::share(500, 0.1)]);
    let llm = llm_with(&section(&provider), &quick_retry());
    let questions = 400;
    let mut unanswered = 0;
    for _ in 0..questions / 20 {
        let asked = futures::future::join_all((0..20).map(|_| ask(&llm, patient()))).await;
        unanswered += asked.into_iter().filter(Result::is_err).count();
    }
    let calls = provider.chat().calls;
    assert!(unanswered * 200 < questions, "{unanswered} of {questions} unanswered");
    assert!(calls * 100 < questions * 145, "{calls} calls for {questions} questions");
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(429).retry_after("50")]);
    let error = ask(&llm_with(&section(&provider), &quick_retry()), patient()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(50)));
}

#[tokio::test]
async fn a_body_that_breaks_is_asked_for_again_since_nothing_of_it_was_handed_out() {
    for ending in [Ending::BreakAfter(1), Ending::ErrorAfter(0)] {
        let provider = Provider::start().await.unwrap();
        provider.set(|knobs| knobs.ending = ending.clone());
        let error = ask(&llm_with(&section(&provider), &quick_retry()), patient()).await.unwrap_err();
        assert!(matches!(error, ModelError::Unavailable { .. }), "{ending:?}: {error:?}");
        assert!(provider.chat().calls > 1, "{ending:?}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_garbled_and_never_an_answer() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.ending = Ending::StopAfter(1));
    let error = ask(&llm_at(&provider), patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Garbled { .. }), "{}", chain(&error));
}

/// The section with patience that would end a stream at once.
fn impatient(provider: &Provider) -> LlmSection {
    let moment = Duration::from_millis(20);
    LlmSection { first_token: moment, stall: moment, ..section(provider) }
}

#[tokio::test]
async fn the_silence_of_who_writes_a_whole_answer_is_no_stall() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_with(&impatient(&provider), &single_try());
    provider.set(|knobs| knobs.delay_before_first_token = Duration::from_millis(100));
    assert_eq!(text(&ask(&llm, patient()).await.unwrap()), ANSWER);
    // The same with headers that come before it.
    provider.set(|knobs| knobs.delay_between_tokens = Duration::from_millis(100));
    assert_eq!(text(&ask(&llm, patient()).await.unwrap()), ANSWER);
}

#[tokio::test]
async fn a_silent_endpoint_is_late_at_the_deadline_and_its_call_is_closed() {
    let provider = Provider::start().await.unwrap();
    for ending in [None, Some(Ending::StallAfter(1))] {
        provider.set(|knobs| {
            knobs.silent = ending.is_none();
            knobs.ending = ending.clone().unwrap_or(Ending::Whole);
        });
        let cancelled = provider.chat().cancelled;
        let began = Instant::now();
        let error = ask(&llm_at(&provider), within(200)).await.unwrap_err();
        assert!(matches!(error, ModelError::Late { .. }), "{ending:?}: {error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
        eventually("the call is closed", || provider.chat().cancelled == cancelled + 1).await;
    }
}

#[tokio::test]
async fn a_silent_endpoint_leaves_the_fallback_its_part_of_the_time() {
    let (silent, other) = (Provider::start().await.unwrap(), Provider::start().await.unwrap());
    silent.set(|knobs| knobs.silent = true);
    let second = LlmSection { model: "other".into(), ..section(&other) };
    let llm = llm_with(&LlmSection { fallback: vec![second], ..section(&silent) }, &quick_retry());
    let chat = llm.chat(read_as(Delivery::Whole), within(2_000)).await.unwrap();
    assert_eq!((chat.model.as_str(), chat.fallback), ("other", true));
    assert_eq!(silent.chat().calls, 1, "who was silent once is not asked again");
}

#[tokio::test]
async fn silence_opens_the_breaker_and_a_whole_answer_closes_it() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.silent = true);
    let retry = RetrySection {
        breaker_failures: NonZeroU32::MIN,
        breaker_open: Duration::from_millis(50),
        ..quick_retry()
    };
    let llm = llm_with(&section(&provider), &retry);
    let state = || llm.upstreams()[0].breaker;
    // Long enough for the time that is used up to speak against the endpoint.
    ask(&llm, within(700)).await.unwrap_err();
    assert_eq!(state(), BreakerState::Open);
    assert!(matches!(ask(&llm, patient()).await.unwrap_err(), ModelError::Open { .. }));
    provider.set(|knobs| knobs.silent = false);
    eventually("a probe is due", || state() == BreakerState::HalfOpen).await;
    assert!(ask(&llm, patient()).await.is_ok());
    assert_eq!(state(), BreakerState::Closed);
}

#[tokio::test]
async fn leaving_closes_the_call_frees_its_place_and_counts_its_prompt() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_first_token = Duration::from_mins(1));
    let llm = llm_with(&LlmSection { concurrency: NonZeroUsize::MIN, ..section(&provider) }, &quick_retry());
    {
        let asking = ask(&llm, patient());
        let called = eventually("the call has come in", || provider.chat().in_flight == 1);
        tokio::select! {
            answer = asking => panic!("{answer:?}"),
            () = called => {}
        }
    }
    let upstream = &llm.upstreams()[0];
    assert_eq!((upstream.running, upstream.given_up, upstream.failures), (0, 1, 0));
    eventually("the call is closed", || provider.chat().cancelled == 1).await;
    // 67 characters of prompt at four a token; of the text nothing is known.
    assert_eq!(llm.tokens(), TokenCounts { prompt: 0, completion: 0, given_up: 17 });
    provider.set(|knobs| knobs.delay_before_first_token = Duration::ZERO);
    assert!(ask(&llm, patient()).await.is_ok());
    assert_eq!(llm.tokens(), TokenCounts { prompt: 11, completion: 6, given_up: 17 });
}

#[tokio::test]
async fn a_call_that_was_refused_has_given_nothing_up() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(500)]);
    let llm = llm_at(&provider);
    ask(&llm, patient()).await.unwrap_err();
    assert_eq!(llm.tokens(), TokenCounts::default());
}

#[tokio::test]
async fn tokens_per_minute_are_settled_by_usage() {
    let provider = Provider::start().await.unwrap();
    // A call is estimated at 67 tokens (67 characters and 50 tokens to come), and costs 17.
    let tokens_per_minute = NonZeroU64::new(120);
    let llm = llm_with(&LlmSection { tokens_per_minute, ..section(&provider) }, &quick_retry());
    let mut answers = 0;
    while ask(&llm, within(2_000)).await.is_ok() {
        answers += 1;
    }
    // Four make 68, and the fifth would be estimated beyond 120.
    assert_eq!((answers, provider.chat().calls), (4, 4));
}

#[tokio::test]
async fn whole_answers_give_their_connection_back() {
    let provider = Provider::start().await.unwrap();
    let llm = llm_at(&provider);
    for _ in 0..20 {
        ask(&llm, patient()).await.unwrap();
    }
    assert_eq!((provider.chat().calls, provider.connections()), (20, 1));
}

#[tokio::test]
async fn a_provider_that_streams_all_the_same_is_understood() {
    let provider = Provider::start().await.unwrap();
    let stream = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"Ninety \"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"days.\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    );
    let raw = Raw { content_type: "text/event-stream", body: stream.as_bytes().to_vec() };
    provider.set(|knobs| knobs.raw = Some(raw));
    let events = ask(&llm_at(&provider), patient()).await.unwrap();
    assert_eq!(text(&events), "Ninety days.");
    assert_eq!(events.last(), Some(&ChatEvent::Finished(FinishReason::Stop)));
}
