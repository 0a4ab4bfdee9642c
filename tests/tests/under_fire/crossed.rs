//! Streams that run at the same time: no word of one may come out of another.

use std::time::Duration;

use futures::future::join_all;
use lectern_tests::lectern::{Event, Lectern};
use lectern_tests::world::World;
use serde_json::json;

use super::{scaled, served};

/// One in so many questions is asked by two clients at once, who share its answer.
const SHARED: usize = 5;

/// The word that only this question has.
fn word(number: usize) -> String {
    format!("codeword{number:06}x")
}

/// All such words in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let length = word(0).len();
    text.match_indices("codeword").map(move |(at, _)| &text[at..at + length])
}

async fn stream(server: &Lectern, number: usize) -> Vec<Event> {
    let own = word(number);
    // Before, between and behind the words that all have.
    let question = format!("{own} Which port has {own} for the gateway's metrics and {own}?");
    server.stream(&json!({ "question": question, "mode": "sparse", "deadline_ms": 110_000 })).await
}

#[tokio::test]
async fn streams_crossed_between_users() {
    let settings = [("LECTERN_LIMITS__CONCURRENCY", "1024")];
    let (world, server) = served(World::embedded().await, &settings).await;
    world.provider.set(|knobs| {
        knobs.echo = true;
        knobs.delay_before_first_token = Duration::from_millis(300);
        knobs.delay_between_tokens = Duration::from_millis(20);
    });
    let streams = scaled(500);
    let questions = (0..streams).map(|client| client - usize::from(client % SHARED == 1));
    let streaming = questions.map(|number| {
        let server = &server;
        async move { (word(number), stream(server, number).await) }
    });
    for (own, events) in join_all(streaming).await {
        let last = events.last().unwrap();
        assert_eq!(last.name, "done", "{last:?}");
        for event in &events {
            let text = event.data.to_string();
            assert!(words(&text).all(|seen| seen == own), "{own} in {event:?}");
        }
        let told: String =
            events.iter().filter(|e| e.name == "delta").map(|e| e.data["text"].as_str().unwrap()).collect();
        assert_eq!(words(&told).count(), 3, "{told}");
        assert_eq!(last.data["answer"], json!(told));
    }
    let chat = world.provider.chat();
    assert_eq!(chat.calls, streams - streams.div_ceil(SHARED), "answers that two share are made once");
    assert!(chat.max_in_flight > streams / 4, "only {} streams at once", chat.max_in_flight);
}
