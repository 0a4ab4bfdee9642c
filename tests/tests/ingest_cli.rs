//! The real `lectern-ingest` as users run it: what it prints, what it exits with, what it leaves behind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lectern_tests::binaries;
use lectern_tests::provider::Failure;
use lectern_tests::world::{Ran, World};
use serde_json::{Value, json};

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
}

async fn live(world: &World) -> Value {
    world.ingest(&["list", "--json"]).await.ok().json()["live"].clone()
}

async fn states(world: &World) -> Vec<String> {
    let list = world.ingest(&["list", "--json"]).await.ok().json();
    let generations = list["generations"].as_array().unwrap();
    generations.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
}

fn documents(world: &World, count: usize) {
    for number in 0..count {
        let text = format!(
            "# Document {number}\n\nThe level of tank {number} is {number} metres above the floor.\n"
        );
        world.write(&format!("{number}.md"), &text);
    }
}

#[tokio::test]
async fn the_second_run_embeds_nothing_but_the_gates_sample_and_the_alias_moves_on() {
    let world = World::embedded().await;
    let docs = fixtures().join("docs");
    let first = world.ingest(&["run", docs.to_str().unwrap(), "--json"]).await.ok().json();
    assert_eq!((&first["documents"], &first["reused"]), (&json!(10), &json!(0)));
    assert_eq!(first["embedded"], first["chunks"]);
    let calls = world.provider.embeddings().calls;

    let second = world.ingest(&["run", docs.to_str().unwrap(), "--json"]).await.ok().json();
    assert_eq!(second["reused"], first["chunks"]);
    assert_eq!(second["changes"], json!({"new": 0, "changed": 0, "unchanged": 10, "gone": 0}));
    assert_eq!(world.provider.embeddings().calls, calls + 1);
    assert_eq!((&second["from"], &second["to"]), (&first["generation"], &second["generation"]));
    assert_eq!(live(&world).await, second["generation"]);
}

#[tokio::test]
async fn only_what_changed_is_embedded_and_what_is_gone_is_told() {
    let world = World::embedded().await;
    documents(&world, 20);
    world.publish().await;
    world.write("3.md", "# Document 3\n\nThis one is about pumps now.\n");
    world.write("fresh.md", "# Fresh\n\nNot seen before.\n");
    std::fs::remove_file(world.documents().join("7.md")).unwrap();

    let ran = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!(ran["changes"], json!({"new": 1, "changed": 1, "unchanged": 18, "gone": 1}));
    assert_eq!((&ran["embedded"], &ran["reused"]), (&json!(2), &json!(18)));
}

#[tokio::test]
async fn the_order_of_the_paths_changes_nothing() {
    let world = World::embedded().await;
    let (guides, reference) = (fixtures().join("docs/guides"), fixtures().join("docs/reference"));
    let (guides, reference) = (guides.to_str().unwrap(), reference.to_str().unwrap());
    let first = world.ingest(&["run", guides, reference, "--json"]).await.ok().json();
    let second = world.ingest(&["run", reference, guides, "--json"]).await.ok().json();
    assert_eq!(second["chunks"], first["chunks"]);
    assert_eq!((&second["embedded"], &second["changes"]["unchanged"]), (&json!(0), &first["documents"]));
}

#[tokio::test]
async fn an_empty_folder_or_one_that_does_not_exist_fails_and_the_live_generation_stays() {
    let world = World::embedded().await;
    documents(&world, 2);
    let before = world.publish().await;
    std::fs::create_dir(world.path().join("empty")).unwrap();

    let empty = world.ingest(&["run", "empty"]).await;
    assert_eq!(empty.code, 1);
    assert!(empty.stderr.contains("error: nothing to ingest in `empty`"), "{empty:?}");
    let missing = world.ingest(&["run", "nowhere", "--json"]).await;
    assert_eq!((missing.code, &missing.json()["exit_code"]), (1, &json!(1)));
    assert!(missing.stderr.contains("error: cannot read `nowhere`\ncaused by: No such file"), "{missing:?}");
    assert_eq!(live(&world).await, json!(before));
    assert_eq!(states(&world).await, ["live"]);
}

