//! Calls that score points: one query, or several in one call.
//! Never changes anything.

use qdrant_client::qdrant::{BatchResult, QueryBatchPoints, QueryPoints, ScoredPoint};
use tonic::Status;

use crate::collection::Collection;
use crate::convert::{payload, query as convert, vectors};
use crate::state::State;
use crate::status::engine;

pub(crate) fn query(state: &State, request: QueryPoints) -> Result<Vec<ScoredPoint>, Status> {
    let collection = state.find(&request.collection_name)?;
    run(&collection, request)?.into_iter().map(scored).collect()
}

/// As with Qdrant, one query that is refused has the whole batch refused.
pub(crate) fn batch(state: &State, request: QueryBatchPoints) -> Result<Vec<BatchResult>, Status> {
    let collection = state.find(&request.collection_name)?;
    let answer = |request: QueryPoints| {
        let result = run(&collection, request)?.into_iter().map(scored).collect::<Result<_, Status>>()?;
        Ok(BatchResult { result })
    };
    request.query_points.into_iter().map(answer).collect()
}

/// The hits of one query, best first.
pub(crate) fn run(
    collection: &Collection,
    request: QueryPoints,
) -> Result<Vec<qdrant_edge::ScoredPoint>, Status> {
    let request = convert::request(request, collection.shape())?;
    let offset = request.offset;
    let hits = collection.shard().query(request).map_err(|error| engine(&error))?;
    Ok(hits.into_iter().skip(offset).collect())
}

pub(crate) fn scored(hit: qdrant_edge::ScoredPoint) -> Result<ScoredPoint, Status> {
    Ok(ScoredPoint {
        id: Some(payload::point_id_message(hit.id)),
        payload: payload::payload_message(hit.payload),
        score: hit.score,
        version: hit.version,
        vectors: hit.vector.map(vectors::output).transpose()?,
        shard_key: None,
        order_value: None,
    })
}
