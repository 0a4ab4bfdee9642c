//! Several workers that write one generation: the content is that of one worker, whoever dies and whenever they run.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lectern_tests::postgres;
use lectern_tests::world::{Ran, World};
use serde_json::{Value, json};

/// Documents of one chunk, beside a file of several documents.
const DOCUMENTS: usize = 75;
/// Lines of that file.
const RECORDS: usize = 20;
const PATIENCE: Duration = Duration::from_mins(1);

async fn world() -> World {
    let mut world = World::remote().await;
    world.set("LECTERN_EMBEDDER__BATCH", "2");
    fill(&world);
    world
}

fn fill(world: &World) {
    for n in 0..DOCUMENTS {
        world.write(
            &format!("{}/{n}.md", n % 7),
            &format!("# Page {n}\n\nTank {n} holds {} litres.\n", n * n),
        );
    }
    let records = (0..RECORDS).map(|n| json!({ "id": n, "text": format!("Valve {n} leaks.") }).to_string());
    world.write("valves.jsonl", &records.collect::<Vec<_>>().join("\n"));
}

fn part(n: usize, of: usize) -> String {
    format!("{n}/{of}")
}

async fn run(world: &World, partition: &str, more: &[&str]) -> Ran {
    world.ingest(&[&["run", "documents", "--json", "--partition", partition], more].concat()).await
}

/// All workers of a build at once; in the order of their partitions.
async fn run_all(world: &World, of: usize) -> Vec<Ran> {
    let names: Vec<String> = (0..of).map(|n| part(n, of)).collect();
    futures::future::join_all(names.iter().map(|name| run(world, name, &[]))).await
}

async fn list(world: &World) -> Vec<Value> {
    let list = world.ingest(&["list", "--json"]).await.ok().json();
    list["generations"].as_array().unwrap().clone()
}

async fn states(world: &World) -> Vec<Value> {
    list(world).await.into_iter().map(|one| one["state"].clone()).collect()
}

async fn live(world: &World) -> Value {
    list(world).await.into_iter().find(|one| one["live"] == json!(true)).unwrap()
}

/// All that a server finds, by mode and chunk, with scores.
async fn hits(world: &World) -> BTreeMap<(String, String), (Value, Value)> {
    let server = world.serve();
    server.ready().await;
    let mut found = BTreeMap::new();
    for mode in ["dense", "sparse"] {
        let body = json!({ "query": "tank valve litres 9", "limit": 100, "mode": mode });
        let reply = server.post("/v1/search", &body).await;
        for hit in reply.body["hits"].as_array().unwrap() {
            let key = (mode.to_owned(), hit["chunk_id"].as_str().unwrap().to_owned());
            found.insert(key, (hit["score"].clone(), hit["document_id"].clone()));
        }
    }
    server.kill();
    found
}

