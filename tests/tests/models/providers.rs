//! Several chat endpoints under failure: retries, budget, breaker, fallback, weights, ceilings, stalls, leavers.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};

use futures::StreamExt;
use lectern_models::config::LlmSection;
use lectern_models::error::{ModelError, SetupError};
use lectern_models::http::Http;
use lectern_models::llm::{ChatEvent, FinishReason, Llm, TokenCounts};
use lectern_resilience::breaker::BreakerState;
use lectern_resilience::config::RetrySection;
use lectern_tests::provider::{Ending, Failure, Provider};

use crate::fixture::{ask, chat_section, eventually, llm_with, patient, question, quick_retry, text, within};

const ANSWER: &str = "Keys expire after ninety days. [1]";

/// The breaker stays out of the way of what is measured.
fn no_breaker() -> RetrySection {
    RetrySection { breaker_failures: NonZeroU32::MAX, ..quick_retry() }
}

/// An endpoint of this provider whose model bears this name.
fn named(provider: &Provider, model: &str) -> LlmSection {
    LlmSection { model: model.to_owned(), ..chat_section(&provider.url()) }
}

/// Which model answers, whether as a fallback, and what.
async fn answered(llm: &Llm) -> (String, bool, String) {
    let chat = llm.chat(question(), patient()).await.unwrap();
    let events: Vec<ChatEvent> = chat.events.map(Result::unwrap).collect().await;
    assert_eq!(events.last(), Some(&ChatEvent::Finished(FinishReason::Stop)));
    (chat.model, chat.fallback, text(&events))
}

#[tokio::test]
async fn passing_failures_are_hidden_by_retries() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::share(429, 0.2), Failure::share(500, 0.1)]);
    let llm = llm_with(&chat_section(&provider.url()), &quick_retry());
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
async fn a_total_outage_is_not_amplified() {
    for status in [429, 500] {
        let provider = Provider::start().await.unwrap();
        provider.set(|knobs| knobs.failures = vec![Failure::always(status)]);
        let llm = llm_with(&chat_section(&provider.url()), &no_breaker());
        for _ in 0..15 {
            let asked = futures::future::join_all((0..20).map(|_| ask(&llm, patient()))).await;
            assert!(asked.into_iter().all(|answer| answer.is_err()));
        }
        let calls = provider.chat().calls;
        assert!((300..330).contains(&calls), "{calls} calls for 300 questions at {status}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_and_no_other_caller_runs_into_it() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(429).retry_after("1")]);
    let llm = llm_with(&chat_section(&provider.url()), &quick_retry());
    let began = Instant::now();
    let first = async {
        let answer = ask(&llm, patient()).await;
        (answer, began.elapsed())
    };
    let second = async {
        eventually("the first call was limited", || {
            provider.chat().calls == 1 && provider.chat().in_flight == 0
        })
        .await;
        provider.set(|knobs| knobs.failures.clear());
        // Let the answer reach the client.
        eventually("the limit is noted", || llm.upstreams()[0].failures == 1).await;
        let hurried = ask(&llm, within(300)).await.unwrap_err();
        let ModelError::Limited { retry_after: Some(wait), .. } = hurried else { panic!("{hurried:?}") };
        assert!(wait <= Duration::from_secs(1));
        assert_eq!(provider.chat().calls, 1, "nobody called in the meantime");
    };
    let ((answer, took), ()) = tokio::join!(first, second);
    assert_eq!(text(&answer.unwrap()), ANSWER);
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert_eq!(provider.chat().calls, 2);
}

#[tokio::test]
async fn a_rate_limit_beyond_the_deadline_fails_at_once() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(429).retry_after("50")]);
    let llm = llm_with(&chat_section(&provider.url()), &quick_retry());
    let began = Instant::now();
    let error = ask(&llm, patient()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(50)));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn there_is_no_retry_and_no_fallback_after_the_first_token() {
    let (provider, other) = (Provider::start().await.unwrap(), Provider::start().await.unwrap());
    provider.set(|knobs| knobs.ending = Ending::ErrorAfter(1));
    let section = LlmSection { fallback: vec![named(&other, "other")], ..chat_section(&provider.url()) };
    let llm = llm_with(&section, &quick_retry());
    let events: Vec<_> = llm.chat(question(), patient()).await.unwrap().events.collect().await;
    assert!(
        matches!(events[..], [Ok(ChatEvent::Delta(_)), Err(ModelError::Unavailable { .. })]),
        "{events:?}"
    );
    assert_eq!((provider.chat().calls, other.chat().calls), (1, 0));
}

