//! What makes services of this kind fall over when they are scaled, one test for each failure and named after it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is a failed test, and what was measured is worth reading"
)]

use std::time::{Duration, Instant};

use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::{Value, json};

mod blocking;
mod cancellation;
mod crossed;
mod deadlines;
mod fanout;
mod memory;
mod overload;
mod pools;
mod providers;
mod replicas;
mod restarts;
mod timeouts;
mod whole;

/// So many, times `LECTERN_TEST_SCALE` for longer runs than CI's.
fn scaled(count: usize) -> usize {
    let scale = std::env::var("LECTERN_TEST_SCALE").ok().map_or(1, |text| text.parse::<usize>().unwrap());
    count * scale
}

/// A world with one document, a chat model, and a server with these settings.
async fn served(world: World, settings: &[(&str, &str)]) -> (World, Lectern) {
    let mut world = world.with_llm();
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 7443.\n");
    for (name, value) in settings {
        world.set(name, value);
    }
    world.publish().await;
    let server = world.serve();
    server.ready().await;
    (world, server)
}

/// An ask that no other one equals.
fn question(number: usize) -> Value {
    json!({ "question": format!("On which port does the gateway listen, number {number}?"), "mode": "sparse" })
}

/// The metrics' lines that say how much work is running or waiting, when there is any.
async fn work_left(server: &Lectern) -> Vec<String> {
    let metrics = server.metrics().await;
    let work = metrics.lines().filter(|line| line.starts_with("lectern_work_"));
    work.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
}

/// Waits until something is so; fails, with what it is instead, after a bound that only a broken server reaches.
async fn until<T: std::fmt::Debug>(what: &str, look: impl AsyncFn() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let began = Instant::now();
    loop {
        let seen = look().await;
        if is_so(&seen) {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(8), "{what}: {seen:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
