//! Calls that read points without scoring them: get, count, scroll, facet.
//! Never changes anything.

use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::{
    self, CountPoints, CountResult, FacetCounts, FacetHit, FacetValue, GetPoints, RetrievedPoint,
    ScrollPoints,
};
use qdrant_edge::{CountRequest, FacetRequest, Record, ScrollRequest};
use tonic::Status;
use uuid::Uuid;

use crate::convert::query::limit;
use crate::convert::{filter, payload, vectors};
use crate::state::State;
use crate::status::{engine, internal, refuse};

/// Points per page, and values per facet, when the request does not say.
const DEFAULT_LIMIT: u64 = 10;

pub(crate) fn get(state: &State, request: GetPoints) -> Result<Vec<RetrievedPoint>, Status> {
    refuse("shard keys", request.shard_key_selector.is_some())?;
    let collection = state.find(&request.collection_name)?;
    let ids = payload::point_ids(request.ids)?;
    let with_payload = payload::with_payload(request.with_payload, true)?;
    let with_vectors = vectors::with_vectors(request.with_vectors, collection.shape())?;
    let records = collection.shard().retrieve(&ids, Some(with_payload), Some(with_vectors));
    records.map_err(|error| engine(&error))?.into_iter().map(retrieved).collect()
}

pub(crate) fn count(state: &State, request: CountPoints) -> Result<CountResult, Status> {
    refuse("shard keys", request.shard_key_selector.is_some())?;
    let collection = state.find(&request.collection_name)?;
    let request =
        CountRequest { filter: filter::optional(request.filter)?, exact: request.exact.unwrap_or(true) };
    let count = collection.shard().count(request).map_err(|error| engine(&error))?;
    Ok(CountResult { count: u64::try_from(count).map_err(internal)? })
}

/// A page, and the id that the next page starts with.
pub(crate) fn scroll(
    state: &State,
    request: ScrollPoints,
) -> Result<(Vec<RetrievedPoint>, Option<qdrant::PointId>), Status> {
    refuse("shard keys", request.shard_key_selector.is_some())?;
    refuse("ordered scrolling", request.order_by.is_some())?;
    let collection = state.find(&request.collection_name)?;
    let request = ScrollRequest {
        offset: request.offset.map(|offset| payload::point_id(Some(offset))).transpose()?,
        limit: Some(limit("limit", request.limit.map(u64::from), DEFAULT_LIMIT)?),
        filter: filter::optional(request.filter)?,
        with_payload: Some(payload::with_payload(request.with_payload, true)?),
        with_vector: vectors::with_vectors(request.with_vectors, collection.shape())?,
        order_by: None,
    };
    let (page, next) = collection.shard().scroll(request).map_err(|error| engine(&error))?;
    let page = page.into_iter().map(retrieved).collect::<Result<_, Status>>()?;
    Ok((page, next.map(payload::point_id_message)))
}

pub(crate) fn facet(state: &State, request: FacetCounts) -> Result<Vec<FacetHit>, Status> {
    refuse("shard keys", request.shard_key_selector.is_some())?;
    let collection = state.find(&request.collection_name)?;
    let request = FacetRequest {
        key: payload::key(&request.key)?,
        limit: limit("limit", request.limit, DEFAULT_LIMIT)?,
        filter: filter::optional(request.filter)?,
        exact: request.exact.unwrap_or(false),
    };
    let response = collection.shard().facet(request).map_err(|error| engine(&error))?;
    response.hits.into_iter().map(|hit| facet_hit(hit.value, hit.count)).collect()
}

fn facet_hit(value: qdrant_edge::FacetValue, count: usize) -> Result<FacetHit, Status> {
    let variant = match value {
        qdrant_edge::FacetValue::Keyword(text) => Variant::StringValue(text),
        qdrant_edge::FacetValue::Int(integer) => Variant::IntegerValue(integer),
        qdrant_edge::FacetValue::Uuid(uuid) => Variant::StringValue(Uuid::from_u128(uuid).to_string()),
        qdrant_edge::FacetValue::Bool(flag) => Variant::BoolValue(flag),
    };
    let value = Some(FacetValue { variant: Some(variant) });
    Ok(FacetHit { value, count: u64::try_from(count).map_err(internal)? })
}

fn retrieved(record: Record) -> Result<RetrievedPoint, Status> {
    Ok(RetrievedPoint {
        id: Some(payload::point_id_message(record.id)),
        payload: payload::payload_message(record.payload),
        vectors: record.vector.map(vectors::output).transpose()?,
        shard_key: None,
        order_value: None,
    })
}