#[tokio::test]
async fn an_error_before_the_first_token_is_retried_although_the_stream_had_begun() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.ending = Ending::ErrorAfter(0));
    let llm = llm_with(&chat_section(&provider.url()), &quick_retry());
    ask(&llm, patient()).await.unwrap_err();
    assert!(provider.chat().calls > 1);
}

#[tokio::test]
async fn a_breaker_opens_probes_by_single_calls_and_recovers_without_a_restart() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(500)]);
    let retry = RetrySection {
        breaker_failures: NonZeroU32::new(3).unwrap(),
        breaker_open: Duration::from_millis(150),
        ..quick_retry()
    };
    let llm = llm_with(&chat_section(&provider.url()), &retry);
    let state = || llm.upstreams()[0].breaker;
    ask(&llm, patient()).await.unwrap_err();
    assert_eq!((state(), provider.chat().calls), (BreakerState::Open, 3));
    let error = ask(&llm, patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Open { .. }) && error.retry_after().is_some(), "{error:?}");
    assert_eq!(provider.chat().calls, 3);
    eventually("a probe is due", || state() == BreakerState::HalfOpen).await;
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(50));
    let asked = futures::future::join_all((0..10).map(|_| ask(&llm, patient()))).await;
    assert!(asked.iter().all(Result::is_err));
    assert_eq!(provider.chat().calls, 4, "one probe for ten questions");
    provider.set(|knobs| knobs.failures.clear());
    eventually("a probe is due", || state() == BreakerState::HalfOpen).await;
    assert_eq!(text(&ask(&llm, patient()).await.unwrap()), ANSWER);
    assert_eq!(state(), BreakerState::Closed);
    assert!(ask(&llm, patient()).await.is_ok());
}

#[tokio::test]
async fn fallbacks_are_asked_in_order_and_declared() {
    let [first, second, third] = [
        Provider::start().await.unwrap(),
        Provider::start().await.unwrap(),
        Provider::start().await.unwrap(),
    ];
    let fallback = vec![named(&second, "second"), named(&third, "third")];
    let llm = llm_with(&LlmSection { fallback, ..named(&first, "first") }, &quick_retry());
    assert_eq!(answered(&llm).await, ("first".into(), false, ANSWER.into()));
    first.set(|knobs| knobs.failures = vec![Failure::always(401)]);
    assert_eq!(answered(&llm).await, ("second".into(), true, ANSWER.into()));
    second.set(|knobs| knobs.failures = vec![Failure::always(429).retry_after("40")]);
    assert_eq!(answered(&llm).await, ("third".into(), true, ANSWER.into()));
    assert_eq!(third.chat().calls, 1);
    third.set(|knobs| knobs.failures = vec![Failure::always(400)]);
    let error = llm.chat(question(), patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Limited { .. }), "the one that may pass: {error:?}");
}

#[tokio::test]
async fn endpoints_with_weights_share_the_load_and_stand_in_for_each_other() {
    let (one, two) = (Provider::start().await.unwrap(), Provider::start().await.unwrap());
    let second = LlmSection { weight: Some(3), ..named(&two, "two") };
    let llm = llm_with(&LlmSection { fallback: vec![second], ..named(&one, "one") }, &quick_retry());
    for _ in 0..200 {
        assert!(!answered(&llm).await.1, "an equal is no fallback");
    }
    let share = one.chat().calls;
    assert!((20..80).contains(&share) && share + two.chat().calls == 200, "{share} of 200, not about 50");
    two.set(|knobs| knobs.failures = vec![Failure::always(401)]);
    for _ in 0..10 {
        assert_eq!(answered(&llm).await.0, "one");
    }
}

