//! The same requests to Lectern and to a bare actix-web loop, in turns within one minute: Lectern, loop, Lectern, loop.
//! Both can take the model's answer as a stream or in one piece; Lectern does by configuration what the loop does by request.

use serde_json::{Value, json};

use crate::load::{CLIENTS, Call, Cost, Target, measure};

/// The first turn that no other table has asked.
const UNASKED: usize = 1_000_000;

/// The servers that are compared.
pub(crate) struct Servers<'a> {
    /// As it is by default.
    pub(crate) lectern: &'a Target,
    /// With `llm.whole_answers`.
    pub(crate) whole: &'a Target,
    pub(crate) bare: &'a Target,
}

/// A kind of request as either server takes it.
struct Pair {
    name: &'static str,
    is_whole: bool,
    lectern: Call,
    bare: Call,
    requests: usize,
}

const PAIRS: [Pair; 5] = [
    Pair {
        name: "search, dense",
        is_whole: false,
        lectern: Call { path: "/v1/search", body: Some(search) },
        bare: Call { path: "/search", body: Some(bare) },
        requests: 5_000,
    },
    Pair {
        name: "ask, uncached (model in one piece)",
        is_whole: true,
        lectern: Call { path: "/v1/ask", body: Some(ask) },
        bare: Call { path: "/ask", body: Some(bare) },
        requests: 3_000,
    },
    Pair {
        name: "ask, uncached (model streamed; loop: in one piece)",
        is_whole: false,
        lectern: Call { path: "/v1/ask", body: Some(ask) },
        bare: Call { path: "/ask", body: Some(bare) },
        requests: 3_000,
    },
    Pair {
        name: "ask, uncached (model streamed)",
        is_whole: false,
        lectern: Call { path: "/v1/ask", body: Some(ask) },
        bare: Call { path: "/ask", body: Some(bare_streamed) },
        requests: 3_000,
    },
    Pair {
        name: "ask, cached (loop: hello)",
        is_whole: false,
        lectern: Call { path: "/v1/ask", body: Some(cached) },
        bare: Call { path: "/hello", body: None },
        requests: 20_000,
    },
];

fn search(turn: usize) -> Value {
    json!({ "query": format!("topic {turn} of the handbook"), "mode": "dense", "limit": 5 })
}

fn ask(turn: usize) -> Value {
    json!({ "question": format!("What about topic {turn}?"), "mode": "dense", "limit": 5, "cache": "off" })
}

fn cached(_: usize) -> Value {
    json!({ "question": "What does the handbook say?", "mode": "dense", "limit": 5 })
}

fn bare(turn: usize) -> Value {
    json!({ "text": format!("What about topic {turn} of the handbook?"), "limit": 5 })
}

fn bare_streamed(turn: usize) -> Value {
    json!({ "text": format!("What about topic {turn} of the handbook?"), "limit": 5, "stream": true })
}

/// Prints the table.
pub(crate) async fn compare(servers: &Servers<'_>, scale: impl Fn(usize) -> usize) {
    println!(
        "\n| request | server | CPU s / 1,000 | requests / s | p50 ms | p99 ms | peak MiB | times the floor |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for pair in PAIRS {
        let slice = scale(pair.requests);
        let bare = servers.bare;
        let lectern = if pair.is_whole { servers.whole } else { servers.lectern };
        let (mut ours, mut floor) = (Cost::default(), Cost::default());
        for round in 0..2 {
            // Each turn once, and none that was asked before, so that no cache of anybody's helps.
            let from = UNASKED + round * (slice + CLIENTS);
            ours.add(measure(lectern, pair.lectern, from, slice).await);
            floor.add(measure(bare, pair.bare, from, slice).await);
        }
        let times = ours.per_thousand() / floor.per_thousand();
        println!("| {} | {} | {} | {times:.2} |", pair.name, lectern.name, ours.columns());
        println!("| | {} | {} | 1 |", bare.name, floor.columns());
    }
}
