//! The index is rebuilt, published and rolled back by the real binary while clients search and ask: no request fails,
//! and no answer mixes generations or names another one than its hits are from.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic is a failed test"
)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lectern_tests::handbook::{DOCUMENTS, Seen, seen, write_release};
use lectern_tests::lectern::{Lectern, events};
use lectern_tests::world::World;
use reqwest::StatusCode;
use serde_json::json;

/// Clients that ask at the same time.
const CLIENTS: usize = 64;
/// Clients' pause between requests: with 64 of them this keeps two cores busy without starving the builds.
const PAUSE: Duration = Duration::from_millis(20);

/// How much to do: a number from the environment, for longer runs than CI's.
fn amount(variable: &str, short: usize) -> usize {
    std::env::var(variable).ok().map_or(short, |text| text.parse().unwrap())
}

async fn search(server: &Lectern, turn: usize) -> Seen {
    let mode = ["hybrid", "dense", "sparse"][turn % 3];
    let query = format!("handbook topic {}", turn % DOCUMENTS);
    let reply = if turn.is_multiple_of(2) {
        server.post("/v1/search", &json!({ "query": query, "mode": mode, "limit": 20 })).await
    } else {
        server.get(&format!("/v1/search?q={}&mode={mode}&limit=20", query.replace(' ', "+"))).await
    };
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let hits = reply.body["hits"].as_array().unwrap();
    assert!(!hits.is_empty(), "{}", reply.body);
    seen(&reply.body, hits.iter().map(|hit| &hit["text"]))
}

async fn ask(server: &Lectern, turn: usize) -> Seen {
    let question = format!("What does the handbook explain about topic {}?", turn % DOCUMENTS);
    let cache = ["use", "off"][turn % 2];
    let body = json!({ "question": question, "cache": cache });
    let answer = if turn.is_multiple_of(3) {
        let request = server.http().post(format!("{}/v1/ask", server.url()));
        let response = request.header("accept", "text/event-stream").json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let events = events(&response.text().await.unwrap());
        let last = events.last().unwrap();
        assert_eq!(last.name, "done", "{events:?}");
        last.data.clone()
    } else {
        let reply = server.post("/v1/ask", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.body
    };
    let citations = answer["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{answer}");
    let quotes = citations.iter().map(|citation| &citation["quote"]);
    seen(&answer, quotes.chain([&answer["answer"]]))
}

async fn client(server: Arc<Lectern>, number: usize, stop: Arc<AtomicBool>) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut turn = number;
    while !stop.load(Ordering::Relaxed) {
        all.push(if turn.is_multiple_of(4) { ask(&server, turn).await } else { search(&server, turn).await });
        turn += 1;
        tokio::time::sleep(PAUSE).await;
    }
    all
}

/// Publishes and rolls back under load, then holds every response against what was published.
async fn swaps_under_load(world: World) {
    let world = world.with_llm();
    write_release(&world, 0);
    let mut published = HashMap::from([(world.publish().await, 0)]);
    let server = Arc::new(world.serve());
    server.ready().await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(Arc::clone(&server), number, Arc::clone(&stop))))
        .collect();

    let (swaps, rollbacks) = (amount("LECTERN_TEST_PUBLISHES", 6), amount("LECTERN_TEST_ROLLBACKS", 2));
    let mut rolled_back = 0;
    for release in 1..=swaps {
        write_release(&world, release);
        let generation = world.publish().await;
        server.serves(&generation).await;
        published.insert(generation, release);
        if rolled_back < rollbacks && release % (swaps / rollbacks) == 0 {
            let ran = world.ingest(&["rollback", "--json"]).await.ok();
            server.serves(ran.json()["to"].as_str().unwrap()).await;
            rolled_back += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);

    assert_eq!((published.len(), rolled_back), (swaps + 1, rollbacks));
    let mut responses = 0;
    let mut met = HashSet::new();
    for client in clients {
        for (generation, releases) in client.await.unwrap() {
            let release =
                published.get(&generation).unwrap_or_else(|| panic!("{generation} was never published"));
            assert_eq!(releases, HashSet::from([*release]), "mixed, or not of {generation}");
            responses += 1;
            met.insert(generation);
        }
    }
    println!("{responses} responses from {} generations, none failed, stale or mixed", met.len());
    assert!(met.len() > swaps / 2, "the load did not meet the swaps: {met:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_fails_or_mixes_generations_on_the_embedded_store() {
    swaps_under_load(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_fails_or_mixes_generations_on_qdrant() {
    swaps_under_load(World::remote().await).await;
}