#[tokio::test]
async fn requests_per_minute_are_obeyed_before_the_provider_sees_them() {
    let provider = Provider::start().await.unwrap();
    let ceiling = NonZeroU64::new(7);
    let section = LlmSection { requests_per_minute: ceiling, ..chat_section(&provider.url()) };
    let llm = llm_with(&section, &quick_retry());
    let asked = futures::future::join_all((0..30).map(|_| ask(&llm, within(2_000)))).await;
    let (answers, errors): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
    assert_eq!((answers.len(), provider.chat().calls), (7, 7));
    for error in errors {
        let error = error.unwrap_err();
        let wait = error.retry_after().unwrap_or_default();
        assert!(matches!(error, ModelError::Limited { .. }) && wait > Duration::from_secs(50), "{error:?}");
    }
}

#[tokio::test]
async fn tokens_per_minute_are_reserved_by_estimate_and_settled_by_usage() {
    let provider = Provider::start().await.unwrap();
    // A call is estimated at 67 tokens (67 characters and 50 tokens to come), and costs 17.
    let section = LlmSection { tokens_per_minute: NonZeroU64::new(120), ..chat_section(&provider.url()) };
    let llm = llm_with(&section, &quick_retry());
    let mut answers = 0;
    while ask(&llm, within(2_000)).await.is_ok() {
        answers += 1;
    }
    // Four make 68, and the fifth would be estimated beyond 120; unsettled, it would be the second.
    assert_eq!((answers, provider.chat().calls), (4, 4));
    assert_eq!(llm.tokens(), TokenCounts { prompt: 44, completion: 24, given_up: 0 });
}

#[tokio::test]
async fn an_endpoint_at_its_ceiling_passes_its_load_on() {
    let (one, two) = (Provider::start().await.unwrap(), Provider::start().await.unwrap());
    let section = LlmSection {
        requests_per_minute: NonZeroU64::new(1),
        fallback: vec![named(&two, "two")],
        ..named(&one, "one")
    };
    let llm = llm_with(&section, &quick_retry());
    assert_eq!(answered(&llm).await.0, "one");
    assert_eq!(answered(&llm).await.0, "two");
}

#[tokio::test]
async fn calls_at_once_are_bounded_and_those_that_end_let_others_in() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_between_tokens = Duration::from_millis(5));
    let concurrency = NonZeroUsize::new(3).unwrap();
    let llm = llm_with(&LlmSection { concurrency, ..chat_section(&provider.url()) }, &quick_retry());
    let asked = futures::future::join_all((0..12).map(|_| ask(&llm, patient()))).await;
    assert!(asked.iter().all(Result::is_ok));
    assert_eq!(provider.chat().max_in_flight, 3);
    assert_eq!((llm.upstreams()[0].running, llm.upstreams()[0].waiting), (0, 0));
}

#[tokio::test]
async fn an_endpoint_that_takes_the_call_and_stays_silent_is_left_for_the_fallback() {
    let (silent, other) = (Provider::start().await.unwrap(), Provider::start().await.unwrap());
    silent.set(|knobs| knobs.silent = true);
    let section = LlmSection {
        first_token: Duration::from_millis(80),
        fallback: vec![named(&other, "other")],
        ..named(&silent, "silent")
    };
    let llm = llm_with(&section, &quick_retry());
    let began = Instant::now();
    assert_eq!(answered(&llm).await, ("other".into(), true, ANSWER.into()));
    assert!(began.elapsed() < Duration::from_secs(5), "not after half of the deadline");
    assert_eq!(silent.chat().calls, 1, "a stalled call is not made again at the same endpoint");
    eventually("the silent call is closed", || silent.chat().cancelled == 1).await;
}

#[tokio::test]
async fn headers_without_a_token_are_a_stall_too() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_first_token = Duration::from_mins(1));
    let section = LlmSection { first_token: Duration::from_millis(80), ..chat_section(&provider.url()) };
    let began = Instant::now();
    let error = ask(&llm_with(&section, &quick_retry()), patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Stalled { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "not by the deadline");
}

