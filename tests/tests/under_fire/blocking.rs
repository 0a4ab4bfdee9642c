//! Work that computes for long, beside requests that take no time: it must not stand in their way.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::{join_all, select};
use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::json;

use super::{question, served, until};

/// Clients that keep the embedder busy: as many as fill its batches, and as many again.
const CLIENTS: usize = 16;
/// Texts in a batch: on one core such a batch of long questions takes the better part of a second.
const BATCH: &str = "4";
/// Heartbeats of each kind.
const BEATS: usize = 100;

fn model() -> PathBuf {
    let path = std::env::var_os("LECTERN_TEST_MODEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    assert!(path.is_dir(), "no model in {}: run `make model`, or set LECTERN_TEST_MODEL", path.display());
    path
}

/// How long something took, many times over.
struct Beats(Vec<Duration>);

impl Beats {
    fn percent(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() * percent).div_ceil(100)).saturating_sub(1)]
    }
}

impl std::fmt::Display for Beats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:?}, p99 {:?}", self.percent(50), self.percent(99))
    }
}

/// Two kinds of heartbeat: a search that the client knows already, which the thread of its connection answers alone; and a
/// question that needs no embedder, which the server's other threads answer.
async fn beat(server: &Lectern, tag: &str, numbers: &AtomicUsize) -> (Beats, Beats) {
    let (mut known, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..BEATS {
        let began = Instant::now();
        let request = server.http().get(format!("{}/v1/search?q=port&mode=sparse", server.url()));
        let response = request.header("if-none-match", tag).send().await.unwrap();
        assert_eq!(response.status(), 304);
        known.push(began.elapsed());
        let began = Instant::now();
        let reply = server.post("/v1/ask", &question(numbers.fetch_add(1, Ordering::Relaxed))).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        asked.push(began.elapsed());
    }
    (Beats(known), Beats(asked))
}

/// Embeds one long question after the other; `embedded` gets how long each took.
async fn embed_without_end(server: &Lectern, client: usize, embedded: &std::sync::Mutex<Vec<Duration>>) {
    for turn in 0.. {
        let words: Vec<String> = (0..300).map(|word| format!("word{}", word * (client + 2) + turn)).collect();
        let query = words.join(" ");
        let body = json!({ "query": query, "mode": "dense", "cache": "off", "deadline_ms": 100_000 });
        let began = Instant::now();
        let reply = server.post("/v1/search", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        embedded.lock().unwrap().push(began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_call_on_an_async_worker() {
    let model = model();
    let settings = [
        ("LECTERN_EMBEDDER__KIND", "local"),
        ("LECTERN_EMBEDDER__PATH", model.to_str().unwrap()),
        ("LECTERN_EMBEDDER__MODEL", "all-MiniLM-L6-v2"),
        ("LECTERN_EMBEDDER__DIMENSION", "384"),
        ("LECTERN_EMBEDDER__BATCH", BATCH),
    ];
    let (_world, server) = served(World::embedded().await, &settings).await;
    let tag = server.get("/v1/search?q=port&mode=sparse").await.headers["etag"].to_str().unwrap().to_owned();
    let numbers = AtomicUsize::new(0);
    let (idle, idle_asks) = beat(&server, &tag, &numbers).await;
    let embedded = std::sync::Mutex::default();
    let saturating = join_all((0..CLIENTS).map(|client| embed_without_end(&server, client, &embedded)));
    let beating = async {
        until("the embedder is busy", async || embedded.lock().unwrap().len(), |done| *done > 0).await;
        beat(&server, &tag, &numbers).await
    };
    let (busy, busy_asks) = match select(Box::pin(beating), Box::pin(saturating)).await {
        futures::future::Either::Left((beats, _)) => beats,
        futures::future::Either::Right(_) => unreachable!("it embeds without end"),
    };
    let batch = *embedded.lock().unwrap().iter().min().unwrap();
    println!("known searches: idle {idle}, while embedding {busy}");
    println!("asks: idle {idle_asks}, while embedding {busy_asks}; a batch takes {batch:?}");
    assert!(batch > Duration::from_millis(200), "the embedder is not saturated: {batch:?}");
    assert!(busy.percent(50) < Duration::from_millis(50), "{busy}");
    // Behind a batch a beat would take as long as what is left of it: half of it in the mean. What the machine adds by
    // itself is far less.
    assert!(busy.percent(99) < batch / 2, "{busy}, {batch:?}");
    assert!(busy_asks.percent(50) < batch / 4, "{busy_asks}, {batch:?}");
}