fn start(world: &World, partition: &str) -> Child {
    let mut command = world.ingest_command(&["run", "documents", "--partition", partition]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn until(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to that");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_at_once_make_what_one_makes_and_the_last_publishes_it() {
    three_at_once(world().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_at_once_make_what_one_makes_with_a_registry_in_postgresql() {
    let mut world = world().await;
    world.set("LECTERN_SQL__URL", &postgres::database().await.url);
    three_at_once(world).await;
}

async fn three_at_once(world: World) {
    let one = self::world().await;
    let undivided = one.ingest(&["run", "documents", "--json"]).await.ok().json();
    let ran = run_all(&world, 3).await;
    assert!(ran.iter().all(|ran| ran.code == 0), "{ran:?}");

    let told: Vec<Value> = ran.iter().map(Ran::json).collect();
    let published: Vec<&Value> = told.iter().filter(|told| told["moved"] == json!(true)).collect();
    assert_eq!(published.len(), 1, "{told:?}");
    let whole = published[0];
    assert_eq!(whole["content"], undivided["content"]);
    for field in ["documents", "chunks", "embedded", "changes", "skipped"] {
        assert_eq!(whole[field], undivided[field], "{field}");
    }
    assert_eq!((&whole["partitions"], &whole["documents"]), (&json!(3), &json!(DOCUMENTS + RECORDS)));
    let generations: BTreeSet<&str> = told.iter().map(|told| told["generation"].as_str().unwrap()).collect();
    assert_eq!(generations.len(), 1);
    assert_eq!(states(&world).await, ["live"]);
    let found = hits(&world).await;
    assert!(found.len() > DOCUMENTS + RECORDS);
    assert_eq!(found, hits(&one).await);
    world.ingest(&["verify"]).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_one_after_the_other_publish_nothing_before_the_last() {
    let world = world().await;
    let first = run(&world, "1/3", &[]).await.ok().json();
    assert_eq!((&first["partition"], &first["waiting_for"]), (&json!("1/3"), &json!(["0/3", "2/3"])));
    assert_eq!(states(&world).await, ["incomplete"]);
    let partitions = &list(&world).await[0]["partitions"];
    assert_eq!(*partitions, json!({ "job": null, "of": 3, "done": 1, "missing": ["0/3", "2/3"] }));
    let shown = world.ingest(&["list"]).await.ok().stdout;
    assert!(shown.contains("incomplete 1/3"), "{shown}");
    let second = run(&world, "2/3", &[]).await.ok().json();
    let last = run(&world, "0/3", &[]).await.ok().json();
    assert_eq!((&second["moved"], &last["moved"]), (&Value::Null, &json!(true)));
    // Each worker's own numbers, but for the last one.
    let own = |told: &Value| told["documents"].as_u64().unwrap();
    assert!(own(&first) + own(&second) < own(&last), "{first} {second} {last}");
    assert_eq!(own(&last), u64::try_from(DOCUMENTS + RECORDS).unwrap());

    // The next build without a name is another one.
    let next = run(&world, "0/3", &[]).await.ok().json();
    assert_eq!(next["waiting_for"], json!(["1/3", "2/3"]));
    assert_eq!(states(&world).await, ["live", "incomplete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_build_knows_what_the_one_before_it_saw() {
    let world = world().await;
    world.ingest(&["run", "documents"]).await.ok();
    world.write("0/0.md", "# Page 0\n\nTank 0 was emptied.\n");
    std::fs::remove_file(world.documents().join("1/1.md")).unwrap();
    world.write("new.md", "Something new.\n");
    let told: Vec<Value> = run_all(&world, 3).await.into_iter().map(|ran| ran.ok().json()).collect();
    let whole = told.iter().find(|told| told["moved"] == json!(true)).unwrap();
    let unchanged = DOCUMENTS + RECORDS - 2;
    assert_eq!(whole["changes"], json!({ "new": 1, "changed": 1, "unchanged": unchanged, "gone": 1 }));
    assert_eq!(whole["embedded"], json!(2));
    let undivided = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!(
        undivided["changes"],
        json!({ "new": 0, "changed": 0, "unchanged": unchanged + 2, "gone": 0 })
    );
    assert_eq!(undivided["content"], whole["content"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_goes_on_and_embeds_nothing_twice_while_others_are_left_alone() {
    let undisturbed = world().await;
    let content = undisturbed.ingest(&["run", "documents", "--json"]).await.ok().json()["content"].clone();
    let calls = undisturbed.provider.embeddings().calls;

    let world = world().await;
    run(&world, "2/3", &[]).await.ok();
    let before = world.provider.embeddings().calls;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(150));
    let mut killed = start(&world, "0/3");
    until(|| world.provider.embeddings().calls > before + 3).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut other = start(&world, "1/3");
    let resumed = run(&world, "0/3", &[]).await.ok().json();
    assert!(other.wait().unwrap().success());
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
    assert!(resumed["resumed"].is_u64(), "{resumed}");
    assert_eq!(live(&world).await["content"], content);
    let twice = world.provider.embeddings().calls.saturating_sub(calls);
    // A call on its way, and half-filled ones at the end of each partition.
    assert!(twice <= 1 + 3, "{twice} calls more than {calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_keeps_what_it_wrote_and_nothing_of_the_others_is_touched() {
    const MANY: usize = 1_200;
    let world = world().await;
    for n in 0..MANY {
        world.write(&format!("many/{n}.md"), &format!("# Pump {n}\n\nPump {n} lifts {} tons.\n", n * 3));
    }
    // Slow enough that what is written is recorded now and then.
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(120));
    let (mut killed, mut other) = (start(&world, "0/2"), start(&world, "1/2"));
    until(|| world.provider.embeddings().calls > MANY / 2 * 4 / 5).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
    let resumed = run(&world, "0/2", &[]).await.ok().json();
    assert!(other.wait().unwrap().success());
    assert!(100 < resumed["resumed"].as_u64().unwrap(), "{resumed}");
    let content = live(&world).await["content"].clone();
    let undivided = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!((&undivided["content"], &undivided["embedded"]), (&content, &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_while_a_worker_was_dead_is_seen_by_its_successor_alone() {
    let world = world().await;
    let done = run(&world, "0/2", &[]).await.ok().json();
    let before = world.provider.embeddings().calls;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(150));
    let mut killed = start(&world, "1/2");
    until(|| world.provider.embeddings().calls > before + 3).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
    for n in 0..DOCUMENTS {
        std::fs::remove_file(world.documents().join(format!("{}/{n}.md", n % 7))).unwrap();
    }
    std::fs::remove_file(world.documents().join("valves.jsonl")).unwrap();
    world.write("last.md", "The last one.\n");
    let last = run(&world, "1/2", &[]).await.ok().json();
    let left = last["documents"].as_u64().unwrap() - done["documents"].as_u64().unwrap();
    assert!(left <= 1, "{last}");
    world.ingest(&["verify"]).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_between_two_workers_is_left_alone_by_other_builds() {
    let world = world().await;
    let waiting = run(&world, "0/2", &[]).await.ok().json();
    let other = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!(other["resumed"], Value::Null);
    assert_ne!(other["generation"], waiting["generation"]);
    world.ingest(&["prune"]).await.ok();
    assert_eq!(states(&world).await, ["incomplete", "live"]);
    assert_eq!(world.ingest(&["verify"]).await.code, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_another_job_does_not_join() {
    let world = world().await;
    let one = run(&world, "0/2", &["--job", "one"]).await.ok().json();
    let two = run(&world, "0/2", &["--job", "two"]).await.ok().json();
    let none = run(&world, "0/2", &[]).await.ok().json();
    let names: BTreeSet<&str> = [&one, &two, &none].map(|told| told["generation"].as_str().unwrap()).into();
    assert_eq!(names.len(), 3);
    let last = run(&world, "1/2", &["--job", "two"]).await.ok().json();
    assert_eq!((&last["generation"], &last["moved"]), (&two["generation"], &json!(true)));
    assert_eq!(states(&world).await, ["incomplete", "live", "incomplete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_worker_that_is_started_again_has_nothing_to_do() {
    let world = world().await;
    let first = run(&world, "0/2", &["--job", "uid-1"]).await.ok().json();
    let calls = world.provider.embeddings().calls;
    let again = run(&world, "0/2", &["--job", "uid-1"]).await.ok().json();
    assert_eq!(again["waiting_for"], json!(["1/2"]));
    assert_eq!(again["generation"], first["generation"]);
    assert_eq!(world.provider.embeddings().calls, calls);
    run(&world, "1/2", &["--job", "uid-1"]).await.ok();
    let after = run(&world, "1/2", &["--job", "uid-1"]).await.ok().json();
    assert_eq!((&after["outcome"], &after["generation"]), (&json!("published"), &first["generation"]));
    assert_eq!(states(&world).await, ["live"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nameless_worker_that_is_done_does_not_begin_another_build_while_one_is_unfinished() {
    let world = world().await;
    run(&world, "0/3", &[]).await.ok();
    let again = run(&world, "0/3", &[]).await;
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("but not 1/3 and 2/3: run those, or name another build"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_not_started_like_the_others_is_refused() {
    let mut world = world().await;
    run(&world, "0/3", &[]).await.ok();
    let other = run(&world, "1/4", &[]).await;
    assert_eq!(other.code, 1);
    assert!(
        other.stderr.contains("is written in 3 partitions: start all its workers with `--partition I/3`")
    );
    world.set("LECTERN_INGEST__CHUNK_TOKENS", "100");
    let other = run(&world, "1/3", &[]).await;
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("other settings of chunks"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_divided_is_wrong_usage() {
    let world = world().await;
    let outside = run(&world, "3/3", &[]).await;
    assert_eq!(outside.code, 2);
    assert!(outside.stderr.contains("`3/3` is no partition: write I/N"), "{outside:?}");
    let input = world.ingest(&["build", "-", "--partition", "0/2"]).await;
    assert_eq!(input.code, 2);
    assert!(input.stderr.contains("cannot divide the standard input"), "{input:?}");
    let embedded = World::embedded().await;
    fill(&embedded);
    let embedded = run(&embedded, "0/2", &[]).await;
    assert_eq!(embedded.code, 2);
    assert!(embedded.stderr.contains("--partition needs `store.kind = \"qdrant\"`"), "{embedded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_worker_says_by_its_code_that_something_was_skipped() {
    let world = world().await;
    for n in 0..20 {
        world.write(&format!("empty/{n}.md"), "");
    }
    let mut codes = Vec::new();
    for n in 0..3 {
        codes.push(run(&world, &part(n, 3), &[]).await);
    }
    assert_eq!(codes.iter().map(|ran| ran.code).collect::<Vec<_>>(), [0, 0, 4]);
    let skipped = |ran: &Ran| ran.json()["skipped"].as_array().unwrap().len();
    assert!(0 < skipped(&codes[0]) && skipped(&codes[0]) < 20);
    assert_eq!(skipped(&codes[2]), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_refuses_ends_the_last_worker_and_who_is_started_again() {
    let world = world().await;
    world.ingest(&["run", "documents"]).await.ok();
    for n in 0..DOCUMENTS {
        std::fs::remove_file(world.documents().join(format!("{}/{n}.md", n % 7))).unwrap();
    }
    let named = ["--job", "uid"];
    run(&world, "0/2", &named).await.ok();
    let last = run(&world, "1/2", &named).await;
    assert_eq!(last.code, 3, "{last:?}");
    assert_eq!(run(&world, "1/2", &named).await.code, 3);
    assert_eq!(states(&world).await, ["live", "complete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_workers_than_documents_are_no_fault() {
    let world = World::remote().await;
    world.write("only.md", "The only one.\n");
    let ran = run_all(&world, 4).await;
    assert!(ran.iter().all(|ran| ran.code == 0), "{ran:?}");
    assert_eq!(live(&world).await["documents"], json!(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_erased_between_two_workers_is_not_published() {
    let world = world().await;
    world.ingest(&["run", "documents"]).await.ok();
    run(&world, "0/2", &[]).await.ok();
    let names = (0..4).map(|n| format!("documents/{n}/{n}.md"));
    for name in names.clone() {
        world.ingest(&["delete", "--document", &name]).await.ok();
    }
    let last = run(&world, "1/2", &[]).await;
    assert_eq!((last.code, &last.json()["moved"]), (4, &json!(true)), "{last:?}");
    assert_eq!(last.json()["documents"], json!(DOCUMENTS + RECORDS - 4));
    let found: BTreeSet<String> =
        hits(&world).await.into_values().map(|(_, name)| name.as_str().unwrap().to_owned()).collect();
    assert!(names.clone().all(|name| !found.contains(&name)), "{found:?}");

    // Each worker is told the same, and the one whose document it is lets it come back.
    let back: Vec<String> = names.flat_map(|name| ["--undelete".to_owned(), name]).collect();
    let back: Vec<&str> = back.iter().map(String::as_str).collect();
    run(&world, "0/2", &back).await.ok();
    let whole = run(&world, "1/2", &back).await.ok().json();
    assert_eq!(whole["documents"], json!(DOCUMENTS + RECORDS));
}

/// Starts a worker and kills it while it makes a call of this name.
async fn killed_at(world: &World, call: &str, partition: &str) {
    let knobs = world.qdrant.as_ref().unwrap().knobs();
    knobs.forget_calls();
    knobs.delay(call, Duration::from_mins(10));
    let mut child = start(world, partition);
    until(|| knobs.calls(call) > 0).await;
    child.kill().unwrap();
    child.wait().unwrap();
    knobs.heal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_whose_last_worker_died_is_finished_by_any_other() {
    let world = world().await;
    run(&world, "0/2", &[]).await.ok();
    killed_at(&world, "Count", "1/2").await;
    // Whole but for its seal, and nobody's leftover.
    world.ingest(&["build", "documents/0"]).await.ok();
    assert_eq!(states(&world).await, ["incomplete", "complete"]);
    let last = run(&world, "0/2", &[]).await.ok().json();
    assert_eq!((&last["partitions"], &last["documents"]), (&json!(2), &json!(DOCUMENTS + RECORDS)));
    assert_eq!(states(&world).await, ["live", "complete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_build_whose_last_worker_died_is_published_by_any_other() {
    let world = world().await;
    world.ingest(&["run", "documents"]).await.ok();
    run(&world, "0/2", &[]).await.ok();
    // The gates ask both generations.
    killed_at(&world, "Query", "1/2").await;
    world.ingest(&["build", "documents/0"]).await.ok();
    let last = run(&world, "0/2", &[]).await.ok().json();
    assert_eq!(last["moved"], json!(true));
    assert_eq!(states(&world).await, ["complete", "live", "complete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_died_while_it_created_the_generation_leaves_nothing_behind() {
    let world = world().await;
    for call in ["Collections/Create", "CreateFieldIndex"] {
        killed_at(&world, call, "0/2").await;
    }
    let knobs = world.qdrant.as_ref().unwrap().knobs();
    knobs.forget_calls();
    run(&world, "1/2", &[]).await.ok();
    assert!(0 < knobs.calls("CreateFieldIndex"), "an index may be missing");
    run(&world, "0/2", &[]).await.ok();
    assert_eq!(states(&world).await, ["live"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_wait_for_the_one_that_creates_the_generation() {
    let world = world().await;
    let knobs = world.qdrant.as_ref().unwrap().knobs();
    knobs.delay("Collections/Create", Duration::from_secs(2));
    let ran = run_all(&world, 3).await;
    assert!(ran.iter().all(|ran| ran.code == 0), "{ran:?}");
    assert_eq!(knobs.calls("Collections/Create"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_a_worker_writes_is_being_built() {
    let world = world().await;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(300));
    let mut worker = start(&world, "0/2");
    until(|| world.provider.embeddings().calls > 2).await;
    assert_eq!(states(&world).await, ["building"]);
    assert_eq!(world.ingest(&["verify"]).await.code, 0);
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
    assert!(worker.wait().unwrap().success());
    assert_eq!(states(&world).await, ["incomplete"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_of_one_partition_do_not_write_at_once() {
    let world = world().await;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_secs(3));
    let mut first = start(&world, "0/2");
    until(|| world.provider.embeddings().calls > 0).await;
    let second = run(&world, "0/2", &[]).await;
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("build of docs, partition 0/2 is held by lectern-ingest"), "{second:?}");
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
    assert!(first.wait().unwrap().success());
}
