//! Makes stagings: reads what a good generation holds, and writes it again as somebody who went wrong would have.

use std::time::{Duration, Instant};

use lectern_ingest::chunk::represented::embedded;
use lectern_ingest::store::qdrant::settings::QdrantSection;
use lectern_ingest::store::{self, Point};
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_schema::fingerprint::Sparse;
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::GenerationId;
use lectern_search::bm25::Bm25;
use lectern_search::config::{StoreKind, StoreSection};
use lectern_tests::world::{Ran, World};
use serde_json::{Value, json};

/// A world with a published generation of two sources, `handbook` with 4 documents and `blog` with 24.
pub(crate) async fn published(world: &World) -> GenerationId {
    for number in 0..4 {
        write(
            world,
            "handbook",
            number,
            &format!("The leave policy grants {number} weeks of rest in year {number}."),
        );
    }
    for number in 0..24 {
        write(
            world,
            "blog",
            number,
            &format!("Pump {number} moves {number} litres of {} per hour.", word(number)),
        );
    }
    run(world, &[]).await.ok().json()["generation"].as_str().unwrap().parse().unwrap()
}

/// Words that no two documents share.
pub(crate) fn word(number: usize) -> String {
    ["water", "oil", "brine", "milk", "glycol", "ethanol"][number % 6].to_owned() + &"x".repeat(number / 6)
}

pub(crate) fn write(world: &World, folder: &str, number: usize, text: &str) {
    let folder = world.path().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{number}.md")), format!("# Entry {number}\n\n{text}\n")).unwrap();
}

/// Ingests both sources.
pub(crate) async fn run(world: &World, more: &[&str]) -> Ran {
    world.ingest(&[&["run", "handbook", "blog", "--json"], more].concat()).await
}

/// What the alias points at.
pub(crate) async fn live(world: &World) -> Value {
    world.ingest(&["list", "--json"]).await.ok().json()["live"].clone()
}

fn section(world: &World) -> StoreSection {
    match &world.qdrant {
        Some(qdrant) => StoreSection {
            kind: StoreKind::Qdrant,
            url: Some(qdrant.url().parse().unwrap()),
            ..StoreSection::default()
        },
        None => StoreSection { path: world.path().join("data"), ..StoreSection::default() },
    }
}

fn soon() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_secs(30))
}

/// A generation's manifest, and its points as they were written.
pub(crate) async fn read(world: &World, generation: &GenerationId) -> (Manifest, Vec<Point>) {
    let section = section(world);
    let writer = store::connect(&section, &QdrantSection::default()).unwrap();
    let stored = writer.generations(generation.alias()).await.unwrap();
    let manifest = stored.into_iter().find(|one| one.generation == *generation).unwrap().manifest.unwrap();
    let reader = lectern_search::connect(&section, &RetrySection::default()).await.unwrap();
    let encoding = &manifest.fingerprint.encoding;
    let collection = reader.open(generation, encoding, soon()).await.unwrap();
    let page = collection.page(None, soon()).await.unwrap();
    assert_eq!(page.next, None);
    let ids: Vec<_> = page.chunks.into_iter().map(|(id, _)| id).collect();
    let bm25 = Bm25::new(&Sparse::default()).unwrap();
    let mut points: Vec<Point> = Vec::new();
    for chunk in collection.chunks(&ids, soon()).await.unwrap() {
        let payload = chunk.payload.unwrap();
        let text = embedded(&payload, manifest.fingerprint.chunker.max_tokens).unwrap();
        let dense = DenseVector::parse(chunk.dense).unwrap();
        points.push(Point { id: chunk.chunk_id, dense, sparse: bm25.document(&text), payload });
    }
    points.sort_by(|a, b| a.payload.document_id.cmp(&b.payload.document_id));
    (manifest, points)
}

/// Writes and seals a staging generation.
pub(crate) async fn staged(world: &World, like: &Manifest, points: Vec<Point>) -> GenerationId {
    let writer = store::connect(&section(world), &QdrantSection::default()).unwrap();
    let generation = like.generation.next();
    let manifest = Manifest { generation: generation.clone(), state: BuildState::Building, ..like.clone() };
    let documents: std::collections::BTreeSet<_> =
        points.iter().map(|point| point.payload.document_id.clone()).collect();
    let number = |count: usize| u64::try_from(count).unwrap();
    let counts = Counts { documents: number(documents.len()), chunks: number(points.len()) };
    writer.create(&manifest).await.unwrap();
    writer.upsert(&generation, points).await.unwrap();
    writer.seal(&manifest, counts).await.unwrap();
    generation
}

/// The vector that the world's embedder gives for a text.
pub(crate) async fn vector(world: &World, text: &str) -> DenseVector {
    let url = format!("{}/embeddings", world.provider.url());
    let request = reqwest::Client::new().post(url).json(&json!({"model": "hashed-words", "input": [text]}));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    DenseVector::parse(serde_json::from_value(answer["data"][0]["embedding"].clone()).unwrap()).unwrap()
}

/// Tries to publish a staging: the names of the gates that refuse. Asserts that the alias stays where it is when any does.
pub(crate) async fn refusing(world: &World, staging: &GenerationId) -> Vec<String> {
    let before = live(world).await;
    let gated = world.ingest(&["gate", staging.as_str(), "--json"]).await;
    let refusing = refusals(&gated.json()["verdicts"]);
    let ran = world.ingest(&["publish", staging.as_str()]).await;
    if refusing.is_empty() {
        assert_eq!((gated.code, ran.code), (0, 0), "{ran:?}");
        assert_eq!(live(world).await, json!(staging));
    } else {
        assert_eq!((gated.code, ran.code), (3, 3), "{ran:?}");
        assert_eq!(live(world).await, before);
    }
    refusing
}

/// The names of the gates that refuse.
pub(crate) fn refusals(verdicts: &Value) -> Vec<String> {
    let refused = verdicts.as_array().unwrap().iter().filter(|verdict| verdict["passed"] == json!(false));
    refused.map(|verdict| verdict["gate"].as_str().unwrap().to_owned()).collect()
}

/// What a gate said.
pub(crate) fn detail(verdicts: &Value, gate: &str) -> String {
    let verdict = verdicts.as_array().unwrap().iter().find(|verdict| verdict["gate"] == json!(gate));
    verdict.unwrap_or_else(|| panic!("{gate} is not in {verdicts}"))["detail"].as_str().unwrap().to_owned()
}
