//! What clients of the server see: good answers, and for every bad input a clear refusal that names the cause.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use lectern_tests::lectern::{Lectern, Reply};
use lectern_tests::provider::{Failure, Raw};
use lectern_tests::world::World;
use serde_json::{Value, json};

const PORTS: &str = "# Ports\n\nThe gateway listens on port 7443. The metrics are on port 9100.\n";
const KEYS: &str =
    "---\nlang: en\n---\n\n# Keys\n\n## Rotation\n\nKeys expire after ninety days. Rotate them before.\n";

async fn served(world: World) -> (World, Lectern) {
    world.write("ports.md", PORTS);
    world.write("keys.md", KEYS);
    world.publish().await;
    let server = world.serve();
    server.ready().await;
    (world, server)
}

async fn embedded() -> (World, Lectern) {
    served(World::embedded().await).await
}

/// Asserts a problem response as the surface promises it; returns its detail.
fn problem(reply: &Reply, status: u16, code: &str) -> String {
    assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (status, Some(code)), "{}", reply.body);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(reply.body["status"], status);
    assert_eq!(reply.body["request_id"].as_str(), reply.headers["x-request-id"].to_str().ok());
    assert_eq!(reply.headers.contains_key("retry-after"), matches!(status, 429 | 503), "{}", reply.body);
    reply.body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn search_finds_the_passage_in_every_mode() {
    let (_world, server) = embedded().await;
    for (mode, kind) in [("hybrid", "rrf"), ("dense", "cosine"), ("sparse", "bm25")] {
        let reply = server.post("/v1/search", &json!({ "query": "when do keys expire", "mode": mode })).await;
        let hit = &reply.body["hits"][0];
        assert!(hit["text"].as_str().unwrap().contains("Keys expire after ninety days."), "{}", reply.body);
        assert_eq!((&hit["document_id"], &hit["title"]), (&json!("documents/keys.md"), &json!("Keys")));
        assert_eq!((&hit["score_kind"], &hit["heading_path"]), (&json!(kind), &json!(["Rotation"])));
        assert_eq!(hit["metadata"]["lang"], "en");
        assert_eq!(reply.body["degraded"], json!([]));
        assert!(reply.body["timings_ms"]["search"].is_number());
    }
}

