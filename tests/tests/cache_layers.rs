//! The layers around the answer cache: retrievals, vectors, replicas' answers in Redis, questions that mean the same, answers
//! that have grown old. None of them may serve what another tenant, filter or generation would not.
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::time::{Duration, Instant};

use lectern_tests::lectern::Lectern;
use lectern_tests::redis::Redis;
use lectern_tests::world::World;
use serde_json::{Value, json};

async fn served(settings: &[(&str, &str)]) -> (World, Lectern) {
    let mut world = World::remote().await.with_llm();
    for (name, value) in settings {
        world.set(name, value);
    }
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 7443.\n");
    world.publish().await;
    let server = world.serve();
    server.ready().await;
    (world, server)
}

async fn ask(server: &Lectern, question: &str) -> Value {
    let reply = server.post("/v1/ask", &json!({ "question": question })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

fn searches(world: &World) -> u64 {
    world.qdrant.as_ref().unwrap().calls("Query")
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const QUESTION: &str = "On which port does the gateway listen?";

#[tokio::test]
async fn an_equal_search_is_found_once_per_generation_and_filter() {
    let (world, server) = served(&[]).await;
    let search = async |body: Value| server.post("/v1/search", &body).await.body["hits"].clone();
    let first = search(json!({ "query": QUESTION })).await;
    let (calls, embedded) = (searches(&world), world.provider.embeddings().calls);
    assert_eq!(search(json!({ "query": QUESTION })).await, first);
    assert_eq!((searches(&world), world.provider.embeddings().calls), (calls, embedded));
    // Another filter is another search, with the vector that is known.
    let none = search(json!({ "query": QUESTION, "filter": { "lang": "xx" } })).await;
    assert_eq!((none, searches(&world)), (json!([]), calls + 1));
    assert_eq!(world.provider.embeddings().calls, embedded);
    search(json!({ "query": QUESTION, "cache": "off" })).await;
    assert_eq!((searches(&world), world.provider.embeddings().calls), (calls + 2, embedded + 1));
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 9000.\n");
    server.serves(&world.publish().await).await;
    let new = search(json!({ "query": QUESTION })).await;
    assert!(new.to_string().contains("9000") && !new.to_string().contains("7443"), "{new}");
}

#[tokio::test]
async fn an_answer_that_has_grown_old_is_served_once_more_and_made_anew() {
    let (world, server) = served(&[("LECTERN_CACHE__ANSWERS_FRESH_MS", "1")]).await;
    assert_eq!(ask(&server, QUESTION).await["cache"], "miss");
    tokio::time::sleep(Duration::from_millis(5)).await;
    world
        .provider
        .set(|knobs| knobs.answer = Some("It listens on port 7443, says the new answer [1].".into()));
    let old = ask(&server, QUESTION).await;
    assert_eq!(old["cache"], "hit");
    assert!(old["age_ms"].as_f64().unwrap() >= 5.0, "{old}");
    assert!(!old["answer"].as_str().unwrap().contains("new answer"), "{old}");
    let renewed = async || ask(&server, QUESTION).await["answer"].as_str().unwrap().contains("new answer");
    until("the answer is renewed", renewed).await;
}

#[tokio::test]
async fn a_question_that_means_the_same_is_answered_when_that_is_asked_for_and_says_so() {
    let (world, server) = served(&[("LECTERN_CACHE__SEMANTIC_THRESHOLD", "0.9")]).await;
    let first = ask(&server, QUESTION).await;
    let calls = (searches(&world), world.provider.chat().calls);
    // The same words in another order: the same vector, by the mock's bag of words.
    let other = ask(&server, "Does the gateway listen on which port?").await;
    assert_eq!((&other["cache"], &other["answer"]), (&json!("semantic"), &first["answer"]));
    assert_eq!(other["semantic"]["question"], QUESTION);
    assert!(other["semantic"]["similarity"].as_f64().unwrap() > 0.99, "{other}");
    assert_eq!((searches(&world), world.provider.chat().calls), calls);
    let filtered = json!({ "question": "Does the gateway listen on which port?", "filter": { "lang": { "$ne": "xx" } } });
    assert_eq!(server.post("/v1/ask", &filtered).await.body["cache"], "miss");
    assert_eq!(ask(&server, "What about penguins?").await["cache"], "miss");
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 9000.\n");
    server.serves(&world.publish().await).await;
    let new = ask(&server, "Which port does the gateway listen on?").await;
    assert_eq!(new["cache"], "miss", "{new}");
}

#[tokio::test]
async fn replicas_share_answers_in_redis() {
    let redis = Redis::start();
    let url = redis.url();
    let (world, server) = served(&[("LECTERN_CACHE__REDIS_URL", &url)]).await;
    let first = ask(&server, QUESTION).await;
    let calls = (searches(&world), world.provider.chat().calls);
    let replica = world.serve();
    replica.ready().await;
    let shared = async || ask(&replica, QUESTION).await;
    let second = shared().await;
    assert_eq!((&second["cache"], &second["answer"]), (&json!("hit"), &first["answer"]), "{second}");
    assert_eq!((&second["citations"], &second["model"]), (&first["citations"], &first["model"]));
    assert_eq!((searches(&world), world.provider.chat().calls), calls);
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 9000.\n");
    replica.serves(&world.publish().await).await;
    let new = shared().await;
    assert!(new["answer"].as_str().unwrap().contains("9000") && new["cache"] == "miss", "{new}");
}

#[tokio::test]
async fn whatever_goes_wrong_with_redis_is_a_miss_and_never_an_error() {
    let mut redis = Redis::start();
    let url = redis.url();
    let (world, server) = served(&[("LECTERN_CACHE__REDIS_URL", &url)]).await;
    let question = |n: usize| format!("On which port does gateway number {n} listen?");
    ask(&server, &question(0)).await;
    redis.stop();
    for n in 1..30 {
        assert_eq!(ask(&server, &question(n)).await["cache"], "miss");
    }
    redis.start_again();
    let replica = world.serve();
    replica.ready().await;
    // The breaker lets it rest for a while; then answers are shared again.
    let began = Instant::now();
    for n in 100.. {
        ask(&server, &question(n)).await;
        if ask(&replica, &question(n)).await["cache"] == "hit" {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is shared after {n} answers");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    redis.freeze();
    for n in 1_000..1_020 {
        assert_eq!(ask(&server, &question(n)).await["cache"], "miss");
    }
}
