//! Time that one stage takes from those after it.

use std::time::Duration;

use lectern_tests::provider::Ending;
use lectern_tests::world::World;
use serde_json::json;

use super::{question, served};

#[tokio::test]
async fn an_embedder_that_is_late_is_a_504_with_the_stage_or_words_alone() {
    let (world, server) = served(World::embedded().await, &[]).await;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_secs(30));
    let ask = |mode: &str| json!({ "query": "port", "mode": mode, "deadline_ms": 600 });
    let dense = server.post("/v1/search", &ask("dense")).await;
    assert_eq!(dense.status, 504, "{}", dense.body);
    assert_eq!((&dense.body["code"], &dense.body["stage"]), (&json!("deadline_exceeded"), &json!("embed")));
    let hybrid = server.post("/v1/search", &ask("hybrid")).await;
    assert_eq!(hybrid.status, 200, "{}", hybrid.body);
    assert_eq!(hybrid.body["degraded"], json!(["dense_skipped"]));
    assert!(hybrid.body["hits"][0]["text"].as_str().unwrap().contains("7443"));
}

#[tokio::test]
async fn a_store_that_is_late_is_a_504_with_the_stage() {
    let (world, server) = served(World::remote().await, &[]).await;
    world.qdrant.as_ref().unwrap().knobs().delay("Query", Duration::from_secs(30));
    let ask = json!({ "question": "On which port?", "mode": "sparse", "deadline_ms": 600 });
    let late = server.post("/v1/ask", &ask).await;
    assert_eq!((late.status.as_u16(), &late.body["stage"]), (504, &json!("search")), "{}", late.body);
}

#[tokio::test]
async fn a_model_that_is_late_with_its_first_token_is_replaced_by_quotes_and_that_is_said() {
    let (world, server) = served(World::embedded().await, &[]).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_secs(30));
    let mut ask = question(1);
    ask["deadline_ms"] = json!(600);
    let reply = server.post("/v1/ask", &ask).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["degraded"], json!(["llm_timeout"]));
    assert_eq!(reply.body["model"], "extractive");
    assert!(reply.body["answer"].as_str().unwrap().contains("The gateway listens on port 7443. [1]"));
    // It is not kept: the next one asks the model again.
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::ZERO);
    let again = server.post("/v1/ask", &ask).await.body;
    assert_eq!((&again["cache"], &again["degraded"]), (&json!("miss"), &json!([])), "{again}");
}

#[tokio::test]
async fn a_model_that_stalls_in_the_middle_is_an_error_that_says_what_was_delivered() {
    let (world, server) = served(World::embedded().await, &[]).await;
    world.provider.set(|knobs| {
        knobs.answer = Some("It listens on port 7443 [1]. And then it stalls here.".to_owned());
        knobs.ending = Ending::StallAfter(9);
    });
    let mut ask = question(1);
    ask["deadline_ms"] = json!(800);
    let events = server.stream(&ask).await;
    let text: String =
        events.iter().filter(|e| e.name == "delta").map(|e| e.data["text"].as_str().unwrap()).collect();
    let last = events.last().unwrap();
    assert_eq!((last.name.as_str(), &last.data["code"]), ("error", &json!("deadline_exceeded")), "{last:?}");
    assert_eq!(last.data["delivered"], json!({ "answer": text, "citations": 1 }), "{last:?}");
    assert!(!text.is_empty());
    let plain = server.post("/v1/ask", &ask).await;
    assert_eq!((plain.status.as_u16(), &plain.body["stage"]), (504, &json!("llm")), "{}", plain.body);
}
