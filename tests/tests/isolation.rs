//! Documents that spoil their reader, in the real `lectern-ingest`: each is skipped with its reason, the others are
//! published, and no process is left behind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lectern_tests::binaries;
use lectern_tests::world::World;
use serde_json::json;

/// Longest wait for something that a healthy process does within a second.
const LONG: Duration = Duration::from_mins(1);

/// A long text without an end to its words: seconds of work for a small machine.
fn large(mib: usize) -> String {
    "The level of the tank is measured once a minute. ".repeat(mib * 1024 * 1024 / 49)
}

/// The processes that `parent` has started and that read documents.
fn readers(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    children
        .flat_map(|line| line.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>())
        .collect()
}

fn is_reader(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("read-documents"))
}

/// An ingest of the world's folder whose reader is at work, and that reader.
fn caught_reading(world: &World) -> (Child, u32) {
    let mut command = world.ingest_command(&["run", "documents", "--json"]);
    let ingest = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let reader = at_work(ingest.id());
    (ingest, reader)
}

/// A reader of this ingest, as soon as there is one at work.
fn at_work(ingest: u32) -> u32 {
    let begun = Instant::now();
    let mut reader = None;
    while reader.is_none() && begun.elapsed() < LONG {
        reader = readers(ingest).into_iter().find(|pid| look_into(*pid).is_some());
        std::thread::yield_now();
    }
    reader.unwrap()
}

fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

fn gone(pid: u32) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        if !is_reader(pid) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

async fn found(world: &World, words: &str) -> Vec<String> {
    let server = world.serve();
    server.ready().await;
    let reply = server.post("/v1/search", &json!({ "query": words, "mode": "sparse" })).await;
    let hits = reply.body["hits"].as_array().unwrap().clone();
    hits.iter().map(|hit| hit["document_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_needs_too_much_memory_is_named_and_those_around_it_are_found() {
    let mut world = World::embedded().await;
    world.set("LECTERN_INGEST__EXTRACT_MIB", "4");
    world.write("a.md", "# Valves\n\nThe outlet valve closes at nine bar.\n");
    world.write("b.txt", &large(20));
    world.write("c.md", "# Pumps\n\nThe outlet pump starts at two bar.\n");
    let ran = world.ingest(&["run", "documents"]).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("skipped documents/b.txt: needs more memory to be read than"), "{ran:?}");
    let mut found = found(&world, "outlet").await;
    found.sort();
    assert_eq!(found, ["documents/a.md", "documents/c.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_whose_reader_is_killed_is_named_and_the_run_goes_on() {
    let mut world = World::embedded().await;
    world.set("LECTERN_INGEST__READERS", "1");
    world.write("a.txt", &large(20));
    world.write("b.md", "# Pumps\n\nThe outlet pump starts at two bar.\n");
    let (ingest, reader) = caught_reading(&world);
    signal("-STOP", reader);
    signal("-KILL", reader);
    let output = tokio::task::spawn_blocking(move || ingest.wait_with_output().unwrap()).await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["documents"], 1, "{report}");
    assert!(report["skipped"][0]["reason"].as_str().unwrap().contains("killed by signal 9"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_takes_too_long_is_named_and_the_run_goes_on() {
    let mut world = World::embedded().await;
    world.set("LECTERN_INGEST__READERS", "1");
    world.set("LECTERN_INGEST__EXTRACT_SECONDS", "1");
    world.write("a.txt", &large(20));
    world.write("b.md", "# Pumps\n\nThe outlet pump starts at two bar.\n");
    let (ingest, reader) = caught_reading(&world);
    signal("-STOP", reader);
    let output = tokio::task::spawn_blocking(move || ingest.wait_with_output().unwrap()).await.unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let reason = report["skipped"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "took longer than `ingest.extract_seconds` = 1: its reader was stopped");
    assert_eq!(report["documents"], 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ingest_leaves_no_reader_behind() {
    let world = World::embedded().await;
    world.write("a.txt", &large(20));
    let (mut ingest, reader) = caught_reading(&world);
    ingest.kill().unwrap();
    ingest.wait().unwrap();
    assert!(gone(reader));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_ingest_takes_its_readers_with_it() {
    let world = World::embedded().await;
    world.write("a.txt", &large(20));
    let (mut ingest, reader) = caught_reading(&world);
    signal("-INT", ingest.id());
    assert_eq!(ingest.wait().unwrap().code(), Some(1));
    assert!(gone(reader));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_has_none_of_the_keys_and_files_of_its_program() {
    let mut world = World::embedded().await;
    world.set("LECTERN_EMBEDDER__API_KEY", "sk-not-for-readers");
    world.write("a.txt", &large(20));
    // A shell leaves descriptor 9 open to whatever it starts.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 9</etc/hostname; exec \"$0\" run documents"])
        .arg(binaries::path("lectern-ingest"));
    command.envs(world.settings().iter().cloned()).current_dir(world.path());
    let mut ingest = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let mut seen = None;
    while seen.is_none() && begun.elapsed() < LONG {
        seen = readers(ingest.id()).into_iter().find_map(look_into);
        std::thread::yield_now();
    }
    ingest.kill().unwrap();
    ingest.wait().unwrap();
    let (environment, files) = seen.unwrap();
    assert!(!environment.contains("LECTERN") && !environment.contains("sk-"), "{environment}");
    assert!(!files.iter().any(|file| file.contains("hostname")), "{files:?}");
}

/// The environment and the open files of a reader that is at work.
fn look_into(pid: u32) -> Option<(String, Vec<String>)> {
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let files: Vec<String> =
        open.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_str()?.to_owned())).collect();
    // Before its first line it has not come to closing anything.
    files.iter().any(|file| file.ends_with("a.txt")).then_some((environment, files))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_readers_changes_nothing() {
    let mut world = World::embedded().await;
    for number in 0..40 {
        let sentence = format!("The level of tank{number} is high at gauge{number}. ");
        let text = format!("# Tank {number}\n\n{}\n", sentence.repeat(1 + number * 37 % 400));
        world.write(&format!("{number}.md"), &text);
    }
    world.set("LECTERN_INGEST__READERS", "1");
    world.publish().await;
    world.set("LECTERN_INGEST__READERS", "5");
    let again = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!((&again["embedded"], &again["changes"]["unchanged"]), (&json!(0), &json!(40)));
}
