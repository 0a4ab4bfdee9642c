//! The test server, driven by the real client over a real socket.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod aliases;
mod collections;
mod filters;
mod lifecycle;
mod points;
mod queries;

use std::collections::HashMap;

use lectern_test_qdrant::TestQdrant;
use qdrant_client::qdrant::{
    CreateCollectionBuilder, Distance, Modifier, NamedVectors, PointStruct, QueryResponse, ScoredPoint,
    SparseVectorParamsBuilder, SparseVectorsConfigBuilder, UpsertPointsBuilder, Value, Vector,
    VectorParamsBuilder, VectorsConfigBuilder, point_id::PointIdOptions,
};
use qdrant_client::{Payload, Qdrant, QdrantError};
use serde_json::json;
use tonic::Code;

/// Name of the collection that most tests use.
pub(crate) const BOOKS: &str = "books@1";

/// A server, and a client of it.
pub(crate) struct Fixture {
    pub(crate) server: TestQdrant,
    pub(crate) client: Qdrant,
}

/// A server without any collection.
pub(crate) async fn empty() -> Fixture {
    let server = TestQdrant::start().await;
    let client = client(&server.url(), None);
    Fixture { server, client }
}

/// A server with [`BOOKS`]: six points, see [`books`].
pub(crate) async fn with_books() -> Fixture {
    let fixture = empty().await;
    fixture.client.create_collection(layout(BOOKS)).await.unwrap();
    fixture.client.upsert_points(UpsertPointsBuilder::new(BOOKS, books()).wait(true)).await.unwrap();
    fixture
}

pub(crate) fn client(url: &str, key: Option<&str>) -> Qdrant {
    let mut config = Qdrant::from_url(url).skip_compatibility_check();
    config.set_timeout(std::time::Duration::from_secs(20));
    if let Some(key) = key {
        config = config.api_key(key);
    }
    config.build().unwrap()
}

/// A dense vector of four elements, a sparse one with IDF, and metadata.
pub(crate) fn layout(name: &str) -> CreateCollectionBuilder {
    let mut dense = VectorsConfigBuilder::default();
    dense.add_named_vector_params("dense", VectorParamsBuilder::new(4, Distance::Cosine));
    let mut sparse = SparseVectorsConfigBuilder::default();
    sparse.add_named_vector_params("bm25", SparseVectorParamsBuilder::default().modifier(Modifier::Idf));
    CreateCollectionBuilder::new(name)
        .vectors_config(dense)
        .sparse_vectors_config(sparse)
        .metadata(metadata(json!({"manifest": "one", "kept": 7})))
}

/// Metadata as the client takes it.
pub(crate) fn metadata(object: serde_json::Value) -> HashMap<String, serde_json::Value> {
    serde_json::from_value(object).unwrap()
}

/// Metadata as the server gives it.
pub(crate) fn stored(object: serde_json::Value) -> HashMap<String, Value> {
    Payload::try_from(object).unwrap().into()
}

/// Six points. Along the first axis of the dense space they are ordered 1, 2, 3, 4, 5, 6; the term 10 is in 4, 5 and
/// 6, heaviest in 6; the term 20 in 1 alone.
fn books() -> Vec<PointStruct> {
    vec![
        book(1, [1.0, 0.0, 0.0, 0.0], &[(20, 1.0)], json!({"lang": "en", "year": 1999, "tags": ["a", "b"]})),
        book(2, [0.9, 0.1, 0.0, 0.0], &[], json!({"lang": "de", "year": 2005, "tags": [], "draft": true})),
        book(3, [0.8, 0.3, 0.0, 0.0], &[], json!({"lang": "en", "year": 2010, "gone": null, "draft": false})),
        book(4, [0.6, 0.6, 0.0, 0.0], &[(10, 1.0)], json!({"lang": "fr", "at": "2024-03-01T00:00:00Z"})),
        book(5, [0.3, 0.9, 0.0, 0.0], &[(10, 2.0)], json!({"lang": "en", "at": "2025-03-01T00:00:00Z"})),
        book(
            6,
            [0.1, 0.0, 0.9, 0.0],
            &[(10, 3.0)],
            json!({"lang": "de", "title": "An Essay on Rust",
            "parts": [{"name": "x", "pages": 3}, {"name": "y", "pages": 90}]}),
        ),
    ]
}

pub(crate) fn book(
    id: u64,
    dense: [f32; 4],
    sparse: &[(u32, f32)],
    payload: serde_json::Value,
) -> PointStruct {
    let mut vectors = NamedVectors::default().add_vector("dense", dense.to_vec());
    if !sparse.is_empty() {
        vectors = vectors.add_vector("bm25", Vector::from(sparse.to_vec()));
    }
    PointStruct::new(id, vectors, Payload::try_from(payload).unwrap())
}

pub(crate) fn ids(response: &QueryResponse) -> Vec<u64> {
    response.result.iter().map(id).collect()
}

pub(crate) fn id(hit: &ScoredPoint) -> u64 {
    number(hit.id.as_ref())
}

pub(crate) fn number(id: Option<&qdrant_client::qdrant::PointId>) -> u64 {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(PointIdOptions::Num(number)) => *number,
        other => panic!("not a number: {other:?}"),
    }
}

/// The status of a call that failed.
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, QdrantError>) -> (Code, String) {
    match outcome {
        Err(QdrantError::ResponseError { status }) => (status.code(), status.message().to_owned()),
        Err(QdrantError::ResourceExhaustedError { status, .. }) => {
            (status.code(), status.message().to_owned())
        }
        other => panic!("no status: {other:?}"),
    }
}

pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, QdrantError>) -> Code {
    refusal(outcome).0
}
