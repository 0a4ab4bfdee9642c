//! Which generation a server serves: none, one that fits, never one that does not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use lectern_tests::world::World;
use serde_json::json;

#[tokio::test]
async fn a_server_without_a_generation_lives_and_says_what_to_do() {
    let world = World::embedded().await;
    let server = world.serve();
    assert_eq!(server.admin("/live").await.status, 200);
    let ready = server.admin("/ready").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.body["failing"][0]["reason"].as_str().unwrap().contains("lectern-ingest run"),
        "{}",
        ready.body
    );
    let reply = server.post("/v1/search", &json!({ "query": "q" })).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (404, &json!("unknown_alias")));
    world.write("a.md", "# A\n\nThe first document.\n");
    world.publish().await;
    server.ready().await;
    assert_eq!(server.post("/v1/search", &json!({ "query": "document" })).await.status, 200);
}

/// Publishes a second generation whose encoding is another, by the provider's other model.
async fn another_model_is_refused(mut world: World) {
    world.write("a.md", "# A\n\nThe first document.\n");
    let first = world.publish().await;
    let server = world.serve();
    server.ready().await;
    world.set("LECTERN_EMBEDDER__MODEL", "other-words");
    world.set("LECTERN_EMBEDDER__DIMENSION", "32");
    world.provider.set(|knobs| knobs.dimension = 32);
    let run = ["run", "documents", "--json", "--force", "the other model is wanted"];
    let second = world.ingest(&run).await.ok().json()["generation"].as_str().unwrap().to_owned();
    world.provider.set(|knobs| knobs.dimension = 64);
    let mut refused = serde_json::Value::Null;
    for _ in 0..500 {
        refused = server.admin("/v1/admin/generations").await.body["aliases"][0]["refused"].clone();
        if !refused.is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(refused["generation"], second.as_str());
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("`other-words`") && reason.contains("32 in the generation and 64"), "{reason}");
    let reply = server.post("/v1/search", &json!({ "query": "document" })).await;
    assert_eq!((reply.status.as_u16(), &reply.body["generation"]), (200, &json!(first)), "{}", reply.body);
    assert_eq!(server.admin("/ready").await.status, 200);
}

#[tokio::test]
async fn a_generation_of_another_model_is_refused_and_the_one_before_stays_on_qdrant() {
    another_model_is_refused(World::remote().await).await;
}

#[tokio::test]
async fn a_generation_of_another_model_is_refused_and_the_one_before_stays_on_the_embedded_store() {
    another_model_is_refused(World::embedded().await).await;
}

#[tokio::test]
async fn a_store_directory_that_another_process_holds_is_named_with_its_holder() {
    let world = World::embedded().await;
    world.write("a.md", "# A\n\nThe first document.\n");
    world.publish().await;
    let first = world.serve();
    first.ready().await;
    let second = world.serve();
    let mut ready = second.admin("/ready").await;
    for _ in 0..500 {
        if ready.body.to_string().contains("held by") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        ready = second.admin("/ready").await;
    }
    let reason = ready.body["failing"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&first.pid().to_string()), "{reason}");
    let reply = second.post("/v1/search", &json!({ "query": "document" })).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (503, &json!("generation_refused")));
    assert_eq!(first.post("/v1/search", &json!({ "query": "document" })).await.status, 200);
    first.kill();
    second.ready().await;
}
