//! What a request costs the server: CPU seconds per 1,000 requests, latency, peak memory; for search, uncached ask and
//! cached ask, on both stores, in one run. The models are mocks that answer at once, so that the server's own work shows.
//! Compare rows of one run with each other; the machine decides the absolute figures.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is a failed test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lectern_tests::lectern::Lectern;
use lectern_tests::process;
use lectern_tests::world::World;
use serde_json::{Value, json};

/// Clients that ask at the same time.
const CLIENTS: usize = 16;
/// Documents in the index.
const DOCUMENTS: usize = 200;

/// A kind of request, and how many of it are made.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    path: &'static str,
    requests: usize,
    body: fn(usize) -> Value,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "search, dense", path: "/v1/search", requests: 10_000, body: dense },
    Scenario { name: "search, hybrid", path: "/v1/search", requests: 10_000, body: hybrid },
    Scenario { name: "ask, uncached", path: "/v1/ask", requests: 5_000, body: uncached },
    Scenario { name: "ask, cached", path: "/v1/ask", requests: 20_000, body: cached },
];

fn dense(turn: usize) -> Value {
    json!({ "query": format!("topic {turn} of the handbook"), "mode": "dense", "limit": 5 })
}

fn hybrid(turn: usize) -> Value {
    json!({ "query": format!("topic {turn} of the handbook"), "mode": "hybrid", "limit": 5 })
}

fn uncached(turn: usize) -> Value {
    json!({ "question": format!("What about topic {turn}?"), "mode": "dense", "limit": 5, "cache": "off" })
}

fn cached(_: usize) -> Value {
    json!({ "question": "What does the handbook say?", "mode": "dense", "limit": 5 })
}

/// What one scenario cost.
struct Cost {
    cpu_seconds: f64,
    wall: Duration,
    latencies: Vec<Duration>,
    peak_mib: u64,
}

impl Cost {
    fn percentile(&self, percent: usize) -> Duration {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[at]
    }

    fn print(&self, store: &str, scenario: &Scenario) {
        let thousands = f64::from(u32::try_from(self.latencies.len()).unwrap()) / 1_000.0;
        println!(
            "| {store} | {} | {:.3} | {:.0} | {:.2} | {:.2} | {} |",
            scenario.name,
            self.cpu_seconds / thousands,
            thousands * 1_000.0 / self.wall.as_secs_f64(),
            self.percentile(50).as_secs_f64() * 1_000.0,
            self.percentile(99).as_secs_f64() * 1_000.0,
            self.peak_mib,
        );
    }
}

/// Makes the scenario's requests, [`CLIENTS`] at a time.
async fn measure(server: &Arc<Lectern>, scenario: Scenario) -> Cost {
    for turn in 0..CLIENTS {
        assert_eq!(server.post(scenario.path, &(scenario.body)(turn)).await.status, 200);
    }
    process::forget_peak(server.pid());
    let (cpu, began) = (process::cpu_seconds(server.pid()), Instant::now());
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (server, next) = (Arc::clone(server), Arc::clone(&next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= scenario.requests {
                        return latencies;
                    }
                    let began = Instant::now();
                    let reply = server.post(scenario.path, &(scenario.body)(turn)).await;
                    latencies.push(began.elapsed());
                    assert_eq!(reply.status, 200, "{}", reply.body);
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.unwrap());
    }
    latencies.sort_unstable();
    Cost {
        cpu_seconds: process::cpu_seconds(server.pid()) - cpu,
        wall: began.elapsed(),
        latencies,
        peak_mib: process::peak_mib(server.pid()),
    }
}

async fn bench(store: &str, world: World) {
    let mut world = world.with_llm();
    world.set("LECTERN_TELEMETRY__LOG", "warn");
    for n in 0..DOCUMENTS {
        world.write(
            &format!("page-{n}.md"),
            &format!("# Page {n}\n\nThe handbook explains topic {n} in detail.\n"),
        );
    }
    world.publish().await;
    let server = Arc::new(world.serve());
    server.ready().await;
    println!("| {store} | idle | | | | | {} |", process::peak_mib(server.pid()));
    for scenario in SCENARIOS {
        measure(&server, scenario).await.print(store, &scenario);
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("| store | request | CPU s / 1,000 | requests / s | p50 ms | p99 ms | peak MiB |");
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        bench("embedded", World::embedded().await).await;
        bench("qdrant protocol", World::remote().await).await;
    });
}
