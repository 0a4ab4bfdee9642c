//! Documents that are erased by command: gone from every generation, and they never come back unasked.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use lectern_tests::world::World;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(1);
const SECRET: &str = "documents/secret.md";

fn with_secret(world: &World) {
    for n in 0..20 {
        world.write(&format!("{n}.md"), &format!("# Page {n}\n\nTank {n} holds {} litres.\n", n * n));
    }
    world.write("secret.md", "# Secret\n\nThe xylophone is hidden in hall nine.\n");
}

async fn delete(world: &World) -> Value {
    world.ingest(&["delete", "--document", SECRET, "--reason", "asked for", "--json"]).await.ok().json()
}

/// Whether a server finds the erased document, and how many others.
async fn found(world: &World) -> (bool, usize) {
    let server = world.serve();
    server.ready().await;
    let reply = server.post("/v1/search", &json!({ "query": "xylophone tank litres", "limit": 100 })).await;
    server.kill();
    let hits = reply.body["hits"].as_array().unwrap().clone();
    let is_secret = |hit: &&Value| hit["document_id"] == json!(SECRET);
    let secret = hits.iter().filter(is_secret).count();
    (secret > 0, hits.len() - secret)
}

async fn list(world: &World) -> Vec<Value> {
    let list = world.ingest(&["list", "--json"]).await.ok().json();
    list["generations"].as_array().unwrap().clone()
}

