//! Queries whose hits are grouped by a payload value.
//! Never asks the engine twice: it ranks all candidates once and groups them, where Qdrant asks until it has enough.

use qdrant_client::qdrant::group_id::Kind;
use qdrant_client::qdrant::{
    GroupId, GroupsResult, PointGroup, PrefetchQuery, QueryPointGroups, QueryPoints, WithPayloadSelector,
};
use qdrant_edge::{CountRequest, JsonPath, Payload, ScoredPoint, WithPayloadInterface};
use serde_json::Value as Json;
use tonic::Status;

use super::query::{run, scored};
use crate::convert::payload::{key, with_payload};
use crate::convert::query::limit;
use crate::state::State;
use crate::status::{engine, internal, refuse};

/// Groups, when the request does not say.
const DEFAULT_GROUPS: u64 = 10;
/// Hits per group, when the request does not say.
const DEFAULT_GROUP_SIZE: u64 = 3;

pub(crate) fn query(state: &State, request: QueryPointGroups) -> Result<GroupsResult, Status> {
    refuse("with_lookup", request.with_lookup.is_some())?;
    let collection = state.find(&request.collection_name)?;
    let groups = limit("limit", request.limit, DEFAULT_GROUPS)?;
    let group_size = limit("group_size", request.group_size, DEFAULT_GROUP_SIZE)?;
    let path = key(&request.group_by)?;
    let wanted = with_payload(request.with_payload.clone(), false)?;
    let points = collection.shard().count(CountRequest { filter: None, exact: false });
    let candidates = points.map_err(|error| engine(&error))?.max(1);
    let hits = run(&collection, ungrouped(request, candidates)?)?;

    let mut found: Vec<(Kind, Vec<ScoredPoint>)> = Vec::new();
    for hit in hits {
        for kind in kinds(&hit, &path) {
            let room = found.len() < groups;
            match found.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, members)) if members.len() < group_size => members.push(hit.clone()),
                None if room => found.push((kind, vec![hit.clone()])),
                Some(_) | None => {}
            }
        }
    }
    let groups = found.into_iter().map(|(kind, members)| group(kind, members, &wanted));
    Ok(GroupsResult { groups: groups.collect::<Result<_, Status>>()? })
}

fn ungrouped(request: QueryPointGroups, candidates: usize) -> Result<QueryPoints, Status> {
    let group_size = request.group_size.unwrap_or(DEFAULT_GROUP_SIZE);
    let widened =
        |prefetch: Vec<PrefetchQuery>| prefetch.into_iter().map(|one| widen(one, group_size)).collect();
    Ok(QueryPoints {
        collection_name: request.collection_name,
        prefetch: widened(request.prefetch),
        query: request.query,
        using: request.using,
        filter: request.filter,
        params: request.params,
        score_threshold: request.score_threshold,
        limit: Some(u64::try_from(candidates).map_err(internal)?),
        with_vectors: request.with_vectors,
        with_payload: Some(WithPayloadSelector::from(true)),
        shard_key_selector: request.shard_key_selector,
        lookup_from: request.lookup_from,
        ..QueryPoints::default()
    })
}

/// Qdrant multiplies the limits of prefetches by the group size, so that there is enough to group.
fn widen(mut prefetch: PrefetchQuery, group_size: u64) -> PrefetchQuery {
    prefetch.limit = prefetch.limit.map(|limit| limit.saturating_mul(group_size));
    prefetch.prefetch = prefetch.prefetch.into_iter().map(|inner| widen(inner, group_size)).collect();
    prefetch
}

/// The groups that a hit belongs to: one for each text or integer at the path.
fn kinds(hit: &ScoredPoint, path: &JsonPath) -> Vec<Kind> {
    let Some(payload) = &hit.payload else { return Vec::new() };
    let mut kinds = Vec::new();
    for value in path.value_get(&payload.0) {
        match value {
            Json::Array(values) => kinds.extend(values.iter().filter_map(kind)),
            single => kinds.extend(kind(single)),
        }
    }
    kinds
}

fn kind(value: &Json) -> Option<Kind> {
    match value {
        Json::String(text) => Some(Kind::StringValue(text.clone())),
        Json::Number(number) => {
            number.as_u64().map(Kind::UnsignedValue).or_else(|| number.as_i64().map(Kind::IntegerValue))
        }
        _ => None,
    }
}

fn group(kind: Kind, members: Vec<ScoredPoint>, wanted: &WithPayloadInterface) -> Result<PointGroup, Status> {
    let members = members.into_iter().map(|mut hit| {
        hit.payload = hit.payload.and_then(|payload| select(payload, wanted));
        scored(hit)
    });
    let hits = members.collect::<Result<_, Status>>()?;
    Ok(PointGroup { id: Some(GroupId { kind: Some(kind) }), hits, lookup: None })
}

fn select(payload: Payload, wanted: &WithPayloadInterface) -> Option<Payload> {
    match wanted {
        WithPayloadInterface::Bool(wanted) => wanted.then_some(payload),
        WithPayloadInterface::Selector(selector) => Some(selector.process(payload)),
        WithPayloadInterface::Fields(fields) => {
            Some(qdrant_edge::PayloadSelector::new_include(fields.clone()).process(payload))
        }
    }
}
