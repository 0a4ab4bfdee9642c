//! Builds that are killed, and what the next run makes of what they left: the same content as if nothing had happened,
//! nothing embedded twice but what was on its way, and no leftover.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is a failed test, and its figures are for the reader"
)]

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_schema::fingerprint::{Embedding, Encoding, Pooling};
use lectern_schema::identifiers::AliasName;
use lectern_search::config::{StoreKind, StoreSection};
use lectern_search::query::{Arms, Limit, Query};
use lectern_tests::world::World;
use serde_json::{Value, json};

/// Documents of one chunk: as many as one search returns at most.
const DOCUMENTS: usize = 900;
/// Texts of one call to the embedder, so that the calls of a run are many.
const TEXTS_PER_CALL: usize = 2;
/// Kills in CI; by hand, `LECTERN_TEST_KILLS=30`.
const KILLS: u32 = 4;
const PATIENCE: Duration = Duration::from_mins(1);

fn kills() -> u32 {
    std::env::var("LECTERN_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

/// One world with its documents, in which each round begins with an empty store and an empty registry.
struct Rounds {
    world: World,
    round: u32,
}

impl Rounds {
    fn new(mut world: World) -> Self {
        world.set("LECTERN_EMBEDDER__BATCH", &TEXTS_PER_CALL.to_string());
        world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(30));
        for n in 0..DOCUMENTS {
            let text = format!("# Page {n}\n\nTank {n} of hall {} holds {} litres.\n", n % 7, n * n);
            world.write(&format!("{}/{n}.md", n % 10), &text);
        }
        Self { world, round: 0 }
    }

    fn begin(&mut self) {
        self.round += 1;
        let data = self.world.path().join(format!("data-{}", self.round));
        self.world.set("LECTERN_STORE__PATH", data.to_str().unwrap());
        self.world.set("LECTERN_STORE__ALIAS", &self.alias());
        self.world.set("LECTERN_SQL__URL", &format!("sqlite:{}", data.join("lectern.db").display()));
    }

    fn alias(&self) -> String {
        format!("round-{}", self.round)
    }

    fn start(&self) -> Child {
        let mut command = self.world.ingest_command(&["run", "documents"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    async fn killed_after(&self, moment: Duration) {
        let mut child = self.start();
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    async fn run(&self) -> Value {
        self.world.ingest(&["run", "documents", "--json"]).await.ok().json()
    }

    async fn states(&self) -> Vec<String> {
        let list = self.world.ingest(&["list", "--json"]).await.ok().json();
        let generations = list["generations"].as_array().unwrap();
        generations.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    }

    /// All chunks of the live generation, as a search finds them: payload, and the score that its vector gives it.
    async fn chunks(&self) -> BTreeMap<String, (String, Value)> {
        let section = self.section();
        let store = lectern_search::connect(&section, &RetrySection::default()).await.unwrap();
        let soon = || Deadline::after(Instant::now(), PATIENCE);
        let generation = store.resolve(&section.alias, soon()).await.unwrap().live;
        let embedding =
            Embedding { model: "hashed-words".to_owned(), dimension: 64, pooling: Pooling::Provider };
        let encoding = Encoding::current(embedding);
        let collection = store.open(&generation, &encoding, soon()).await.unwrap();
        let uneven = (1..=64_u8).map(f32::from).collect();
        let arms = Arms::Dense(DenseVector::parse(uneven).unwrap());
        let query = Query { arms, filter: None, limit: Limit::parse(1_000).unwrap() };
        let hits = collection.search(&query, soon()).await.unwrap();
        let told = hits.into_iter().map(|hit| {
            (
                hit.chunk_id.to_string(),
                (format!("{:.5}", hit.score), serde_json::to_value(&hit.payload).unwrap()),
            )
        });
        told.collect()
    }

    fn section(&self) -> StoreSection {
        let path = self.world.path().join(format!("data-{}", self.round));
        let alias = AliasName::parse(&self.alias()).unwrap();
        match &self.world.qdrant {
            None => StoreSection { path, alias, ..StoreSection::default() },
            Some(qdrant) => StoreSection {
                kind: StoreKind::Qdrant,
                url: Some(qdrant.url().parse().unwrap()),
                alias,
                ..StoreSection::default()
            },
        }
    }

    fn calls(&self) -> usize {
        self.world.provider.embeddings().calls
    }
}

async fn killed_and_resumed(world: World) {
    let mut rounds = Rounds::new(world);
    rounds.begin();
    let began = Instant::now();
    let undisturbed = rounds.run().await;
    let whole_run = began.elapsed();
    let (calls, chunks) = (rounds.calls(), rounds.chunks().await);
    // A few more, since the gates embed a sample of the texts again.
    let for_the_build = DOCUMENTS / TEXTS_PER_CALL;
    assert!((for_the_build..=for_the_build + 2).contains(&calls), "{calls}");
    assert_eq!(chunks.len(), DOCUMENTS);

    for kill in 0..kills() {
        rounds.begin();
        let before = rounds.calls();
        // Moments without a pattern, and the same ones in every run of the test.
        let share = f64::from(kill + 1) * 0.618_034 % 1.0;
        rounds.killed_after(whole_run.mul_f64(share)).await;
        let resumed = rounds.run().await;
        let shown = format!("killed at {share:.3} of {whole_run:?}: {resumed}");
        assert_eq!(resumed["content"], undisturbed["content"], "{shown}");
        assert_eq!(rounds.chunks().await, chunks, "{shown}");
        let states = rounds.states().await;
        assert!(
            states.iter().all(|state| ["live", "complete"].contains(&state.as_str())),
            "{states:?} {shown}"
        );
        let twice = (rounds.calls() - before).saturating_sub(calls);
        assert!(twice * 50 <= calls, "{twice} calls more than {calls}: {shown}");
        println!("{share:.3}: {twice} calls more than {calls}, resumed {}", resumed["resumed"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_gone_on_with_in_the_embedded_store() {
    killed_and_resumed(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_gone_on_with_in_qdrant() {
    killed_and_resumed(World::remote().await).await;
}

/// Killed once half of the documents are in the staging generation, so that there is something to keep.
async fn half_built(rounds: &mut Rounds) {
    rounds.begin();
    rounds.world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(40));
    let before = rounds.calls();
    let mut child = rounds.start();
    let begun = Instant::now();
    while rounds.calls() - before < DOCUMENTS / TEXTS_PER_CALL * 4 / 5 {
        assert!(begun.elapsed() < PATIENCE, "the provider is not called");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    rounds.world.provider.set(|knobs| knobs.delay_before_headers = Duration::ZERO);
}

async fn changed_and_resumed(world: World) {
    let mut rounds = Rounds::new(world);
    half_built(&mut rounds).await;
    rounds.world.write("0/0.md", "# Page 0\n\nTank 0 was emptied.\n");
    std::fs::remove_file(rounds.world.documents().join("0/10.md")).unwrap();
    rounds.world.write("0/20.md", "");
    let resumed = rounds.world.ingest(&["run", "documents", "--json"]).await;
    assert_eq!(resumed.code, 4, "{resumed:?}");
    let resumed = resumed.json();
    assert!(100 < resumed["resumed"].as_u64().unwrap(), "{resumed}");
    assert_eq!(resumed["documents"], json!(DOCUMENTS - 2));
    let chunks = rounds.chunks().await;

    rounds.begin();
    let anew = rounds.world.ingest(&["run", "documents", "--json"]).await.json();
    assert_eq!((&anew["content"], &anew["resumed"]), (&resumed["content"], &Value::Null));
    assert_eq!(rounds.chunks().await, chunks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_the_kill_is_seen_in_the_embedded_store() {
    changed_and_resumed(World::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_the_kill_is_seen_in_qdrant() {
    changed_and_resumed(World::remote().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_with_other_settings_begins_anew_and_removes_the_dead_one() {
    let mut rounds = Rounds::new(World::embedded().await);
    half_built(&mut rounds).await;
    assert_eq!(rounds.states().await, ["incomplete"]);
    rounds.world.set("LECTERN_INGEST__CHUNK_TOKENS", "100");
    assert_eq!(rounds.run().await["resumed"], Value::Null);
    assert_eq!(rounds.states().await, ["live"]);
    let data = rounds.world.path().join("data-1/collections");
    assert_eq!(std::fs::read_dir(data).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_whose_builder_lives_is_left_to_it() {
    let mut rounds = Rounds::new(World::embedded().await);
    rounds.begin();
    rounds.world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(60));
    let mut living = rounds.start();
    let begun = Instant::now();
    while rounds.calls() < 100 {
        assert!(begun.elapsed() < PATIENCE, "the provider is not called");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rounds.world.write("other/0.md", "Something else.");
    let other = rounds.world.ingest(&["build", "documents/other", "--json"]).await.ok().json();
    assert_eq!((&other["resumed"], &other["documents"]), (&Value::Null, &json!(1)));
    assert!(living.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_content_is_the_same_whatever_the_order_and_the_number_of_readers() {
    let mut rounds = Rounds::new(World::embedded().await);
    rounds.begin();
    let forward: Vec<String> = (0..10).map(|folder| format!("documents/{folder}")).collect();
    let mut arguments = vec!["run", "--json"];
    arguments.extend(forward.iter().map(String::as_str));
    let first = rounds.world.ingest(&arguments).await.ok().json();
    rounds.begin();
    rounds.world.set("LECTERN_INGEST__READERS", "5");
    let (run, folders) = arguments.split_at_mut(2);
    folders.reverse();
    let second = rounds.world.ingest(&[&*run, &*folders].concat()).await.ok().json();
    assert_eq!(second["content"], first["content"]);
    let list = rounds.world.ingest(&["list", "--json"]).await.ok().json();
    assert_eq!(list["generations"][0]["content"], first["content"]);

    rounds.world.write("3/3.md", "# Page 3\n\nSomething else.\n");
    assert_ne!(rounds.world.ingest(&arguments).await.ok().json()["content"], first["content"]);
}
