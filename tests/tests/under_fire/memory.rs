//! Much work, and what is left of it when it is done: nothing.

use std::ops::Range;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use lectern_tests::lectern::Lectern;
use lectern_tests::process::{peak_mib, resident_mib};
use lectern_tests::provider::Ending;
use lectern_tests::world::World;
use serde_json::json;

use super::{question, scaled, served, until, work_left};

/// What one replica may take without a model in the process.
const MOST_MIB: u64 = 256;
/// What the memory may grow by between two looks, for the allocator's sake: 2.6 KB for each of the questions between them,
/// 20 KB for each of a thousand streams. A question alone has 4 KB, a stream with all that belongs to it more than 100.
const FLAT_MIB: u64 = 20;
/// Clients that ask at the same time.
const CLIENTS: usize = 16;
/// Caches that are full long before the first look: what grows behind it is none of theirs.
const SMALL_CACHES: [(&str, &str); 3] = [
    ("LECTERN_CACHE__ANSWERS_BYTES", "2000000"),
    ("LECTERN_CACHE__RETRIEVALS_BYTES", "2000000"),
    ("LECTERN_CACHE__VECTORS_BYTES", "2000000"),
];

/// A question of as many characters as are allowed, like no other.
fn large(number: usize) -> String {
    let mut text = format!("On which port does gateway {number} listen");
    while text.len() < 3_980 {
        text.push_str(" and why");
    }
    text + "?"
}

async fn ask_all(server: &Lectern, numbers: Range<usize>) {
    let ask = |number| async move {
        let reply = server.post("/v1/ask", &json!({ "question": large(number) })).await;
        assert_eq!((reply.status.as_u16(), &reply.body["degraded"]), (200, &json!([])), "{}", reply.body);
    };
    stream::iter(numbers).map(ask).buffer_unordered(CLIENTS).collect::<Vec<()>>().await;
}

async fn nothing_is_left(server: &Lectern) {
    until("no work is left", async || work_left(server).await, Vec::is_empty).await;
}

#[tokio::test]
async fn memory_growth_by_ten_thousand_large_questions() {
    let (_world, server) = served(World::embedded().await, &SMALL_CACHES).await;
    let (first, all) = (scaled(2_000), scaled(10_000));
    ask_all(&server, 0..first).await;
    let before = resident_mib(server.pid());
    ask_all(&server, first..all).await;
    let after = resident_mib(server.pid());
    let peak = peak_mib(server.pid());
    println!("{before} MiB after {first} questions, {after} MiB after {all}, at most {peak} MiB");
    nothing_is_left(&server).await;
    assert!(after <= before + FLAT_MIB, "{before} MiB, then {after} MiB");
    assert!(peak < MOST_MIB, "{peak} MiB");
}

/// Opens streams that do not go on, looks at the memory while all are open, and leaves.
async fn open_and_leave(world: &World, server: &Lectern, numbers: Range<usize>) -> u64 {
    let count = numbers.len();
    let open = numbers.map(|number| async move {
        let request = server.http().post(format!("{}/v1/ask", server.url()));
        let request = request.header("accept", "text/event-stream").json(&question(number));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response
    });
    let streams = join_all(open).await;
    until("all are answered at once", async || world.provider.chat().in_flight, |calls| *calls == count)
        .await;
    let resident = resident_mib(server.pid());
    drop(streams);
    until("all calls are closed", async || world.provider.chat().in_flight, |calls| *calls == 0).await;
    nothing_is_left(server).await;
    resident
}

#[tokio::test]
async fn memory_growth_by_a_thousand_open_streams() {
    const STREAMS: usize = 1_000;
    let settings = [("LECTERN_LIMITS__CONCURRENCY", "1024")];
    let (world, server) = served(World::embedded().await, &settings).await;
    world.provider.set(|knobs| knobs.ending = Ending::StallAfter(3));
    let first = open_and_leave(&world, &server, 0..STREAMS).await;
    let second = open_and_leave(&world, &server, STREAMS..2 * STREAMS).await;
    let last = open_and_leave(&world, &server, 2 * STREAMS..3 * STREAMS).await;
    let peak = peak_mib(server.pid());
    println!(
        "{first} MiB with the first {STREAMS} streams, {second} and {last} MiB with as many new ones, at most {peak} MiB"
    );
    assert!(last <= second + FLAT_MIB, "{second} MiB, then {last} MiB");
    assert!(peak < MOST_MIB, "{peak} MiB");
}
