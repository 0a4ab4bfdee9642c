//! What only the embedded store has: one process per generation, and files that a crash may leave.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::Poll;

use lectern_ingest::store::StoreError;
use lectern_schema::generation::Counts;
use lectern_schema::identifiers::GenerationId;
use lectern_search::Search as _;
use lectern_search::embedded::EmbeddedStore;
use lectern_search::error::{OpenError, SearchError};
use lectern_search::query::Arms;

use serde_json::json;

use crate::fixture::{Fixture, Home, corpus, counts, encoding, manifest, meaning, point, query, soon, words};

fn data(store: &Fixture) -> PathBuf {
    let Home::Directory(directory) = &store.home else { panic!("not an embedded store") };
    directory.path().join("data")
}

fn directory(store: &Fixture, generation: &GenerationId) -> PathBuf {
    data(store).join("collections").join(generation.as_str())
}

/// Another process that has a generation open, until it is dropped.
struct Reader(Child);

impl Reader {
    fn of(data: &Path, generation: &GenerationId) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "embedded::another_process_reads"])
            .env("CONTRACT_READS", format!("{}|{generation}", data.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("generation is open")), "the reader did not open it");
        // Reading on keeps the pipe open without keeping the test.
        std::thread::spawn(move || lines.count());
        Self(process)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "the other process of the tests below"]
async fn another_process_reads() {
    let Ok(told) = std::env::var("CONTRACT_READS") else { return };
    let (data, generation) = told.split_once('|').unwrap();
    let generation = GenerationId::parse(generation).unwrap();
    let store = EmbeddedStore::new(Path::new(data));
    let _collection = store.open(&generation, &encoding(), soon()).await.unwrap();
    println!("\ngeneration is open");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[tokio::test]
async fn a_search_is_not_computed_on_the_thread_that_asks() {
    let store = Fixture::embedded().await;
    let collection = store.open(&store.built(corpus()).await).await;
    let query = query(Arms::Hybrid(meaning([1.0, 0.1, 0.0, 0.0]), words("cat")), 10);
    let mut pending = 0;
    for _ in 0..20 {
        let mut searching = collection.search(&query, soon());
        // Computed here, it would be there at the first look, each time.
        let hits = match futures::poll!(&mut searching) {
            Poll::Ready(hits) => hits,
            Poll::Pending => {
                pending += 1;
                searching.await
            }
        };
        assert!(!hits.unwrap().is_empty());
    }
    assert!(pending > 0);
}

#[tokio::test]
async fn a_generation_held_by_another_process_is_neither_opened_nor_deleted_and_the_holder_is_named() {
    let store = Fixture::embedded().await;
    let generation = store.built(corpus()).await;
    let reader = Reader::of(&data(&store), &generation);
    let process = format!("process {} (", reader.0.id());
    let refused = store.try_open(&generation).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::Held { holder, .. } if holder.starts_with(&process)),
        "{refused:?}"
    );
    let refused = store.write.delete(&generation).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Held { holder, .. } if holder.starts_with(&process)),
        "{refused:?}"
    );
    drop(reader);
    store.open(&generation).await;
}

