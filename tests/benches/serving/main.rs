//! What requests cost the server: CPU seconds per 1,000 requests, latency, peak memory, streams, a swap; beside a bare
//! actix-web loop in the same minute. The models are mocks, so that the server's own work shows.
//! Compare rows of one run with each other; the machine decides the absolute figures.
//!
//! `LECTERN_BENCH_SCALE=0.01` makes a hundredth of the requests: it shows that everything works, and measures nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic is a failed test"
)]

use lectern_tests::bare::BareLoop;
use lectern_tests::lectern::Lectern;
use lectern_tests::process;
use lectern_tests::world::World;
use serde_json::{Value, json};

mod floor;
mod load;
mod streams;
mod swap;

use load::{Call, Target, measure};
use streams::Streamed;

/// Documents in the index.
const DOCUMENTS: usize = 200;

/// A kind of request, and how many of it are made.
struct Scenario {
    name: &'static str,
    call: Call,
    requests: usize,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "search, dense",
        call: Call { path: "/v1/search", body: Some(dense) },
        requests: 10_000,
    },
    Scenario {
        name: "search, hybrid",
        call: Call { path: "/v1/search", body: Some(hybrid) },
        requests: 10_000,
    },
    Scenario { name: "ask, uncached", call: Call { path: "/v1/ask", body: Some(uncached) }, requests: 5_000 },
    Scenario { name: "ask, cached", call: Call { path: "/v1/ask", body: Some(cached) }, requests: 20_000 },
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

/// So many of a count that is meant for a full run.
fn scaled(count: usize) -> usize {
    let scale = std::env::var("LECTERN_BENCH_SCALE").map_or(1.0, |scale| scale.parse::<f64>().unwrap());
    let scaled = f64::from(u32::try_from(count).unwrap()) * scale;
    (1..=count).rev().find(|n| f64::from(u32::try_from(*n).unwrap()) <= scaled).unwrap_or(1)
}

/// A published index and a server on it.
async fn served(world: World) -> (World, Lectern) {
    let mut world = world.with_llm();
    world.set("LECTERN_TELEMETRY__LOG", "warn");
    // A thousand streams are meant to be open, not to wait for each other.
    world.set("LECTERN_LIMITS__CONCURRENCY", "4096");
    for n in 0..DOCUMENTS {
        let page = format!("# Page {n}\n\nThe handbook explains topic {n} in detail.\n");
        world.write(&format!("page-{n}.md"), &page);
    }
    world.publish().await;
    let server = world.serve();
    server.ready().await;
    (world, server)
}

async fn costs(store: &str, target: &Target) {
    println!("| {store} | idle | | | | | {} |", process::peak_mib(target.pid));
    for Scenario { name, call, requests } in SCENARIOS {
        let cost = measure(target, call, 0, scaled(requests)).await;
        println!("| {store} | {name} | {} |", cost.columns());
    }
}

/// The tables; arguments choose among them: `cargo bench --workspace --bench serving -- floor`.
const TABLES: [&str; 4] = ["costs", "floor", "streams", "swap"];

fn wanted(table: &str) -> bool {
    let named: Vec<String> =
        std::env::args().skip(1).filter(|name| TABLES.contains(&name.as_str())).collect();
    named.is_empty() || named.iter().any(|name| name == table)
}

async fn run() {
    if wanted("costs") {
        println!("| store | request | CPU s / 1,000 | requests / s | p50 ms | p99 ms | peak MiB |");
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        let (_world, server) = served(World::embedded().await).await;
        costs("embedded", &Target::new("Lectern", server.pid(), server.url())).await;
    }
    let (mut world, server) = served(World::remote().await).await;
    let lectern = Target::new("Lectern", server.pid(), server.url());
    if wanted("costs") {
        costs("qdrant protocol", &lectern).await;
    }
    let store = world.qdrant.as_ref().unwrap().url();
    let bare = BareLoop::start(&world.provider.url(), &store, "docs");
    let bare = (Target::new("bare loop", bare.pid(), bare.url()), bare);
    if wanted("floor") {
        world.set("LECTERN_LLM__WHOLE_ANSWERS", "true");
        let server = world.serve();
        server.ready().await;
        let whole = Target::new("Lectern, whole answers", server.pid(), server.url());
        let servers = floor::Servers { lectern: &lectern, whole: &whole, bare: &bare.0 };
        floor::compare(&servers, scaled).await;
    }
    if wanted("streams") {
        let servers = [
            Streamed { target: &lectern, path: "/v1/ask", body: streams::ours },
            Streamed { target: &bare.0, path: "/ask", body: streams::bare },
        ];
        streams::overhead(&servers, &world.provider, scaled).await;
        streams::many(&servers, &world.provider, scaled).await;
    }
    if wanted("swap") {
        swap::under_load(&world, &lectern).await;
    }
}

fn main() {
    tokio::runtime::Runtime::new().unwrap().block_on(run());
}
