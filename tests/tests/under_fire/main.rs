//! What makes services of this kind fall over when they are scaled, one test for each failure and named after it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::time::{Duration, Instant};

use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::{Value, json};

mod cancellation;
mod deadlines;
mod overload;
mod restarts;

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