#[tokio::test]
async fn a_generation_being_built_is_held_against_other_writers() {
    let store = Fixture::embedded().await;
    let building = store.begun().await;
    let other = lectern_ingest::store::embedded::EmbeddedStore::new(&data(&store));
    let refused = lectern_ingest::store::WriteStore::upsert(&other, &building.generation, corpus()).await;
    assert!(matches!(refused, Err(StoreError::Held { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_generation_opened_twice_is_one() {
    let store = Fixture::embedded().await;
    let generation = store.built(corpus()).await;
    let (first, second) = tokio::join!(store.open(&generation), store.open(&generation));
    assert!(Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &store.open(&generation).await));
}

#[tokio::test]
async fn a_sealed_generation_takes_no_more_points() {
    let store = Fixture::embedded().await;
    let generation = store.built(corpus()).await;
    let refused = store.write.upsert(&generation, corpus()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    store.open(&generation).await;
}

#[tokio::test]
async fn an_interrupted_build_is_continued_by_the_next_process() {
    let mut store = Fixture::embedded().await;
    let building = store.begun().await;
    store.write.upsert(&building.generation, corpus()).await.unwrap();
    // The next process knows nothing of this one's builds.
    store.write = Arc::new(lectern_ingest::store::embedded::EmbeddedStore::new(&data(&store)));
    store.write.upsert(&building.generation, corpus()).await.unwrap();
    store.write.seal(&building, counts(&corpus())).await.unwrap();
    store.open(&building.generation).await;
}

#[tokio::test]
async fn what_a_crash_left_is_listed_refused_and_can_be_deleted() {
    let store = Fixture::embedded().await;
    let (empty, torn) = (store.generation(), store.built(corpus()).await);
    fs::create_dir_all(directory(&store, &empty)).unwrap();
    fs::write(directory(&store, &torn).join("manifest.json"), "{\"generation\": \"docs@").unwrap();
    let listed = store.write.generations(&store.alias).await.unwrap();
    assert_eq!(listed.iter().filter(|stored| stored.manifest.is_none()).count(), 2);
    let refused = store.try_open(&empty).await.unwrap_err();
    assert!(matches!(refused, OpenError::Incomplete(_)), "{refused:?}");
    let refused = store.try_open(&torn).await.unwrap_err();
    assert!(matches!(refused, OpenError::Store(SearchError::Garbled(_))), "{refused:?}");
    for generation in [&empty, &torn] {
        store.write.delete(generation).await.unwrap();
    }
    assert_eq!(fs::read_dir(data(&store).join("collections")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_copied_generation_is_recognised_as_foreign() {
    let store = Fixture::embedded().await;
    let (original, copy) = (store.built(corpus()).await, store.generation());
    fs::create_dir_all(directory(&store, &copy)).unwrap();
    let file = directory(&store, &original).join("manifest.json");
    fs::copy(file, directory(&store, &copy).join("manifest.json")).unwrap();
    let refused = store.try_open(&copy).await.unwrap_err();
    assert!(matches!(refused, OpenError::Store(SearchError::Garbled(_))), "{refused:?}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_named_with_its_path() {
    let store = Fixture::embedded().await;
    fs::create_dir_all(data(&store)).unwrap();
    fs::write(data(&store).join("collections"), "a file where the directory would be").unwrap();
    let refused = store.write.create(&manifest(store.generation())).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Disk { path, .. } if path.ends_with("collections")),
        "{refused:?}"
    );
}

/// Run it with the directory of a small file system, made by `mount -t tmpfs -o size=200m tmpfs DIRECTORY`, in `SMALL_DISK`.
#[tokio::test]
#[ignore = "fills the disk that SMALL_DISK names"]
async fn a_disk_that_fills_while_building_is_named_and_nothing_looks_complete() {
    let directory = PathBuf::from(std::env::var("SMALL_DISK").unwrap()).join("data");
    let store = lectern_ingest::store::embedded::EmbeddedStore::new(&directory);
    let write: &dyn lectern_ingest::store::WriteStore = &store;
    let fixture = Fixture::embedded().await;
    let building = manifest(fixture.generation());
    write.create(&building).await.unwrap();
    let text = "word ".repeat(20_000);
    let mut written = 0;
    let full = loop {
        let points =
            (written..written + 20).map(|n| point(&format!("doc{n}"), &text, [1.0; 4], json!({}))).collect();
        match write.upsert(&building.generation, points).await {
            Ok(()) => written += 20,
            Err(fault) => break fault,
        }
    };
    assert!(
        matches!(&full, StoreError::Disk { source, .. } if source.kind() == ErrorKind::StorageFull),
        "{full:?}"
    );
    let sealed = write.seal(&building, Counts { documents: written, chunks: written }).await;
    let looks_complete =
        write.generations(&fixture.alias).await.unwrap()[0].manifest.as_ref().unwrap().counts();
    assert_eq!(looks_complete.is_some(), sealed.is_ok(), "{sealed:?}");
    println!("{written} points fitted; {full}; sealing: {sealed:?}");
    write.delete(&building.generation).await.unwrap();
}
