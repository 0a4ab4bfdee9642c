//! Queries of the protocol as queries of the engine, checked against the vectors that the collection has.
//! Never runs one.

use qdrant_client::qdrant::query::Variant;
use qdrant_client::qdrant::{self, PrefetchQuery, QueryPoints};
use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::{
    AcornSearchParams, Fusion, NamedQuery, Prefetch, QuantizationSearchParams, QueryEnum, QueryRequest,
    Sample, ScoringQuery, SearchParams,
};
use tonic::Status;

use super::filter;
use super::payload::with_payload;
use super::size;
use super::vectors::{Shape, with_vectors};
use crate::status::{bad_value, refuse, unsupported};

/// Qdrant's number of hits when a query names none.
const DEFAULT_LIMIT: u64 = 10;
/// Qdrant's constant of the reciprocal rank fusion when a query names none.
const DEFAULT_RRF_K: u32 = 2;

/// The engine plans for `limit + offset` hits and leaves it to the caller to skip the first.
pub(crate) fn request(query: QueryPoints, shape: &Shape) -> Result<QueryRequest, Status> {
    refuse("lookup_from", query.lookup_from.is_some())?;
    refuse("shard keys", query.shard_key_selector.is_some())?;
    let using = query.using.unwrap_or_default();
    Ok(QueryRequest {
        prefetches: prefetches(query.prefetch, shape)?,
        query: query.query.map(|query| scoring(query, &using, shape)).transpose()?,
        filter: filter::optional(query.filter)?,
        score_threshold: query.score_threshold.map(OrderedFloat),
        limit: limit("limit", query.limit, DEFAULT_LIMIT)?,
        offset: size(query.offset.unwrap_or(0))?,
        params: query.params.map(params).transpose()?,
        with_vector: with_vectors(query.with_vectors, shape)?,
        with_payload: with_payload(query.with_payload, false)?,
    })
}

fn prefetches(queries: Vec<PrefetchQuery>, shape: &Shape) -> Result<Vec<Prefetch>, Status> {
    queries.into_iter().map(|query| prefetch(query, shape)).collect()
}

fn prefetch(query: PrefetchQuery, shape: &Shape) -> Result<Prefetch, Status> {
    refuse("lookup_from", query.lookup_from.is_some())?;
    let using = query.using.unwrap_or_default();
    Ok(Prefetch {
        prefetches: prefetches(query.prefetch, shape)?,
        query: query.query.map(|query| scoring(query, &using, shape)).transpose()?,
        limit: limit("prefetch.limit", query.limit, DEFAULT_LIMIT)?,
        params: query.params.map(params).transpose()?,
        filter: filter::optional(query.filter)?,
        score_threshold: query.score_threshold.map(OrderedFloat),
    })
}

fn scoring(query: qdrant::Query, using: &str, shape: &Shape) -> Result<ScoringQuery, Status> {
    let what = match query.variant {
        Some(Variant::Nearest(input)) => {
            let vector = shape.fit(using, input)?;
            return Ok(ScoringQuery::Vector(QueryEnum::Nearest(NamedQuery::new(vector, using))));
        }
        Some(Variant::Fusion(number)) => return fusion(number).map(ScoringQuery::Fusion),
        Some(Variant::Rrf(rrf)) => return reciprocal_rank(rrf).map(ScoringQuery::Fusion),
        Some(Variant::Sample(_)) => return Ok(ScoringQuery::Sample(Sample::Random)),
        Some(Variant::Recommend(_)) => "recommend queries",
        Some(Variant::Discover(_)) => "discover queries",
        Some(Variant::Context(_)) => "context queries",
        Some(Variant::OrderBy(_)) => "order-by queries",
        Some(Variant::Formula(_)) => "formula queries",
        Some(Variant::NearestWithMmr(_)) => "maximal marginal relevance",
        Some(Variant::RelevanceFeedback(_)) => "relevance feedback",
        Some(Variant::Text(_)) => "text queries",
        None => return Err(Status::invalid_argument("Query variant is missing")),
    };
    Err(unsupported(what))
}

fn fusion(number: i32) -> Result<Fusion, Status> {
    match qdrant::Fusion::try_from(number) {
        Ok(qdrant::Fusion::Rrf) => reciprocal_rank(qdrant::Rrf { k: None, weights: Vec::new() }),
        Ok(qdrant::Fusion::Dbsf) => Ok(Fusion::Dbsf),
        Err(_) => Err(Status::invalid_argument(format!("Unknown fusion: {number}"))),
    }
}

fn reciprocal_rank(rrf: qdrant::Rrf) -> Result<Fusion, Status> {
    let k = rrf.k.unwrap_or(DEFAULT_RRF_K);
    if k == 0 {
        return Err(bad_value("rrf.k", "value 0 invalid, must be 1 or larger"));
    }
    let weights: Vec<_> = rrf.weights.into_iter().map(OrderedFloat).collect();
    Ok(Fusion::Rrf { k: size(u64::from(k))?, weights: (!weights.is_empty()).then_some(weights) })
}

fn params(params: qdrant::SearchParams) -> Result<SearchParams, Status> {
    refuse("IDF over a part of the collection", params.idf.is_some_and(|idf| idf.corpus.is_some()))?;
    Ok(SearchParams {
        hnsw_ef: params.hnsw_ef.map(size).transpose()?,
        exact: params.exact.unwrap_or(false),
        quantization: params.quantization.map(|quantization| QuantizationSearchParams {
            ignore: quantization.ignore.unwrap_or(false),
            rescore: quantization.rescore,
            oversampling: quantization.oversampling,
        }),
        indexed_only: params.indexed_only.unwrap_or(false),
        acorn: params.acorn.map(|acorn| AcornSearchParams {
            enable: acorn.enable.unwrap_or(false),
            max_selectivity: acorn.max_selectivity.map(OrderedFloat),
        }),
    })
}

/// A limit of a request: at least 1.
pub(crate) fn limit(field: &str, given: Option<u64>, default: u64) -> Result<usize, Status> {
    match given.unwrap_or(default) {
        0 => Err(bad_value(field, "value 0 invalid, must be 1 or larger")),
        limit => size(limit),
    }
}
