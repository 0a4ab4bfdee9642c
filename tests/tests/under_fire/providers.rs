//! A provider that fails some of its calls, or all of them.

use std::ops::Range;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use lectern_tests::lectern::{Lectern, Reply};
use lectern_tests::provider::Failure;
use lectern_tests::world::World;
use serde_json::json;

use super::{question, scaled, served};

/// Clients that ask at the same time.
const CLIENTS: usize = 20;

/// The replies to these questions, each asked once, and how long each took.
async fn asked(server: &Lectern, questions: Range<usize>) -> Vec<(Reply, Duration)> {
    let ask = |number| async move {
        let began = Instant::now();
        (server.post("/v1/ask", &question(number)).await, began.elapsed())
    };
    stream::iter(questions).map(ask).buffer_unordered(CLIENTS).collect().await
}

#[tokio::test]
async fn a_provider_that_answers_every_fifth_call_429_and_every_tenth_500() {
    let (world, server) = served(World::embedded().await, &[]).await;
    world.provider.set(|knobs| knobs.failures = vec![Failure::share(429, 0.2), Failure::share(500, 0.1)]);
    let questions = scaled(1_000);
    let replies = asked(&server, 0..questions).await;
    let is_whole = |reply: &Reply| reply.status == 200 && reply.body["degraded"] == json!([]);
    let unanswered = replies.iter().filter(|(reply, _)| !is_whole(reply)).count();
    let calls = world.provider.chat().calls;
    println!("{unanswered} of {questions} questions unanswered, {calls} calls");
    assert!(unanswered * 200 < questions, "{unanswered} of {questions} unanswered");
    assert!(calls * 100 < questions * 145, "{calls} calls for {questions} questions");
}

/// Asks while every call fails: nobody gets more or less than a 503 that says when to come back, long before the deadline
/// of half a minute. Returns the calls that were made.
async fn calls_when_all_fail(failure: Failure, settings: &[(&str, &str)], questions: usize) -> usize {
    let (world, server) = served(World::embedded().await, settings).await;
    world.provider.set(|knobs| knobs.failures = vec![failure]);
    for (reply, took) in asked(&server, 0..questions).await {
        assert_eq!(
            (reply.status.as_u16(), &reply.body["code"]),
            (503, &json!("llm_unavailable")),
            "{}",
            reply.body
        );
        assert!(reply.headers.contains_key("retry-after"));
        assert!(took < Duration::from_secs(12), "{took:?}");
    }
    world.provider.chat().calls
}

#[tokio::test]
async fn a_provider_whose_every_call_fails_is_not_asked_much_more_often_for_it() {
    // The breaker, which would leave the provider alone, stays out of the way of the budget.
    let settings = [("LECTERN_RETRY__BREAKER_FAILURES", "4000000000")];
    let questions = scaled(300);
    for status in [429, 500] {
        let calls = calls_when_all_fail(Failure::always(status), &settings, questions).await;
        println!("{calls} calls for {questions} questions at {status}");
        assert!(calls >= questions && calls * 100 < questions * 110, "{calls} calls at {status}");
    }
}

#[tokio::test]
async fn a_provider_whose_every_call_breaks_is_left_alone() {
    let questions = scaled(300);
    let calls = calls_when_all_fail(Failure::always(500), &[], questions).await;
    println!("{calls} calls for {questions} questions");
    // The calls under way when the breaker opened, and a probe every five seconds.
    assert!(calls < 60, "{calls} calls");
}
