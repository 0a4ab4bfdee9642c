//! The answer cache: a hit costs nothing, equal questions at once cost one call, and a swap is an exact invalidation.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::time::Duration;

use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::{Value, json};

/// A world with one document, a server on the Qdrant test server, and a chat model.
async fn served() -> (World, Lectern) {
    let world = World::remote().await.with_llm();
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 7443.\n");
    world.publish().await;
    let server = world.serve();
    server.ready().await;
    (world, server)
}

async fn ask(server: &Lectern, body: &Value) -> Value {
    let reply = server.post("/v1/ask", body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

fn question() -> Value {
    json!({ "question": "On which port does the gateway listen?" })
}

/// Calls so far: searches in the store, embeddings, chats.
fn calls(world: &World) -> (u64, usize, usize) {
    let store = world.qdrant.as_ref().unwrap();
    (store.calls("Query"), world.provider.embeddings().calls, world.provider.chat().calls)
}

#[tokio::test]
async fn a_cached_answer_costs_no_search_no_embedding_and_no_llm_call() {
    let (world, server) = served().await;
    let first = ask(&server, &question()).await;
    assert_eq!(first["cache"], "miss");
    let before = calls(&world);
    let second = ask(&server, &question()).await;
    let streamed = server.stream(&question()).await;
    assert_eq!(calls(&world), before);
    assert_eq!((&second["cache"], &second["answer"]), (&json!("hit"), &first["answer"]));
    assert_eq!(second["citations"], first["citations"]);
    assert_eq!(second["usage"], json!({ "prompt_tokens": 0, "completion_tokens": 0 }));
    let names: Vec<&str> = streamed.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["meta", "sources", "delta", "citation", "done"]);
    assert_eq!(streamed[0].data["cache"], "hit");
}

#[tokio::test]
async fn five_hundred_equal_questions_at_once_make_one_llm_call() {
    let (world, server) = served().await;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(500));
    let (body, before) = (question(), calls(&world));
    let asks = (0..500).map(|n| {
        let (server, body) = (&server, &body);
        async move {
            if n % 10 == 0 { server.stream(body).await.pop().unwrap().data } else { ask(server, body).await }
        }
    });
    let answers = futures::future::join_all(asks).await;
    let after = calls(&world);
    assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (1, 1, 1));
    assert!(answers.iter().all(|answer| answer["answer"] == answers[0]["answer"]));
    let of = |outcome: &str| answers.iter().filter(|answer| answer["cache"] == outcome).count();
    assert_eq!((of("miss"), of("joined") + of("hit")), (1, 499));
}

#[tokio::test]
async fn an_answer_from_before_a_swap_is_never_served_after_it() {
    let (world, server) = served().await;
    let old = ask(&server, &question()).await;
    assert!(old["answer"].as_str().unwrap().contains("7443"));
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 9000.\n");
    let generation = world.publish().await;
    server.serves(&generation).await;
    let new = ask(&server, &question()).await;
    assert_eq!(
        (new["cache"].as_str(), new["generation"].as_str()),
        (Some("miss"), Some(generation.as_str()))
    );
    assert!(new["answer"].as_str().unwrap().contains("9000"), "{new}");
    world.ingest(&["rollback"]).await.ok();
    server.serves(old["generation"].as_str().unwrap()).await;
    let back = ask(&server, &question()).await;
    assert_eq!((&back["cache"], &back["answer"]), (&json!("hit"), &old["answer"]));
}

#[tokio::test]
async fn refresh_makes_a_new_answer_and_off_keeps_none() {
    let (world, server) = served().await;
    let with = |cache: &str| json!({ "question": question()["question"], "cache": cache });
    let outcomes = [
        ("off", "miss"),
        ("use", "miss"),
        ("use", "hit"),
        ("refresh", "miss"),
        ("off", "miss"),
        ("use", "hit"),
    ];
    for (policy, outcome) in outcomes {
        assert_eq!(ask(&server, &with(policy)).await["cache"], outcome, "{policy}");
    }
    assert_eq!(world.provider.chat().calls, 4);
}

#[tokio::test]
async fn a_failed_answer_is_not_kept() {
    let (world, server) = served().await;
    world.provider.set(|knobs| knobs.failures = vec![lectern_tests::provider::Failure::always(500)]);
    let failed = server.post("/v1/ask", &question()).await;
    assert_eq!(failed.status, 503, "{}", failed.body);
    world.provider.set(|knobs| knobs.failures.clear());
    assert_eq!(ask(&server, &question()).await["cache"], "miss");
}
