//! More clients than the dependencies could bear: what they ask for must not reach those all at once.

use std::time::Duration;

use futures::future::join_all;
use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::{Value, json};

use super::{scaled, served};

/// Places for answers, calls to the embedder and calls to the store: each so few that the one before could overrun it.
const ANSWERS: usize = 32;
const EMBEDDINGS: usize = 3;
const SEARCHES: usize = 4;

async fn crowded() -> (World, Lectern) {
    let (answers, embeddings, searches) = (ANSWERS.to_string(), EMBEDDINGS.to_string(), SEARCHES.to_string());
    let settings = [
        ("LECTERN_LIMITS__CONCURRENCY", answers.as_str()),
        ("LECTERN_LIMITS__QUEUE", "100000"),
        ("LECTERN_EMBEDDER__CONCURRENCY", &embeddings),
        // Each question its own call, so that there are enough of them.
        ("LECTERN_EMBEDDER__BATCH", "1"),
        ("LECTERN_STORE__CONCURRENCY", &searches),
    ];
    let (world, server) = served(World::remote().await, &settings).await;
    world.provider.set(|knobs| {
        knobs.delay_before_headers = Duration::from_millis(3);
        knobs.delay_before_first_token = Duration::from_millis(80);
    });
    let qdrant = world.qdrant.as_ref().unwrap().knobs();
    qdrant.delay("Query", Duration::from_millis(8));
    qdrant.forget_calls();
    (world, server)
}

fn ask(question: &str) -> Value {
    json!({ "question": question, "deadline_ms": 110_000 })
}

async fn all_answered(server: &Lectern, questions: impl Iterator<Item = Value>) {
    let asking = questions.map(|body| async move { server.post("/v1/ask", &body).await });
    for reply in join_all(asking).await {
        assert_eq!((reply.status.as_u16(), &reply.body["degraded"]), (200, &json!([])), "{}", reply.body);
    }
}

#[tokio::test]
async fn unbounded_fan_out() {
    let (world, server) = crowded().await;
    let clients = scaled(2_000);
    all_answered(&server, (0..clients).map(|n| ask(&format!("On which port does gateway {n} listen?"))))
        .await;
    let (chat, embeddings) = (world.provider.chat(), world.provider.embeddings());
    let searches = world.qdrant.as_ref().unwrap().knobs().most_at_once("Query");
    println!(
        "at once: {} answers, {} embeddings, {searches} searches",
        chat.max_in_flight, embeddings.max_in_flight
    );
    assert_eq!(chat.calls, clients);
    // The places were needed, and there was not one more. An answer has its place from before it embeds.
    assert!((ANSWERS / 2..=ANSWERS).contains(&chat.max_in_flight), "{chat:?}");
    assert_eq!((embeddings.max_in_flight, usize::try_from(searches).unwrap()), (EMBEDDINGS, SEARCHES));
}

#[tokio::test]
async fn unbounded_fan_out_of_equal_questions() {
    let (world, server) = crowded().await;
    let embedded = world.provider.embeddings().calls;
    let clients = scaled(2_000);
    all_answered(&server, (0..clients).map(|_| ask("On which port does the gateway listen?"))).await;
    assert_eq!((world.provider.chat().calls, world.provider.embeddings().calls - embedded), (1, 1));
    assert_eq!(world.qdrant.as_ref().unwrap().calls("Query"), 1);
}
