//! What a shard of the embedded store holds.
//! Never searches it.

use lectern_schema::embedding::DENSE_VECTOR;
use lectern_schema::identifiers::ChunkId;
use qdrant_edge::{
    EdgeShard, JsonPath, PointId, Record, ScrollRequest, VectorInternal, VectorStructInternal,
    WithPayloadInterface, WithVector,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::SearchError;
use crate::stored::{ORIGIN_KEYS, PAGE, Page, StoredChunk};

/// The page of all chunks that begins with `from`.
pub(super) fn page(shard: &EdgeShard, from: Option<ChunkId>) -> Result<Page, SearchError> {
    let request = ScrollRequest {
        offset: from.map(|id| PointId::Uuid(id.as_uuid())),
        limit: Some(usize::from(PAGE)),
        filter: None,
        with_payload: Some(origin_fields()?),
        with_vector: WithVector::Bool(false),
        order_by: None,
    };
    let (records, next) = shard.scroll(request)?;
    let chunks = records.into_iter().map(|record| Ok((id(record.id)?, payload(record.payload))));
    Ok(Page { chunks: chunks.collect::<Result<_, SearchError>>()?, next: next.map(id).transpose()? })
}

/// These chunks, as far as they are there.
pub(super) fn chunks(shard: &EdgeShard, ids: &[ChunkId]) -> Result<Vec<StoredChunk>, SearchError> {
    let ids: Vec<PointId> = ids.iter().map(|id| PointId::Uuid(id.as_uuid())).collect();
    let vectors = WithVector::Selector(vec![DENSE_VECTOR.into()]);
    let records = shard.retrieve(&ids, Some(WithPayloadInterface::Bool(true)), Some(vectors))?;
    records.into_iter().map(chunk).collect()
}

fn chunk(record: Record) -> Result<StoredChunk, SearchError> {
    let dense = record.vector.and_then(dense).unwrap_or_default();
    Ok(StoredChunk { chunk_id: id(record.id)?, dense, payload: payload(record.payload) })
}

fn dense(vectors: VectorStructInternal) -> Option<Vec<f32>> {
    let VectorStructInternal::Named(mut named) = vectors else { return None };
    match named.remove(DENSE_VECTOR)? {
        VectorInternal::Dense(elements) => Some(elements),
        _ => None,
    }
}

fn payload<T: DeserializeOwned>(payload: Option<qdrant_edge::Payload>) -> Option<T> {
    serde_json::from_value(Value::Object(payload?.0)).ok()
}

fn origin_fields() -> Result<WithPayloadInterface, SearchError> {
    let paths = ORIGIN_KEYS.map(str::parse::<JsonPath>);
    let paths = paths.into_iter().collect::<Result<_, ()>>();
    Ok(WithPayloadInterface::Fields(paths.map_err(|()| SearchError::refused("a key is not a path"))?))
}

fn id(id: PointId) -> Result<ChunkId, SearchError> {
    match id {
        PointId::Uuid(id) => ChunkId::parse(&id.to_string()).map_err(SearchError::garbled),
        PointId::NumId(number) => Err(SearchError::garbled(format!("point {number} is not a chunk"))),
    }
}
