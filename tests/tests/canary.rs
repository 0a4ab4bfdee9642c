//! A canary with the real binaries: it serves its share and no more, the same questions every time; it is promoted and
//! withdrawn under load without a failed or mixed answer; one that does not fit harms nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lectern_tests::handbook::{DOCUMENTS, Seen, seen, write_release};
use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Longest wait for a server to follow, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Clients that ask at the same time.
const CLIENTS: usize = 32;
/// Clients' pause between requests: leaves a busy machine time to build.
const PAUSE: Duration = Duration::from_millis(20);

async fn built(world: &World) -> String {
    let ran = world.ingest(&["build", "documents", "--json"]).await.ok();
    ran.json()["generation"].as_str().unwrap().to_owned()
}

/// What the admin listener says of the configured alias, once `is_there`.
async fn status(server: &Lectern, is_there: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let status = server.admin("/v1/admin/generations").await.body["aliases"][0].clone();
        if is_there(&status) {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "not seen: {status} {}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn serves_canary(server: &Lectern, generation: &str) -> Value {
    status(server, |status| status["canary"]["generation"] == generation).await
}

async fn serves_no_canary(server: &Lectern) {
    status(server, |status| status["canary"].is_null()).await;
}

fn query(n: usize) -> String {
    format!("handbook topic {} asked for the {n}th time", n % DOCUMENTS)
}

async fn search(server: &Lectern, n: usize) -> Seen {
    let reply = server.post("/v1/search", &json!({ "query": query(n), "limit": 20, "mode": "sparse" })).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let hits = reply.body["hits"].as_array().unwrap();
    assert!(!hits.is_empty(), "{}", reply.body);
    seen(&reply.body, hits.iter().map(|hit| &hit["text"]))
}

async fn ask(server: &Lectern, n: usize, session: Option<&Value>) -> Seen {
    let mut body = json!({ "question": format!("What does the handbook explain about {}?", query(n)) });
    if let Some(id) = session {
        body["session_id"] = id.clone();
    }
    let reply = server.post("/v1/ask", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let citations = reply.body["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{}", reply.body);
    let quotes = citations.iter().map(|citation| &citation["quote"]);
    seen(&reply.body, quotes.chain([&reply.body["answer"]]))
}

/// A world with one release live and the next one a canary of so many percent, and a server that serves both.
struct Stage {
    world: World,
    server: Arc<Lectern>,
    live: String,
    canary: String,
}

impl Stage {
    async fn set(world: World, percent: &str) -> Self {
        let world = world.with_llm();
        write_release(&world, 1);
        let live = world.publish().await;
        let server = Arc::new(world.serve());
        server.ready().await;
        write_release(&world, 2);
        let canary = built(&world).await;
        let began = world.ingest(&["publish", &canary, "--canary", percent, "--json"]).await.ok().json();
        assert_eq!((&began["moved"], &began["to"]), (&json!(false), &json!(live)), "{began}");
        serves_canary(&server, &canary).await;
        Self { world, server, live, canary }
    }

    /// Whether the canary answered. Every answer is wholly of one of the two.
    fn is_of_canary(&self, (generation, releases): &Seen) -> bool {
        let release = if *generation == self.canary { 2 } else { 1 };
        assert!([&self.live, &self.canary].contains(&generation), "{generation}");
        assert_eq!(*releases, HashSet::from([release]), "mixed, or not of {generation}");
        release == 2
    }

    /// Which of these searches the canary answers.
    async fn searched(&self, numbers: std::ops::Range<usize>) -> Vec<bool> {
        let mut taken = Vec::new();
        for n in numbers {
            taken.push(self.is_of_canary(&search(&self.server, n).await));
        }
        taken
    }

    async fn withdraw(&self) {
        let ran = self.world.ingest(&["withdraw", "--reason", "a test", "--json"]).await.ok();
        assert_eq!(ran.json()["withdrawn"], self.canary.as_str());
        serves_no_canary(&self.server).await;
    }
}

async fn takes_its_share(world: World) {
    const SEARCHES: usize = 600;
    let stage = Stage::set(world, "20").await;
    let first = stage.searched(0..SEARCHES).await;
    let taken = first.iter().filter(|taken| **taken).count();
    // Five standard deviations of 600 draws of 20 percent are 49.
    assert!((71..=169).contains(&taken), "{taken} of {SEARCHES}");
    assert_eq!(stage.searched(0..100).await, first[..100], "the same questions go the same way");
    stage.withdraw().await;
    assert!(!stage.searched(0..100).await.contains(&true));
}

#[tokio::test]
async fn a_canary_takes_its_share_the_same_one_every_time_on_the_embedded_store() {
    takes_its_share(World::embedded().await).await;
}

#[tokio::test]
async fn a_canary_takes_its_share_the_same_one_every_time_on_qdrant() {
    takes_its_share(World::remote().await).await;
}

#[tokio::test]
async fn conversations_are_answered_by_one_generation_each() {
    let stage = Stage::set(World::embedded().await, "50").await;
    let mut met = HashSet::new();
    for _ in 0..16 {
        let session = stage.server.post("/v1/sessions", &json!({})).await.body["session_id"].clone();
        let mut of_session = HashSet::new();
        for n in 0..3 {
            of_session.insert(stage.is_of_canary(&ask(&stage.server, n, Some(&session)).await));
        }
        assert_eq!(of_session.len(), 1, "a torn conversation");
        met.extend(of_session);
    }
    assert_eq!(met.len(), 2, "of 16 conversations all went the same way");
}

#[tokio::test]
async fn what_the_canary_finds_has_another_tag() {
    let stage = Stage::set(World::embedded().await, "50").await;
    let address = |n: usize| format!("/v1/search?mode=sparse&q={}", query(n).replace(' ', "+"));
    let tag = async |n: usize| stage.server.get(&address(n)).await.headers["etag"].clone();
    let mut before = Vec::new();
    for n in 0..20 {
        before.push((n, tag(n).await, stage.is_of_canary(&search(&stage.server, n).await)));
    }
    stage.withdraw().await;
    for (n, before, of_canary) in before {
        assert_eq!(before != tag(n).await, of_canary, "question {n}");
    }
}

#[tokio::test]
async fn operators_see_both_generations_and_how_alike_they_are() {
    let stage = Stage::set(World::remote().await, "50").await;
    let listed = stage.world.ingest(&["list", "--json"]).await.ok().json();
    assert_eq!(listed["canary"], json!({ "generation": stage.canary, "percent": 50 }));
    let states: Vec<&Value> =
        listed["generations"].as_array().unwrap().iter().map(|listed| &listed["state"]).collect();
    assert_eq!(states, ["live", "canary"]);

    let mut n = 0;
    let compared = loop {
        stage.searched(n..n + 20).await;
        n += 20;
        let canary = status(&stage.server, |_| true).await["canary"].clone();
        if canary["comparison"]["compared"].as_u64().unwrap() > 0 {
            break canary;
        }
        assert!(n < 2_000, "{canary}");
    };
    let overlap = compared["comparison"]["mean_overlap"].as_f64().unwrap();
    assert!(0.5 < overlap && overlap <= 1.0, "{compared}");
    for role in ["live", "canary"] {
        let figures = &compared["roles"][role];
        assert!(figures["requests"].as_u64().unwrap() > 0, "{compared}");
        assert!(figures["search_ms"]["p95"].as_f64() >= figures["search_ms"]["p50"].as_f64(), "{compared}");
    }
    assert_eq!(compared["percent"], 50);
    let metrics = stage.server.metrics().await;
    let gauge = |role: &str, generation: &str| {
        format!(r#"lectern_generation{{alias="docs",generation="{generation}",role="{role}"}} 1"#)
    };
    for line in [
        gauge("live", &stage.live).as_str(),
        &gauge("canary", &stage.canary),
        r#"lectern_role_requests_total{role="canary",outcome="found"}"#,
        r#"lectern_role_search_seconds_count{role="canary"}"#,
        r#"lectern_canary_comparisons_total{outcome="compared"}"#,
        "lectern_canary_overlap_count",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    stage.withdraw().await;
    assert!(!stage.server.metrics().await.contains(&gauge("canary", &stage.canary)));
}

async fn client(server: Arc<Lectern>, number: usize, stop: Arc<AtomicBool>) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut n = number * 10_000;
    while !stop.load(Ordering::Relaxed) {
        let turn = if n.is_multiple_of(4) { ask(&server, n, None).await } else { search(&server, n).await };
        all.push(turn);
        n += 1;
        tokio::time::sleep(PAUSE).await;
    }
    all
}

/// Makes each release a canary, then promotes one and withdraws the next.
async fn canaries_under_load(world: World) {
    const RELEASES: usize = 4;
    let world = world.with_llm();
    write_release(&world, 0);
    let mut built_of = HashMap::from([(world.publish().await, 0)]);
    let server = Arc::new(world.serve());
    server.ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(Arc::clone(&server), number, Arc::clone(&stop))))
        .collect();
    let mut withdrawn = Vec::new();
    for release in 1..=RELEASES {
        write_release(&world, release);
        let generation = built(&world).await;
        built_of.insert(generation.clone(), release);
        world.ingest(&["publish", &generation, "--canary", "30"]).await.ok();
        // It has served somebody, so that its end meets requests.
        status(&server, |status| {
            status["canary"]["generation"] == generation.as_str()
                && status["canary"]["roles"]["canary"]["requests"].as_u64() > Some(20)
        })
        .await;
        if release.is_multiple_of(2) {
            world.ingest(&["withdraw"]).await.ok();
            serves_no_canary(&server).await;
            world.ingest(&["prune", "--keep", "0"]).await.ok();
            withdrawn.push(generation);
        } else {
            world.ingest(&["promote"]).await.ok();
            server.serves(&generation).await;
            serves_no_canary(&server).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut met = HashSet::new();
    for client in clients {
        for (generation, releases) in client.await.unwrap() {
            assert_eq!(releases, HashSet::from([built_of[&generation]]), "mixed, or not of {generation}");
            met.insert(generation);
        }
    }
    assert_eq!(met.len(), RELEASES + 1, "every generation served somebody");
    let listed = world.ingest(&["list", "--json"]).await.ok().json();
    assert_eq!(built_of[listed["live"].as_str().unwrap()], RELEASES - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_come_and_go_under_load_without_a_failed_or_mixed_answer_on_the_embedded_store() {
    canaries_under_load(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_come_and_go_under_load_without_a_failed_or_mixed_answer_on_qdrant() {
    canaries_under_load(World::remote().await).await;
}

/// Makes a generation of the provider's other model the canary.
async fn another_model_is_refused(mut world: World) {
    write_release(&world, 1);
    let live = world.publish().await;
    let server = world.serve();
    server.ready().await;
    world.set("LECTERN_EMBEDDER__MODEL", "other-words");
    world.set("LECTERN_EMBEDDER__DIMENSION", "32");
    world.provider.set(|knobs| knobs.dimension = 32);
    let other = built(&world).await;
    world.ingest(&["publish", &other, "--canary", "50", "--force", "the servers must refuse it"]).await.ok();
    world.provider.set(|knobs| knobs.dimension = 64);
    let refused = status(&server, |status| !status["canary_refused"].is_null()).await;
    assert_eq!(refused["canary_refused"]["generation"], other.as_str());
    assert!(refused["canary_refused"]["reason"].as_str().unwrap().contains("`other-words`"), "{refused}");
    assert_eq!((&refused["canary"], &refused["generation"]), (&Value::Null, &json!(live)));
    for n in 0..20 {
        assert_eq!(search(&server, n).await, (live.clone(), HashSet::from([1])));
    }
    assert_eq!(server.admin("/ready").await.status, StatusCode::OK);
    world.ingest(&["withdraw"]).await.ok();
    status(&server, |status| status["canary_refused"].is_null()).await;
}

#[tokio::test]
async fn a_canary_of_another_model_is_refused_and_harms_nothing_on_the_embedded_store() {
    another_model_is_refused(World::embedded().await).await;
}

#[tokio::test]
async fn a_canary_of_another_model_is_refused_and_harms_nothing_on_qdrant() {
    another_model_is_refused(World::remote().await).await;
}
