//! What a collection in Qdrant holds: the requests for it, and what their answers mean.
//! Never sends a request.

use std::collections::HashMap;

use lectern_schema::embedding::DENSE_VECTOR;
use lectern_schema::identifiers::{ChunkId, GenerationId};
use qdrant_client::Payload;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    GetPoints, PayloadIncludeSelector, PointId, RetrievedPoint, ScrollPoints, ScrollResponse, Value,
    VectorsOutput, WithPayloadSelector, WithVectorsSelector, vector_output, with_vectors_selector,
};
use serde::de::DeserializeOwned;

use crate::error::SearchError;
use crate::stored::{ORIGIN_KEYS, PAGE, Page, StoredChunk};

/// The request for the page of all chunks that begins with `from`.
pub(super) fn scroll(generation: &GenerationId, from: Option<ChunkId>, timeout: u64) -> ScrollPoints {
    let fields = ORIGIN_KEYS.map(str::to_owned).to_vec();
    let include = SelectorOptions::Include(PayloadIncludeSelector { fields });
    ScrollPoints {
        collection_name: generation.to_string(),
        offset: from.map(|id| id.to_string().into()),
        limit: Some(u32::from(PAGE)),
        with_payload: Some(WithPayloadSelector { selector_options: Some(include) }),
        timeout: Some(timeout),
        ..ScrollPoints::default()
    }
}

/// The page that the answer holds.
pub(super) fn page(response: ScrollResponse) -> Result<Page, SearchError> {
    let chunks = response.result.into_iter().map(|point| Ok((id(point.id)?, payload(point.payload))));
    let chunks = chunks.collect::<Result<_, SearchError>>()?;
    let next = response.next_page_offset.map(|next| id(Some(next))).transpose()?;
    Ok(Page { chunks, next })
}

/// The request for these chunks with their vectors.
pub(super) fn get(generation: &GenerationId, ids: &[ChunkId], timeout: u64) -> GetPoints {
    let names = with_vectors_selector::SelectorOptions::Include(qdrant_client::qdrant::VectorsSelector {
        names: vec![DENSE_VECTOR.to_owned()],
    });
    GetPoints {
        collection_name: generation.to_string(),
        ids: ids.iter().map(|id| id.to_string().into()).collect(),
        with_payload: Some(WithPayloadSelector { selector_options: Some(SelectorOptions::Enable(true)) }),
        with_vectors: Some(WithVectorsSelector { selector_options: Some(names) }),
        timeout: Some(timeout),
        ..GetPoints::default()
    }
}

/// The chunk that a point is.
pub(super) fn chunk(point: RetrievedPoint) -> Result<StoredChunk, SearchError> {
    let dense = point.vectors.and_then(dense).unwrap_or_default();
    Ok(StoredChunk { chunk_id: id(point.id)?, dense, payload: payload(point.payload) })
}

fn dense(vectors: VectorsOutput) -> Option<Vec<f32>> {
    let VectorsOptions::Vectors(mut named) = vectors.vectors_options? else { return None };
    match named.vectors.remove(DENSE_VECTOR)?.into_vector() {
        vector_output::Vector::Dense(dense) => Some(dense.data),
        _ => None,
    }
}

fn payload<T: DeserializeOwned>(payload: HashMap<String, Value>) -> Option<T> {
    Payload::from(payload).deserialize().ok()
}

fn id(id: Option<PointId>) -> Result<ChunkId, SearchError> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(id)) => ChunkId::parse(&id).map_err(SearchError::garbled),
        other => Err(SearchError::garbled(format!("point {other:?} is not a chunk"))),
    }
}