#[tokio::test]
async fn broken_documents_are_named_with_their_reason_and_the_others_published() {
    let world = World::embedded().await;
    let folder = world.documents();
    std::fs::create_dir_all(&folder).unwrap();
    for file in std::fs::read_dir(fixtures().join("bad")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    std::os::unix::fs::symlink("nothing.md", folder.join("broken-link.md")).unwrap();
    std::fs::write(folder.join("picture.png"), "x").unwrap();

    let ran = world.ingest(&["run", "documents"]).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    for line in [
        "skipped documents/broken-link.md: cannot be read: No such file",
        "skipped documents/empty.html: has no text in it",
        "skipped documents/nul.md: is not text: it holds a NUL byte at offset 6",
        "skipped documents/torn-utf16.txt: is not valid UTF-16LE",
        "not a supported format: 1 .png",
        "2 documents (2 new",
        "published (first) -> docs@",
    ] {
        assert!(ran.stdout.contains(line), "`{line}` in {}", ran.stdout);
    }
}

#[tokio::test]
async fn a_gate_that_refuses_publishes_nothing_and_can_be_overruled_with_a_reason() {
    let world = World::embedded().await;
    documents(&world, 20);
    let before = world.publish().await;
    for number in 1..20 {
        std::fs::remove_file(world.documents().join(format!("{number}.md"))).unwrap();
    }
    let refused = world.ingest(&["run", "documents", "--json"]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert_eq!((&refused.json()["moved"], &refused.json()["documents"]), (&json!(false), &json!(1)));
    assert_eq!(live(&world).await, json!(before));
    let staging = refused.json()["generation"].as_str().unwrap().to_owned();
    assert_eq!(world.ingest(&["gate", &staging]).await.code, 3);
    assert_eq!(world.ingest(&["publish", &staging]).await.code, 3);
    assert_eq!(world.ingest(&["publish", &staging, "--force", " "]).await.code, 1);
    world.ingest(&["publish", &staging, "--force", "the folder was split"]).await.ok();
    assert_eq!(live(&world).await, json!(staging));
}

#[tokio::test]
async fn a_rollback_goes_back_and_a_publish_forward_again() {
    let world = World::embedded().await;
    documents(&world, 3);
    let (first, second) = (world.publish().await, world.publish().await);
    let back = world.ingest(&["rollback", "--json"]).await.ok().json();
    assert_eq!((&back["from"], &back["to"]), (&json!(second), &json!(first)));
    assert_eq!(live(&world).await, json!(first));
    let forward = world.ingest(&["publish", &second]).await.ok();
    assert!(forward.stdout.contains(&format!("published {first} -> {second}")), "{forward:?}");
}

#[tokio::test]
async fn a_plan_tells_the_cost_and_writes_no_generation() {
    let world = World::embedded().await;
    documents(&world, 3);
    let plan = world.ingest(&["plan", "documents", "--json"]).await.ok().json();
    assert_eq!((&plan["documents"], &plan["to_embed"]), (&json!(3), &json!(3)));
    assert!(plan["tokens_to_embed"].as_u64().unwrap() > 0);
    assert_eq!(world.provider.embeddings().calls, 0);
    assert_eq!(states(&world).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_costs_what_its_plan_foretold() {
    let mut world = World::embedded().await;
    documents(&world, 3);
    world.set("LECTERN_INGEST__PRICE_PER_MILLION_TOKENS", "250000");
    let plan = world.ingest(&["plan", "documents", "--json"]).await.ok().json();
    let by_hand = plan["tokens_to_embed"].as_f64().unwrap() / 4.0;
    assert!((plan["cost"].as_f64().unwrap() - by_hand).abs() < 1e-6, "{plan}");
    let ran = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!((&ran["tokens_embedded"], &ran["cost"]), (&plan["tokens_to_embed"], &plan["cost"]));
    let again = world.ingest(&["run", "documents"]).await.ok();
    assert!(again.stdout.contains("0 embedded (0 tokens, about 0.0000 at the price set)"), "{again:?}");
}

#[tokio::test]
async fn an_embedder_that_is_down_fails_the_run_with_a_remedy() {
    let mut world = World::embedded().await;
    documents(&world, 3);
    let before = world.publish().await;
    world.write("new.md", "Something that is not in the cache.");
    world.set("LECTERN_INGEST__EMBED_SECONDS", "2");
    world.provider.set(|knobs| knobs.failures = vec![Failure::always(503)]);
    let ran = world.ingest(&["run", "documents"]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("error: the chunks could not be embedded: check the `embedder` section"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("caused by: "), "{ran:?}");
    assert_eq!(live(&world).await, json!(before));
    assert_eq!(states(&world).await, ["live", "incomplete"]);
}

#[tokio::test]
async fn a_provider_that_fails_now_and_then_costs_patience_but_no_document() {
    let world = World::embedded().await;
    documents(&world, 40);
    world.provider.set(|knobs| knobs.failures = vec![Failure::share(429, 0.3)]);
    let ran = world.ingest(&["run", "documents", "--json"]).await.ok().json();
    assert_eq!((&ran["documents"], &ran["embedded"]), (&json!(40), &json!(40)));
}

#[tokio::test]
async fn vectors_of_another_dimension_are_refused_before_anything_is_published() {
    let world = World::embedded().await;
    documents(&world, 2);
    world.provider.set(|knobs| knobs.dimension = 32);
    let ran = world.ingest(&["run", "documents"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("dimension"), "{ran:?}");
    assert_eq!(live(&world).await, Value::Null);
}

/// Bounds the size of every file that the program writes, as a full disk does; the signal that the system sends with it
/// is ignored, so that writing fails with an error.
async fn with_small_files(world: &World, kibibytes: u32) -> Ran {
    let program = binaries::path("lectern-ingest");
    let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec {} run documents", program.display());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).envs(world.settings().iter().cloned()).current_dir(world.path());
    tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_while_building_leaves_the_live_generation_and_publishes_nothing() {
    let world = World::embedded().await;
    documents(&world, 3);
    let before = world.publish().await;
    for kibibytes in [256, 1_024, 16_384] {
        let ran = with_small_files(&world, kibibytes).await;
        assert_eq!(ran.code, 1, "{kibibytes} KiB: {ran:?}");
        assert!(ran.stderr.contains("error: "), "{ran:?}");
        assert_eq!(live(&world).await, json!(before), "{kibibytes} KiB");
    }
    assert!(states(&world).await.iter().all(|state| state != "complete"));
    world.publish().await;
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_moment_leaves_a_whole_alias_and_the_next_run_works() {
    let world = World::embedded().await;
    documents(&world, 300);
    let before = world.publish().await;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(20));
    for (round, wait_ms) in [10, 60, 150, 250, 400, 700].into_iter().enumerate() {
        world.write("0.md", &format!("# Document 0\n\nWritten for round {round}.\n"));
        let mut child = world.ingest_command(&["run", "documents"]).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let list = world.ingest(&["list", "--json"]).await.ok().json();
        let generations = list["generations"].as_array().unwrap();
        let live = generations.iter().find(|one| one["live"] == json!(true)).unwrap();
        assert_eq!((&live["state"], &live["documents"]), (&json!("live"), &json!(300)), "{list}");
    }
    let after = world.publish().await;
    assert!(after > before);
    assert_eq!(live(&world).await, json!(after));
    let incomplete = world.ingest(&["list", "--json"]).await.ok().json();
    for one in incomplete["generations"].as_array().unwrap().iter().filter(|one| one["state"] == "incomplete")
    {
        let refused = world.ingest(&["publish", one["generation"].as_str().unwrap()]).await;
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("is not complete"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_says_so_and_publishes_nothing() {
    let world = World::embedded().await;
    documents(&world, 50);
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_secs(30));
    let child = world.ingest_command(&["run", "documents"]).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while world.provider.embeddings().in_flight == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the provider was never called");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let ran: Ran =
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap().into()).await.unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("error: stopped as asked: nothing was published"), "{ran:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(states(&world).await, ["incomplete"]);
}

#[tokio::test]
async fn faults_of_the_configuration_and_of_the_command_line_are_told_together_with_their_keys() {
    let mut world = World::embedded().await;
    world.set("LECTERN_EMBEDDER__BATCH", "many");
    world.set("LECTERN_INGEST__COLOUR", "red");
    world.set("LECTERN_HTTP__BIND", "the server's, ignored here");
    let ran = world.ingest(&["list"]).await;
    assert_eq!(ran.code, 1);
    for key in ["embedder.batch", "ingest.colour"] {
        assert!(ran.stderr.contains(key), "{ran:?}");
    }
    assert!(!ran.stderr.contains("http"), "{ran:?}");
    assert_eq!(world.ingest(&["run"]).await.code, 2);
    assert_eq!(world.ingest(&["publish", "docs"]).await.code, 2);
    assert_eq!(world.ingest(&["--version"]).await.ok().stdout.trim(), "lectern-ingest 0.1.0");
}

#[tokio::test]
async fn an_evaluation_measures_every_mode_and_embeds_only_once() {
    let world = World::embedded().await;
    let folder = world.path().join("collection");
    std::fs::create_dir_all(folder.join("qrels")).unwrap();
    let texts = ["pumps move water", "sensors measure levels", "batteries last six years"];
    let line = |(n, text)| json!({"_id": format!("d{n}"), "title": "", "text": text}).to_string();
    let corpus: Vec<String> = texts.into_iter().enumerate().map(line).collect();
    std::fs::write(folder.join("corpus.jsonl"), corpus.join("\n")).unwrap();
    let query = json!({"_id": "q", "text": "which sensors measure levels"});
    std::fs::write(folder.join("queries.jsonl"), format!("{query}\n")).unwrap();
    std::fs::write(folder.join("qrels/test.tsv"), "query-id\tcorpus-id\tscore\nq\td1\t1\n").unwrap();
    let arguments = ["eval", "--dataset", "collection", "--cache", "vectors.db", "--json"];
    let first = world.ingest(&arguments).await.ok().json();
    assert_eq!(
        (&first["documents"], &first["questions"], &first["embedded"]),
        (&json!(3), &json!(1), &json!(4))
    );
    let modes: Vec<&Value> = first["modes"].as_array().unwrap().iter().map(|one| &one["mode"]).collect();
    assert_eq!(modes, [&json!("dense"), &json!("sparse"), &json!("hybrid")]);
    for mode in first["modes"].as_array().unwrap() {
        assert_eq!((&mode["ndcg_at_10"], &mode["recall_at_100"]), (&json!(1.0), &json!(1.0)), "{mode}");
    }
    assert_eq!(world.ingest(&arguments).await.ok().json()["embedded"], json!(0));
    assert_eq!(states(&world).await, Vec::<String>::new());
}
