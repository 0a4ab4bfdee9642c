//! `kill -9` of server and ingest at any moment: the alias still points at a whole generation, and the next start works.
//! And the gentle end: streams that are under way finish, within a bound.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use lectern_tests::lectern::events;
use lectern_tests::world::World;
use serde_json::json;

/// Documents of each release: enough that a build has moments to be killed in.
const DOCUMENTS: usize = 60;
/// Moments at which the ingest is killed, spread over the time of a whole run.
const MOMENTS: u32 = 8;

fn write_release(world: &World, release: usize) {
    for n in 0..DOCUMENTS {
        world.write(
            &format!("page-{n}.md"),
            &format!("# Page {n}\n\nRelease {release} has {n} lines on topic {n}.\n"),
        );
    }
}

/// The releases in the hits of one search over everything; also checks that the server answers at all.
async fn releases_in_hits(world: &World) -> Vec<String> {
    let server = world.serve();
    server.ready().await;
    let reply = server.post("/v1/search", &json!({ "query": "release lines topic", "limit": 100 })).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let hits = reply.body["hits"].as_array().unwrap();
    assert_eq!(hits.len(), DOCUMENTS, "the generation is not whole");
    let first =
        |hit: &serde_json::Value| hit["text"].as_str().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let mut releases: Vec<String> = hits.iter().map(first).collect();
    releases.sort();
    releases.dedup();
    server.kill();
    releases
}

async fn killed_ingests(world: World) {
    write_release(&world, 0);
    let began = Instant::now();
    world.publish().await;
    let whole_run = began.elapsed();
    for moment in 1..=MOMENTS {
        write_release(&world, usize::try_from(moment).unwrap());
        let mut command = world.ingest_command(&["run", "documents"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(whole_run * moment / MOMENTS).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let releases = releases_in_hits(&world).await;
        assert_eq!(releases.len(), 1, "{releases:?}");
    }
    write_release(&world, 99);
    world.publish().await;
    assert_eq!(releases_in_hits(&world).await, ["99"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_killed_at_any_moment_leaves_a_whole_generation_on_the_embedded_store() {
    killed_ingests(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_killed_at_any_moment_leaves_a_whole_generation_on_qdrant() {
    killed_ingests(World::remote().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_starts_again_from_the_same_whole_generation() {
    let world = World::embedded().await;
    write_release(&world, 0);
    world.publish().await;
    for round in 0..5 {
        let server = world.serve();
        server.ready().await;
        let url = format!("{}/v1/search?q=topic", server.url());
        let load = tokio::spawn({
            let http = server.http().clone();
            async move { while http.get(&url).send().await.is_ok() {} }
        });
        tokio::time::sleep(Duration::from_millis(20 * (round + 1))).await;
        server.kill();
        load.await.unwrap();
        assert_eq!(releases_in_hits(&world).await, ["0"]);
    }
}

/// A world whose answers take about a second to stream.
async fn slow_answers() -> World {
    let world = World::embedded().await.with_llm();
    world.write("a.md", "# A\n\nThe gateway listens on port 7443.\n");
    world.publish().await;
    world.provider.set(|knobs| {
        knobs.answer = Some("one two three four five six seven eight nine ten".to_owned());
        knobs.delay_between_tokens = Duration::from_millis(100);
    });
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_under_way_finishes_when_the_server_is_asked_to_end() {
    let world = slow_answers().await;
    let server = world.serve();
    server.ready().await;
    let request = server.http().post(format!("{}/v1/ask", server.url()));
    let body = json!({ "question": "Which port?", "stream": true });
    let response = request.json(&body).send().await.unwrap();
    let text = tokio::spawn(response.text());
    server.ask_to_end();
    let events = events(&text.await.unwrap().unwrap());
    assert_eq!(events.last().unwrap().name, "done", "{events:?}");
    assert_eq!(server.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_does_not_end_is_cut_after_the_bound() {
    let mut world = slow_answers().await;
    world.set("LECTERN_HTTP__SHUTDOWN_MS", "1000");
    world.provider.set(|knobs| knobs.delay_between_tokens = Duration::from_mins(1));
    let server = world.serve();
    server.ready().await;
    let request = server.http().post(format!("{}/v1/ask", server.url()));
    let response = request.json(&json!({ "question": "Which port?", "stream": true })).send().await.unwrap();
    let text = tokio::spawn(response.text());
    assert_eq!(server.terminate(), Some(0));
    let _ = text.await.unwrap();
}
