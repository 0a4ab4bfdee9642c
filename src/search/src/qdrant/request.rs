//! Queries in the words of Qdrant's Query API.
//! Never sends a request: it only writes one.

use lectern_schema::embedding::{DENSE_VECTOR, DenseVector, SPARSE_VECTOR, SparseVector};
use lectern_schema::identifiers::GenerationId;
use qdrant_client::qdrant::query::Variant;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    self, PrefetchQuery, QueryPoints, Rrf, VectorInput, WithPayloadSelector, vector_input,
};

use super::filter;
use crate::query::{Plan, Query, RRF_K};

/// The request for `ours`, to be answered within `timeout` seconds; `None` when there is nothing to search for.
pub(super) fn query(generation: &GenerationId, ours: &Query, timeout: u64) -> Option<QueryPoints> {
    let filter = ours.filter.as_ref().map(filter::convert);
    let request = QueryPoints {
        collection_name: generation.to_string(),
        limit: Some(ours.fetched()),
        with_payload: Some(WithPayloadSelector { selector_options: Some(SelectorOptions::Enable(true)) }),
        timeout: Some(timeout),
        ..QueryPoints::default()
    };
    let arm = |(vector, using)| PrefetchQuery {
        query: Some(vector),
        using: Some(using),
        filter: filter.clone(),
        limit: Some(ours.candidates()),
        ..PrefetchQuery::default()
    };
    let alone = |(vector, using)| QueryPoints {
        query: Some(vector),
        using: Some(using),
        filter: filter.clone(),
        ..request.clone()
    };
    match ours.arms.plan() {
        Plan::Nothing => None,
        Plan::Dense(vector) => Some(alone(dense(vector))),
        Plan::Sparse(vector) => Some(alone(sparse(vector))),
        Plan::Fused(meaning, words) => Some(QueryPoints {
            prefetch: vec![arm(dense(meaning)), arm(sparse(words))],
            query: Some(ask(Variant::Rrf(Rrf { k: Some(RRF_K), weights: Vec::new() }))),
            ..request
        }),
    }
}

fn dense(vector: &DenseVector) -> (qdrant::Query, String) {
    let data = vector.as_slice().to_vec();
    (nearest(vector_input::Variant::Dense(qdrant::DenseVector { data })), DENSE_VECTOR.to_owned())
}

fn sparse(vector: &SparseVector) -> (qdrant::Query, String) {
    let (indices, values) = (vector.indices().to_vec(), vector.values().to_vec());
    let vector = qdrant::SparseVector { values, indices };
    (nearest(vector_input::Variant::Sparse(vector)), SPARSE_VECTOR.to_owned())
}

fn nearest(vector: vector_input::Variant) -> qdrant::Query {
    ask(Variant::Nearest(VectorInput { variant: Some(vector) }))
}

fn ask(variant: Variant) -> qdrant::Query {
    qdrant::Query { variant: Some(variant) }
}