#[tokio::test]
async fn a_filter_decides_what_can_be_found() {
    let (_world, server) = embedded().await;
    let hits = async |filter: Value| {
        let reply = server.post("/v1/search", &json!({ "query": "port", "filter": filter })).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let hits = reply.body["hits"].as_array().unwrap().clone();
        hits.iter().map(|hit| hit["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(hits(json!({ "lang": "en" })).await, ["Keys"]);
    assert_eq!(hits(json!({ "lang": { "$ne": "en" } })).await, ["Ports"]);
    assert_eq!(hits(json!({ "document_id": { "$in": ["documents/ports.md"] } })).await, ["Ports"]);
    assert!(hits(json!({ "lang": "xx" })).await.is_empty());
}

#[tokio::test]
async fn an_answer_cites_text_that_is_there() {
    let (_world, server) = embedded().await;
    let reply = server.post("/v1/ask", &json!({ "question": "When do keys expire?" })).await;
    let answer = &reply.body;
    assert!(answer["answer"].as_str().unwrap().contains("Keys expire after ninety days. [1]"), "{answer}");
    let citation = &answer["citations"][0];
    assert_eq!(citation["quote"], "Keys expire after ninety days.");
    assert_eq!((&citation["verdict"], &citation["marker"]), (&json!("supported"), &json!(1)));
    assert_eq!((&answer["model"], &answer["cache"]), (&json!("extractive"), &json!("miss")));
    assert_eq!(answer["request_id"].as_str(), reply.headers["x-request-id"].to_str().ok());
}

#[tokio::test]
async fn a_stream_is_meta_sources_deltas_citations_and_one_done() {
    let (world, server) = served(World::embedded().await.with_llm()).await;
    world
        .provider
        .set(|knobs| knobs.answer = Some("Keys expire after ninety days [1]. Nonsense [9].".into()));
    let events = server.stream(&json!({ "question": "When do keys expire?" })).await;
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!((names[0], names[1], *names.last().unwrap()), ("meta", "sources", "done"), "{names:?}");
    assert_eq!(names.iter().filter(|name| ["done", "error"].contains(name)).count(), 1);
    let text: String = events
        .iter()
        .filter(|event| event.name == "delta")
        .map(|event| event.data["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, "Keys expire after ninety days [1]. Nonsense .");
    let done = &events.last().unwrap().data;
    assert_eq!(
        (done["answer"].as_str(), &done["generation"]),
        (Some(text.as_str()), &events[0].data["generation"])
    );
    assert!(done["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    let prompt = world.provider.requests().pop().unwrap().body.to_string();
    assert!(prompt.contains("Keys expire after ninety days."), "{prompt}");
}

#[tokio::test]
async fn nothing_found_is_said_without_an_llm_call() {
    let (world, server) = served(World::embedded().await.with_llm()).await;
    let reply = server.post("/v1/ask", &json!({ "question": "keys?", "filter": { "lang": "xx" } })).await;
    assert_eq!((reply.status.as_u16(), &reply.body["citations"]), (200, &json!([])), "{}", reply.body);
    assert!(reply.body["answer"].as_str().unwrap().contains("could not find"));
    assert_eq!(world.provider.chat().calls, 0);
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_field_that_is_wrong() {
    let (_world, server) = embedded().await;
    let cases = [
        ("/v1/ask", json!({ "question": "" }), "question"),
        ("/v1/ask", json!({ "question": " \n\t " }), "question"),
        ("/v1/ask", json!({ "question": "a".repeat(4_001) }), "question"),
        ("/v1/ask", json!({ "question": "\0\0\0" }), "question"),
        ("/v1/ask", json!({ "question": 7 }), "question"),
        ("/v1/ask", json!({ "question": "q", "deadline_ms": 0 }), "deadline_ms"),
        ("/v1/ask", json!({ "question": "q", "deadline_ms": 999_999_999 }), "deadline_ms"),
        ("/v1/ask", json!({ "question": "q", "cache": "sometimes" }), "cache"),
        ("/v1/ask", json!({ "question": "q", "colour": "red" }), "colour"),
        ("/v1/search", json!({ "query": "q", "limit": 0 }), "limit"),
        ("/v1/search", json!({ "query": "q", "limit": 10_000 }), "limit"),
        ("/v1/search", json!({ "query": "q", "limit": -1 }), "limit"),
        ("/v1/search", json!({ "query": "q", "mode": "psychic" }), "mode"),
        ("/v1/search", json!({ "query": "q", "alias": "../etc" }), "alias"),
        ("/v1/search", json!({ "query": "q", "filter": { "year": { "$near": 3 } } }), "filter"),
        ("/v1/search", json!({ "query": "q", "filter": [1] }), "filter"),
    ];
    for (path, body, field) in cases {
        let reply = server.post(path, &body).await;
        let detail = problem(&reply, 422, "invalid_value");
        assert_eq!(reply.body["field"], field, "{detail}");
    }
    let unknown =
        server.post("/v1/search", &json!({ "query": "q", "filter": { "year": { "$near": 3 } } })).await;
    let detail = problem(&unknown, 422, "invalid_value");
    assert!(detail.contains("$near") && detail.contains("$gte"), "{detail}");
}

#[tokio::test]
async fn what_is_not_json_not_there_or_too_large_is_told_apart() {
    let (_world, server) = embedded().await;
    for body in ["", "{", "nonsense", "{\"question\": \"q\"", "\u{feff}{}"] {
        problem(&server.post_raw("/v1/ask", body).await, 400, "not_json");
    }
    problem(&server.post_raw("/v1/ask", vec![b'['; 100_000]).await, 422, "invalid_value");
    problem(&server.post_raw("/v1/ask", vec![b' '; 300 * 1024]).await, 413, "body_too_large");
    problem(
        &server.post("/v1/ask", &json!({ "question": "q", "alias": "elsewhere" })).await,
        404,
        "unknown_alias",
    );
    problem(&server.get("/v1/nothing").await, 404, "unknown_route");
    problem(&server.get("/v1/ask").await, 405, "method_not_allowed");
    assert_eq!(server.get("/v1/search?q=x&limit=nine").await.body["field"], "limit");
    assert_eq!(server.get("/v1/search?q=x&colour=red").await.body["field"], "colour");
    assert_eq!(server.get("/v1/search").await.body["field"], "q");
}

#[tokio::test]
async fn an_unchanged_search_is_a_304_without_a_store_call() {
    let (world, server) = served(World::remote().await).await;
    let first = server.get("/v1/search?q=keys").await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let again = |path: &'static str| {
        server.http().get(format!("{}{path}", server.url())).header("if-none-match", &tag)
    };
    let store = world.qdrant.as_ref().unwrap();
    let calls = store.calls("Query");
    assert_eq!(again("/v1/search?q=keys").send().await.unwrap().status(), 304);
    assert_eq!(store.calls("Query"), calls);
    assert_eq!(again("/v1/search?q=other").send().await.unwrap().status(), 200);
    world.write("new.md", "# New\n\nNew keys.\n");
    server.serves(&world.publish().await).await;
    assert_eq!(again("/v1/search?q=keys").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_provider_that_fails_or_talks_garbage_is_a_503_and_the_next_ask_works() {
    let (world, server) = served(World::embedded().await.with_llm()).await;
    let body = json!({ "question": "keys", "cache": "off", "mode": "sparse" });
    let garbage = Raw { content_type: "text/html", body: b"<html>502 Bad Gateway</html>".to_vec() };
    for (failure, code) in [(500, "llm_unavailable"), (429, "llm_unavailable"), (401, "llm_failed")] {
        world.provider.set(|knobs| knobs.failures = vec![Failure::always(failure)]);
        problem(&server.post("/v1/ask", &body).await, 503, code);
    }
    world.provider.set(|knobs| knobs.failures.clear());
    world.provider.set(|knobs| knobs.raw = Some(garbage));
    problem(&server.post("/v1/ask", &body).await, 503, "llm_failed");
    world.provider.set(|knobs| knobs.raw = None);
    assert_eq!(server.post("/v1/ask", &body).await.status, 200);
}

#[tokio::test]
async fn a_broken_embedder_leaves_the_words_and_the_answer_says_so() {
    let (world, server) = embedded().await;
    world.provider.set(|knobs| knobs.failures = vec![Failure::always(500)]);
    let search = |mode: &str| json!({ "query": "when do keys expire", "mode": mode });
    let hybrid = server.post("/v1/search", &search("hybrid")).await;
    assert_eq!((hybrid.status.as_u16(), &hybrid.body["degraded"]), (200, &json!(["dense_skipped"])));
    assert_eq!(hybrid.body["hits"][0]["title"], "Keys");
    problem(&server.post("/v1/search", &search("dense")).await, 503, "embedder_unavailable");
}

#[tokio::test]
async fn a_request_keeps_the_id_that_it_came_with() {
    let (_world, server) = embedded().await;
    let request = server.http().get(format!("{}/v1/search?q=keys", server.url()));
    let response = request.header("x-request-id", "trace-7").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "trace-7");
    assert!(server.log().contains("trace-7"));
}

#[tokio::test]
async fn the_log_has_the_time_of_every_stage_and_no_text_of_users() {
    let (_world, server) = embedded().await;
    server.post("/v1/ask", &json!({ "question": "When do keys expire, Rumpelstiltskin?" })).await;
    server.post("/v1/search", &json!({ "query": "keys Rumpelstiltskin" })).await;
    let log = server.log();
    for field in ["elapsed_ms", "queue_ms", "embed_ms", "search_ms", "prompt_ms", "llm_ms", "generation"] {
        assert!(log.contains(field), "{field} in {log}");
    }
    assert!(!log.contains("Rumpelstiltskin"), "{log}");
}

#[tokio::test]
async fn the_metrics_count_requests_calls_and_the_generation() {
    let (_world, server) = embedded().await;
    server.post("/v1/search", &json!({ "query": "keys" })).await;
    server.post("/v1/search", &json!({ "query": "" })).await;
    let metrics = server.metrics().await;
    for line in [
        r#"lectern_requests_total{route="/v1/search",status="200"} 1"#,
        r#"lectern_requests_total{route="/v1/search",status="422"} 1"#,
        r#"lectern_calls_total{dependency="store",outcome="ok"} 1"#,
        r#"lectern_calls_total{dependency="embedder",outcome="ok"} 1"#,
        r#"lectern_upstream_calls_total{upstream="embedder",event="made"} 1"#,
        r#"lectern_upstream_breaker_open{upstream="embedder"} 0"#,
        r#"lectern_work_waiting{work="search"} 0"#,
        r#"lectern_generation{alias="docs",generation="docs@"#,
        r#"lectern_role_requests_total{role="live",outcome="found"} 1"#,
        r#"lectern_role_search_seconds_count{role="live"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