async fn erased_everywhere(world: World) {
    with_secret(&world);
    world.publish().await;
    world.publish().await;
    assert_eq!(found(&world).await, (true, 20));

    let told = delete(&world).await;
    let told = told["generations"].as_array().unwrap();
    assert_eq!(told.iter().map(|one| one["live"].clone()).collect::<Vec<_>>(), [json!(true), json!(false)]);
    assert!(told.iter().all(|one| one["chunks"] == json!(1) && one["still_open"].is_null()), "{told:?}");
    assert_eq!(found(&world).await, (false, 20));
    assert!(list(&world).await.iter().all(|one| one["documents"] == json!(20)));
    world.ingest(&["verify"]).await.ok();

    world.ingest(&["rollback"]).await.ok();
    assert_eq!(found(&world).await, (false, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_document_is_gone_from_the_live_and_from_kept_generations_of_the_embedded_store() {
    erased_everywhere(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_document_is_gone_from_the_live_and_from_kept_generations_of_qdrant() {
    erased_everywhere(World::remote().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_run_skips_an_erased_document_until_it_is_allowed_again() {
    let world = World::embedded().await;
    with_secret(&world);
    world.publish().await;
    delete(&world).await;
    let ran = world.ingest(&["run", "documents"]).await;
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("skipped documents/secret.md: was deleted on 2"), "{ran:?}");
    assert!(ran.stdout.contains(": asked for; to ingest it again"), "{ran:?}");
    assert_eq!(found(&world).await, (false, 20));
    world.ingest(&["run", "documents", "--undelete", SECRET]).await.ok();
    assert_eq!(found(&world).await, (true, 20));
}

async fn erased_from_a_canary(world: World) {
    with_secret(&world);
    world.publish().await;
    let built = world.ingest(&["build", "documents", "--json"]).await.ok().json();
    let canary = built["generation"].as_str().unwrap();
    world.ingest(&["publish", canary, "--canary", "50"]).await.ok();
    delete(&world).await;
    let states: Vec<Value> = list(&world).await.iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["live", "canary"]);
    assert_eq!(found(&world).await, (false, 20));
    world.ingest(&["promote"]).await.ok();
    assert_eq!(found(&world).await, (false, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_goes_on_without_an_erased_document_in_the_embedded_store() {
    erased_from_a_canary(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_goes_on_without_an_erased_document_in_qdrant() {
    erased_from_a_canary(World::remote().await).await;
}

/// Erases by what the documents say of themselves, while a build is under way that has read one more of them.
async fn erased_by_a_filter(world: World) {
    const HIDDEN: &str = "---\nkind: hidden\n---\n\nThe xylophone is hidden in hall nine.\n";
    with_secret(&world);
    world.write("secret.md", HIDDEN);
    world.publish().await;
    for n in 0..200 {
        world.write(&format!("more/{n}.md"), &format!("# More {n}\n\nValve {n} is shut.\n"));
    }
    world.write("another.md", &HIDDEN.replace("nine", "ten"));
    let before = world.provider.embeddings().calls;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(700));
    let mut child = world
        .ingest_command(&["build", "documents"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while world.provider.embeddings().calls < before + 3 {
        assert!(begun.elapsed() < PATIENCE, "the provider is not called");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = world.ingest(&["delete", "--filter", r#"{"kind": "hidden"}"#, "--json"]).await.ok().json();
    assert_eq!(told["documents"], json!([SECRET]));
    assert_eq!(found(&world).await, (false, 20));
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
    assert!(child.wait().unwrap().success());
    let built = list(&world).await;
    assert_eq!(built.iter().map(|one| one["documents"].clone()).max_by_key(Value::as_u64), Some(json!(220)));
    let nothing = world.ingest(&["delete", "--filter", r#"{"kind": "hidden"}"#]).await.ok();
    assert!(nothing.stdout.contains("no complete generation holds them"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_pass_a_filter_are_erased_and_left_out_of_a_build_under_way_in_the_embedded_store() {
    erased_by_a_filter(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_pass_a_filter_are_erased_and_left_out_of_a_build_under_way_in_qdrant() {
    erased_by_a_filter(World::remote().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_cannot_be_read_is_refused_before_anything_happens() {
    let world = World::embedded().await;
    for (filter, said) in
        [("kind=hidden", "is not JSON"), (r#"{"a": {"$near": 1}}"#, "`$near` of `metadata.a`")]
    {
        let refused = world.ingest(&["delete", "--filter", filter]).await;
        assert!(refused.code == 2 && refused.stderr.contains(said), "{refused:?}");
    }
}

/// Starts a run with the erased document in its sources, and comes back once the run embeds.
async fn erased_while_building(world: World, kill: bool) {
    with_secret(&world);
    world.publish().await;
    for n in 0..200 {
        world.write(&format!("more/{n}.md"), &format!("# More {n}\n\nValve {n} is shut.\n"));
    }
    let before = world.provider.embeddings().calls;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(700));
    let mut command = world.ingest_command(&["run", "documents"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while world.provider.embeddings().calls < before + 3 {
        assert!(begun.elapsed() < PATIENCE, "the provider is not called");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if kill {
        child.kill().unwrap();
        child.wait().unwrap();
        delete(&world).await;
        std::fs::remove_file(world.documents().join("secret.md")).unwrap();
        world.publish().await;
    } else {
        delete(&world).await;
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(list(&world).await.iter().find(|one| one["live"] == json!(true)).unwrap()["documents"], 220);
    let (secret, _) = found(&world).await;
    assert!(!secret, "the erased document is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_in_progress_does_not_bring_an_erased_document_back() {
    let mut world = World::embedded().await;
    world.set("LECTERN_EMBEDDER__BATCH", "8");
    erased_while_building(world, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_in_progress_does_not_bring_an_erased_document_back_in_qdrant() {
    let mut world = World::remote().await;
    world.set("LECTERN_EMBEDDER__BATCH", "8");
    erased_while_building(world, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_gone_on_with_does_not_bring_an_erased_document_back() {
    erased_while_building(World::embedded().await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_built_before_the_erasure_is_published_without_the_document() {
    let world = World::embedded().await;
    with_secret(&world);
    let built = world.ingest(&["build", "documents", "--json"]).await.ok().json();
    delete(&world).await;
    let list = list(&world).await;
    let successor = list.iter().find(|one| one["state"] == json!("complete")).unwrap()["generation"].clone();
    assert_ne!(successor, built["generation"]);
    let gone = world.ingest(&["publish", built["generation"].as_str().unwrap()]).await;
    assert!(gone.code == 1 && gone.stderr.contains(successor.as_str().unwrap()), "{gone:?}");
    world.ingest(&["publish", successor.as_str().unwrap()]).await.ok();
    assert_eq!(found(&world).await, (false, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_the_generation_open_moves_on_and_the_old_one_goes() {
    let world = World::embedded().await;
    with_secret(&world);
    let old = world.publish().await;
    let server = world.serve();
    server.ready().await;
    let told = delete(&world).await;
    assert_eq!(told["generations"][0]["still_open"], Value::Null, "{told}");
    let reply = server.post("/v1/search", &json!({ "query": "xylophone", "limit": 100 })).await;
    assert!(!reply.body.to_string().contains(SECRET), "{}", reply.body);
    assert!(!world.path().join("data/collections").join(old).exists());
}

#[tokio::test]
async fn an_unknown_document_is_refused_with_the_names_most_like_it() {
    let world = World::embedded().await;
    with_secret(&world);
    world.publish().await;
    let refused = world.ingest(&["delete", "--document", "documents/secrets.md"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("the names most like it are `documents/secret.md`"), "{refused:?}");
}
