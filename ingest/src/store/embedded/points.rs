//! Points in the embedded engine's terms, and the documents that they belong to.
//! Never changes a shard.

use std::collections::BTreeMap;
use std::path::Path;

use lectern_schema::chunk::key;
use lectern_schema::embedding::{DENSE_VECTOR, SPARSE_VECTOR};
use lectern_schema::identifiers::DocumentId;
use lectern_search::embedded::filter::convert;
use lectern_search::error::SearchError;
use qdrant_edge::{
    Condition, EdgeShard, FieldCondition, Filter, JsonPath, Match, NamedVectors, PointId, PointStruct,
    PointStructPersisted, ScrollRequest, ValueVariants, Vector, WithPayloadInterface, WithVector,
};

use super::fault::guarded;
use crate::store::{Point, StoreError, tally};

/// Points read at a time.
const PAGE: usize = 4_096;

/// A point as the engine takes it. A chunk without terms has no sparse vector.
pub(super) fn stored(point: Point) -> Result<PointStructPersisted, StoreError> {
    let refused = |source| StoreError::Refused { action: "write chunks", source };
    let Point { id, dense, sparse, payload } = point;
    let mut vectors = NamedVectors::default().add_vector(DENSE_VECTOR, dense.into_inner());
    if !sparse.is_empty() {
        let words = Vector::new_sparse(sparse.indices(), sparse.values());
        vectors = vectors.add_vector(SPARSE_VECTOR, words.map_err(|fault| refused(fault.into()))?);
    }
    let payload = serde_json::to_value(payload).map_err(|fault| refused(fault.into()))?;
    Ok(PointStruct::new(PointId::Uuid(id.as_uuid()), vectors, payload).into())
}

/// Finds all chunks of these documents.
pub(super) fn of_documents(documents: &[DocumentId]) -> Result<Filter, StoreError> {
    let path = document_path()?;
    let is = |document: &DocumentId| {
        let value = Match::new_value(ValueVariants::String(document.as_str().to_owned()));
        Condition::Field(FieldCondition::new_match(path.clone(), value))
    };
    Ok(Filter { should: Some(documents.iter().map(is).collect()), ..Filter::default() })
}

/// How many chunks of which documents a shard holds that pass the filter.
pub(super) fn documents(
    shard: &EdgeShard,
    directory: &Path,
    filter: Option<&lectern_search::filter::Filter>,
) -> Result<BTreeMap<DocumentId, u64>, StoreError> {
    let fields = WithPayloadInterface::Fields(vec![document_path()?]);
    let refused = |fault: SearchError| StoreError::Refused { action: "filter chunks", source: fault.into() };
    let filter = filter.map(convert).transpose().map_err(refused)?;
    let mut found = BTreeMap::new();
    let mut offset = None;
    loop {
        let request = ScrollRequest {
            offset,
            limit: Some(PAGE),
            filter: filter.clone(),
            with_payload: Some(fields.clone()),
            with_vector: WithVector::Bool(false),
            order_by: None,
        };
        let (points, next) = guarded("read", directory, || shard.scroll(request))?;
        for point in points {
            let payload = point.payload.unwrap_or_default();
            tally(&mut found, payload.0.get(key::DOCUMENT_ID).and_then(serde_json::Value::as_str))?;
        }
        offset = next;
        if offset.is_none() {
            return Ok(found);
        }
    }
}

fn document_path() -> Result<JsonPath, StoreError> {
    let action = "read chunks back";
    key::DOCUMENT_ID.parse().map_err(|()| StoreError::Refused { action, source: "no path".into() })
}
