//! What a swap costs under load: the second in which a generation is published, beside quiet seconds of the same run.

use std::time::{Duration, Instant};

use lectern_tests::process;
use lectern_tests::world::World;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::load::{Call, Target, keep_loading, milliseconds, percentile};

/// Swaps that are made.
const SWAPS: usize = 3;
/// The time around a publication that is looked at.
const WINDOW: Duration = Duration::from_secs(1);

const SEARCH: Call = Call { path: "/v1/search", body: Some(search) };

fn search(turn: usize) -> Value {
    json!({ "query": format!("topic {turn} of the handbook"), "mode": "dense", "limit": 5 })
}

/// A second of the run.
struct Second {
    from: Duration,
    cpu_seconds: f64,
    is_swap: bool,
}

/// Prints the table. Generations are built before: what building costs is the ingest's, not the server's.
pub(crate) async fn under_load(world: &World, lectern: &Target) {
    let mut staged = Vec::new();
    for n in 0..SWAPS {
        world.write("swap.md", &format!("# Swap {n}\n\nThe handbook was changed {n} times.\n"));
        let built = world.ingest(&["build", "documents", "--json"]).await.ok().json();
        staged.push(built["generation"].as_str().unwrap().to_owned());
    }
    let (began, stop) = (Instant::now(), CancellationToken::new());
    let loading = tokio::spawn({
        let (target, stop) = (lectern.clone(), stop.clone());
        async move { keep_loading(&target, SEARCH, began, stop).await }
    });
    tokio::time::sleep(WINDOW).await;
    let mut seconds = Vec::new();
    for generation in &staged {
        seconds.push(second(lectern, began, None).await);
        seconds.push(second(lectern, began, Some((world, generation))).await);
    }
    stop.cancel();
    print(&seconds, &loading.await.unwrap());
}

/// Lets a second pass, or publishes at its beginning.
async fn second(lectern: &Target, began: Instant, publish: Option<(&World, &String)>) -> Second {
    let (from, cpu) = (began.elapsed(), process::cpu_seconds(lectern.pid));
    if let Some((world, generation)) = publish {
        world.ingest(&["publish", generation]).await.ok();
    }
    let passed = began.elapsed().saturating_sub(from);
    assert!(publish.is_none() || passed < WINDOW * 5, "publishing took {passed:?}");
    tokio::time::sleep(WINDOW.saturating_sub(passed)).await;
    let whole = (began.elapsed().saturating_sub(from)).as_secs_f64() / WINDOW.as_secs_f64();
    Second {
        from,
        cpu_seconds: (process::cpu_seconds(lectern.pid) - cpu) / whole,
        is_swap: publish.is_some(),
    }
}

fn print(seconds: &[Second], ended: &[(Duration, Duration)]) {
    println!("\n| second under load | requests | p50 ms | p99 ms | slowest ms | CPU s |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, is_swap) in [("quiet", false), ("with a swap", true)] {
        let these: Vec<&Second> = seconds.iter().filter(|second| second.is_swap == is_swap).collect();
        let within =
            |at: Duration| these.iter().any(|second| (second.from..second.from + WINDOW).contains(&at));
        let took: Vec<Duration> = ended.iter().filter(|(at, _)| within(*at)).map(|(_, took)| *took).collect();
        let count = f64::from(u32::try_from(these.len()).unwrap());
        println!(
            "| {name} | {:.0} | {} | {} | {} | {:.2} |",
            f64::from(u32::try_from(took.len()).unwrap()) / count,
            milliseconds(percentile(&took, 50)),
            milliseconds(percentile(&took, 99)),
            milliseconds(took.iter().max().copied().unwrap_or_default()),
            these.iter().map(|second| second.cpu_seconds).sum::<f64>() / count,
        );
    }
}
