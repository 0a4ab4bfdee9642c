//! What all outages share: honest dependencies, and one liar beside each.
//! Never changes once it is set: faults are in the wires that lead to it.

use std::path::Path;
use std::process::Command;

use lectern_schema::embedding::{DENSE_VECTOR, SPARSE_VECTOR};
use lectern_schema::fingerprint::Sparse;
use lectern_search::bm25::Bm25;
use lectern_test_qdrant::TestQdrant;
use lectern_tests::postgres::{Database, Server};
use lectern_tests::provider::{Provider, Raw};
use lectern_tests::redis::Redis;
use lectern_tests::world::World;
use qdrant_client::qdrant::{
    NamedVectors, PointStruct, ScrollPointsBuilder, UpsertPointsBuilder, Vector, Vectors,
};
use qdrant_client::{Payload, Qdrant};
use tempfile::TempDir;
use tokio::sync::Mutex;

/// What every true answer and hit says.
pub(crate) const TRUTH: &str = "7443";
const DOCUMENT: &str = "# Ports\n\nThe gateway listens on port 7443.\n";

/// The dependencies.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Honest: the vector store, the embedder and the language model.
    pub(crate) world: World,
    /// Has the same alias and generation, whose points are no chunks.
    pub(crate) lying_store: TestQdrant,
    /// Its vectors have one element less than they should.
    pub(crate) lying_embedder: Provider,
    /// Answers everything with a page of HTML and status 200.
    pub(crate) page: Provider,
    /// The database server, and the database in it that all servers share as replicas do.
    pub(crate) postgres: Server,
    pub(crate) database: Database,
    /// The shared cache.
    pub(crate) redis: Redis,
    /// Held by whoever starts a server.
    pub(crate) opening: Mutex<()>,
    _folder: TempDir,
}

impl Stage {
    /// Starts everything, and publishes one document.
    pub(crate) async fn set() -> Self {
        let folder = TempDir::new().unwrap();
        let (honest, lying) = (folder.path().join("honest"), folder.path().join("lying"));
        let qdrant = TestQdrant::builder().directory(&honest).start().await.unwrap();
        let port = qdrant.port();
        let mut world = World::on(qdrant).await.with_llm();
        world.write("ports.md", DOCUMENT);
        let generation = world.publish().await;
        world.qdrant.take().unwrap().stop().await;
        copy(&honest, &lying);
        world.qdrant = Some(TestQdrant::builder().port(port).directory(&honest).start().await.unwrap());
        let lying_store = TestQdrant::builder().directory(&lying).start().await.unwrap();
        empty_the_points(&lying_store, &generation).await;
        let lying_embedder = Provider::start().await.unwrap();
        lying_embedder.set(|knobs| knobs.dimension -= 1);
        let page = Provider::start().await.unwrap();
        let html = b"<!doctype html><title>Sign in</title>".to_vec();
        page.set(|knobs| knobs.raw = Some(Raw { content_type: "text/html", body: html }));
        let (postgres, redis) = (Server::own().await, Redis::start());
        let database = postgres.database().await;
        Self {
            world,
            lying_store,
            lying_embedder,
            page,
            postgres,
            database,
            redis,
            opening: Mutex::default(),
            _folder: folder,
        }
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// Leaves every point where it would be found, with nothing in it.
async fn empty_the_points(store: &TestQdrant, generation: &str) {
    let client = Qdrant::from_url(&store.url()).build().unwrap();
    let points = client.scroll(ScrollPointsBuilder::new(generation).limit(100)).await.unwrap().result;
    assert!(!points.is_empty());
    let words = Bm25::new(&Sparse::default()).unwrap().document(DOCUMENT);
    let emptied = points.into_iter().map(|point| {
        let sparse = Vector::new_sparse(words.indices().to_vec(), words.values().to_vec());
        let vectors = NamedVectors::default()
            .add_vector(DENSE_VECTOR, Vector::new_dense(vec![0.125; 64]))
            .add_vector(SPARSE_VECTOR, sparse);
        PointStruct::new(point.id.unwrap(), Vectors::from(vectors), Payload::new())
    });
    let emptied = UpsertPointsBuilder::new(generation, emptied.collect::<Vec<_>>()).wait(true);
    client.upsert_points(emptied).await.unwrap();
}