#[tokio::test]
async fn a_short_deadline_leaves_the_fallback_its_part() {
    let (silent, other) = (Provider::start().await.unwrap(), Provider::start().await.unwrap());
    silent.set(|knobs| knobs.silent = true);
    let section = LlmSection { fallback: vec![named(&other, "other")], ..named(&silent, "silent") };
    let llm = llm_with(&section, &quick_retry());
    let chat = llm.chat(question(), within(2_000)).await.unwrap();
    assert_eq!(chat.model, "other");
}

#[tokio::test]
async fn silence_in_mid_stream_is_an_error_after_what_was_delivered() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.ending = Ending::StallAfter(2));
    let section = LlmSection { stall: Duration::from_millis(80), ..chat_section(&provider.url()) };
    let llm = llm_with(&section, &quick_retry());
    let events: Vec<_> = llm.chat(question(), patient()).await.unwrap().events.collect().await;
    let [Ok(_), Ok(_), Err(ModelError::Stalled { .. })] = events[..] else { panic!("{events:?}") };
    assert_eq!(provider.chat().calls, 1);
    eventually("the call is closed", || provider.chat().cancelled == 1).await;
}

#[tokio::test]
async fn leaving_a_stream_closes_the_call_frees_its_place_and_counts_its_tokens() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.ending = Ending::StallAfter(2));
    let section = LlmSection { concurrency: NonZeroUsize::MIN, ..chat_section(&provider.url()) };
    let llm = llm_with(&section, &quick_retry());
    let mut chat = llm.chat(question(), patient()).await.unwrap();
    chat.events.next().await.unwrap().unwrap();
    chat.events.next().await.unwrap().unwrap();
    assert_eq!(llm.upstreams()[0].running, 1);
    drop(chat);
    let upstream = &llm.upstreams()[0];
    assert_eq!((upstream.running, upstream.given_up, upstream.failures), (0, 1, 0));
    eventually("the call is closed", || provider.chat().cancelled == 1).await;
    // 67 characters of prompt and 12 of text, at four a token.
    assert_eq!(llm.tokens(), TokenCounts { prompt: 0, completion: 0, given_up: 17 + 3 });
    provider.set(|knobs| knobs.ending = Ending::Whole);
    assert!(ask(&llm, patient()).await.is_ok());
}

#[tokio::test]
async fn a_probe_whose_caller_leaves_does_not_leave_the_breaker_half_open() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(500)]);
    let retry = RetrySection {
        breaker_failures: NonZeroU32::MIN,
        breaker_open: Duration::from_millis(20),
        ..quick_retry()
    };
    let llm = llm_with(&chat_section(&provider.url()), &retry);
    ask(&llm, patient()).await.unwrap_err();
    eventually("a probe is due", || llm.upstreams()[0].breaker == BreakerState::HalfOpen).await;
    provider.set(|knobs| (knobs.failures, knobs.silent) = (vec![], true));
    let probe = tokio::time::timeout(Duration::from_millis(50), ask(&llm, patient())).await;
    assert!(probe.is_err());
    provider.set(|knobs| knobs.silent = false);
    assert!(ask(&llm, patient()).await.is_ok());
}

#[test]
fn faults_of_a_fallback_name_its_place() {
    let (http, retry) = (Http::new().unwrap(), RetrySection::default());
    let good = chat_section("http://localhost/v1");
    let fault_of = |section: LlmSection| match Llm::new(&section, &retry, &http).unwrap_err() {
        SetupError::Setting { key, .. } => key,
        other => panic!("{other}"),
    };
    let with = |fallback| LlmSection { fallback: vec![fallback], ..good.clone() };
    assert_eq!(fault_of(with(LlmSection { url: None, ..good.clone() })), "llm.fallback.0.url");
    assert_eq!(fault_of(with(LlmSection::default())), "llm.fallback.0.kind");
    assert_eq!(fault_of(with(with(good.clone()))), "llm.fallback.0.fallback");
    assert_eq!(fault_of(LlmSection { fallback: vec![good.clone()], ..LlmSection::default() }), "llm.kind");
}
