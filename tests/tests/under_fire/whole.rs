//! A model that is asked for its answers in one piece: what clients get is what they get of a streamed one.

use std::time::Duration;

use lectern_tests::lectern::Lectern;
use lectern_tests::provider::Failure;
use lectern_tests::world::World;
use serde_json::{Value, json};

use super::{question, served, until};

const SAID: &str = "It listens on port 7443 [1, 9]. The gateway li\u{200b}stens【1】. Bananas grow [^1][4].\n```\nrows[1]\n```\nOdd (source 3)";

async fn whole(settings: &[(&str, &str)]) -> (World, Lectern) {
    let settings = [&[("LECTERN_LLM__WHOLE_ANSWERS", "true")], settings].concat();
    served(World::embedded().await, &settings).await
}

/// Whether the model was asked for streams, by call.
fn streamed(world: &World) -> Vec<bool> {
    let calls = world.provider.requests().into_iter().filter(|call| call.path == "/v1/chat/completions");
    calls.map(|call| call.body["stream"] == true).collect()
}

#[tokio::test]
async fn an_answer_is_the_same_in_one_piece_and_as_a_stream() {
    let (world, server) = whole(&[]).await;
    world.provider.set(|knobs| knobs.answer = Some(SAID.to_owned()));
    let mut ask = question(1);
    ask["cache"] = json!("off");
    let plain = server.post("/v1/ask", &ask).await.body;
    let done = server.stream(&ask).await.pop().unwrap().data;
    assert_eq!(streamed(&world), [false, true]);
    let said =
        |body: &Value| ["answer", "citations", "usage", "model", "degraded"].map(|key| body[key].clone());
    assert_eq!(said(&plain), said(&done));
    assert_eq!(plain["citations"].as_array().unwrap().len(), 3, "{plain}");
}

#[tokio::test]
async fn who_asks_for_a_stream_meanwhile_gets_the_whole_answer_in_the_order_of_a_stream() {
    let (world, server) = whole(&[]).await;
    world.provider.set(|knobs| {
        knobs.answer = Some("It listens on port 7443 [1]. That is all.".to_owned());
        knobs.delay_before_first_token = Duration::from_millis(500);
    });
    let ask = question(1);
    let joining = async {
        until("the model is asked", async || world.provider.chat().calls, |calls| *calls == 1).await;
        server.stream(&ask).await
    };
    let (plain, events) = tokio::join!(server.post("/v1/ask", &ask), joining);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["meta", "sources", "delta", "citation", "delta", "done"]);
    let done = &events.last().unwrap().data;
    assert_eq!((&plain.body["cache"], &done["cache"]), (&json!("miss"), &json!("joined")));
    assert_eq!((&plain.body["answer"], world.provider.chat().calls), (&done["answer"], 1));
}

#[tokio::test]
async fn a_plain_ask_that_joins_a_stream_gets_its_end() {
    let (world, server) = whole(&[]).await;
    world.provider.set(|knobs| knobs.delay_between_tokens = Duration::from_millis(30));
    let ask = question(1);
    let joining = async {
        until("the model is asked", async || world.provider.chat().calls, |calls| *calls == 1).await;
        server.post("/v1/ask", &ask).await.body
    };
    let (events, plain) = tokio::join!(server.stream(&ask), joining);
    assert_eq!((&plain["cache"], streamed(&world)), (&json!("joined"), vec![true]));
    assert_eq!(plain["answer"], events.last().unwrap().data["answer"]);
}

#[tokio::test]
async fn a_whole_answer_that_is_late_is_replaced_by_quotes_and_its_call_is_closed() {
    let (world, server) = whole(&[]).await;
    world.provider.set(|knobs| knobs.silent = true);
    let mut ask = question(1);
    ask["deadline_ms"] = json!(600);
    let reply = server.post("/v1/ask", &ask).await;
    assert_eq!((reply.status.as_u16(), &reply.body["degraded"]), (200, &json!(["llm_timeout"])));
    assert!(reply.body["answer"].as_str().unwrap().contains("The gateway listens on port 7443. [1]"));
    until("the call is closed", async || world.provider.chat(), |chat| chat.cancelled == 1).await;
    // It is not kept: the next one asks the model again.
    world.provider.set(|knobs| knobs.silent = false);
    let again = server.post("/v1/ask", &ask).await.body;
    assert_eq!((&again["cache"], &again["degraded"]), (&json!("miss"), &json!([])), "{again}");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_whole_answer_ends_the_provider_s_call() {
    let (world, server) = whole(&[("LECTERN_LIMITS__CONCURRENCY", "1")]).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_secs(30));
    let body = question(1);
    tokio::select! {
        reply = server.post("/v1/ask", &body) => panic!("answered: {reply:?}"),
        _ = until("the model is asked", async || world.provider.chat().calls, |calls| *calls == 1) => {}
    }
    until("the call is closed", async || world.provider.chat(), |chat| chat.cancelled == 1).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::ZERO);
    // Its place is free again.
    assert_eq!(server.post("/v1/ask", &question(2)).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_fails_or_limits_is_a_503_that_says_when_to_come_back() {
    for (failure, wait) in
        [(Failure::always(500), None), (Failure::always(429).retry_after("50"), Some("50"))]
    {
        let (world, server) = whole(&[]).await;
        world.provider.set(|knobs| knobs.failures = vec![failure]);
        let reply = server.post("/v1/ask", &question(1)).await;
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (503, &json!("llm_unavailable")));
        let told = reply.headers["retry-after"].to_str().unwrap();
        assert!(wait.is_none_or(|wait| wait == told), "{told}");
    }
}
