//! The end of a build: the index is really there, nothing was lost, and the manifest says so.
//! Never takes `green` alone for an index: Qdrant is green before it begins to build one.

use std::time::Duration;

use jiff::Timestamp;
use lectern_schema::embedding::DENSE_VECTOR;
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::GenerationId;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CollectionStatus, CountPoints, GetCollectionInfoRequest, UpdateCollection,
};
use tokio::time::{Instant, sleep};

use super::call::bounded;
use super::collection;
use crate::store::StoreError;

/// Longest wait for an index: 10 million vectors take a good part of an hour on one machine.
const PATIENCE: Duration = Duration::from_hours(2);
/// How often Qdrant is asked how far it is.
const POLL: Duration = Duration::from_millis(200);
/// Looks in a row at a collection at rest: its optimiser starts a moment after the last write.
const LOOKS: u32 = 2;

/// Waits until the collection's index is built.
pub(super) async fn index_built(client: &Qdrant, generation: &GenerationId) -> Result<(), StoreError> {
    let give_up = Instant::now() + PATIENCE;
    let mut at_rest = 0;
    while at_rest < LOOKS {
        let request = GetCollectionInfoRequest { collection_name: generation.to_string() };
        let response = bounded("describe the collection", client.collection_info(request))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        let info = response.result.unwrap_or_default();
        if let Some(reason) = broken(&info) {
            return Err(StoreError::Refused { action: "build the index", source: reason.into() });
        }
        at_rest = if rests(&info) { at_rest + 1 } else { 0 };
        if give_up <= Instant::now() {
            let reason = format!("the index was not built within {} s", PATIENCE.as_secs());
            return Err(StoreError::Unavailable(reason.into()));
        }
        if at_rest < LOOKS {
            sleep(POLL).await;
        }
    }
    Ok(())
}

/// Compares Qdrant's own exact count with what was written.
pub(super) async fn check_count(
    client: &Qdrant,
    generation: &GenerationId,
    expected: u64,
) -> Result<(), StoreError> {
    let request =
        CountPoints { collection_name: generation.to_string(), exact: Some(true), ..CountPoints::default() };
    let response = bounded("count chunks", client.count(request))
        .await
        .map_err(|fault| fault.of_generation(generation))?;
    let found = response.result.unwrap_or_default().count;
    if found == expected {
        return Ok(());
    }
    Err(StoreError::Torn { generation: generation.clone(), expected, found })
}

/// Marks the generation complete, and reads back that it is.
pub(super) async fn mark(
    client: &Qdrant,
    manifest: &Manifest,
    counts: Counts,
) -> Result<Manifest, StoreError> {
    let generation = &manifest.generation;
    let sealed =
        Manifest { state: BuildState::Complete(counts), written_at: Timestamp::now(), ..manifest.clone() };
    let request = UpdateCollection {
        collection_name: generation.to_string(),
        metadata: collection::metadata(&sealed)?.into(),
        ..UpdateCollection::default()
    };
    bounded("write the manifest", Box::pin(client.update_collection(request)))
        .await
        .map_err(|fault| fault.of_generation(generation))?;
    let request = GetCollectionInfoRequest { collection_name: generation.to_string() };
    let response = bounded("read the manifest", client.collection_info(request))
        .await
        .map_err(|fault| fault.of_generation(generation))?;
    let stored = response.result.and_then(|info| collection::manifest(generation, &info));
    if stored.as_ref() == Some(&sealed) {
        return Ok(sealed);
    }
    let source = "Qdrant does not keep collection metadata: it must be 1.16 or newer".into();
    Err(StoreError::Refused { action: "write the manifest", source })
}

fn broken(info: &CollectionInfo) -> Option<String> {
    let optimiser = info.optimizer_status.as_ref().filter(|status| !status.ok);
    match optimiser {
        Some(status) => Some(format!("the optimiser reports: {}", status.error)),
        None if info.status() == CollectionStatus::Red => Some("the collection's status is red".to_owned()),
        None => None,
    }
}

/// Whether nothing is being written or optimised, and nothing large is left without an index.
fn rests(info: &CollectionInfo) -> bool {
    let queue = info.update_queue.as_ref();
    let queued = queue.map_or(0, |queue| queue.length + queue.deferred_points.unwrap_or(0));
    info.status() == CollectionStatus::Green && queued == 0 && !lacks_index(info)
}

/// Qdrant leaves segments below a threshold without an index, on purpose: only more than that is a lack.
fn lacks_index(info: &CollectionInfo) -> bool {
    const KIB: u64 = 1_024;
    const FLOAT_BYTES: u64 = 4;
    let threshold = || info.config.as_ref()?.optimizer_config.as_ref()?.indexing_threshold;
    let (Some(dimension), Some(threshold)) = (dimension(info), threshold()) else { return false };
    // 0 switches indexing off: whoever did that does not wait for an index.
    if threshold == 0 {
        return false;
    }
    let points = info.points_count.unwrap_or(0);
    let plain = points.saturating_sub(info.indexed_vectors_count.unwrap_or(points));
    let plain_size = plain.saturating_mul(dimension).saturating_mul(FLOAT_BYTES) / KIB;
    threshold.saturating_mul(info.segments_count.max(1)) < plain_size
}

fn dimension(info: &CollectionInfo) -> Option<u64> {
    let vectors = info.config.as_ref()?.params.as_ref()?.vectors_config.as_ref()?;
    match vectors.config.as_ref()? {
        Config::ParamsMap(named) => named.map.get(DENSE_VECTOR).map(|params| params.size),
        Config::Params(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::{
        CollectionConfig, CollectionParams, OptimizerStatus, OptimizersConfigDiff, UpdateQueueInfo,
        VectorParams, VectorParamsMap, VectorsConfig,
    };

    use super::*;

    /// A green collection of `points` chunks at 384 dimensions in 2 segments, of which `indexed` have an index.
    fn green(points: u64, indexed: u64) -> CollectionInfo {
        let dense = VectorParams { size: 384, ..VectorParams::default() };
        let vectors = VectorParamsMap { map: [(DENSE_VECTOR.to_owned(), dense)].into() };
        let config = CollectionConfig {
            params: Some(CollectionParams {
                vectors_config: Some(VectorsConfig { config: Some(Config::ParamsMap(vectors)) }),
                ..CollectionParams::default()
            }),
            optimizer_config: Some(OptimizersConfigDiff {
                indexing_threshold: Some(10_000),
                ..OptimizersConfigDiff::default()
            }),
            ..CollectionConfig::default()
        };
        CollectionInfo {
            status: CollectionStatus::Green.into(),
            optimizer_status: Some(OptimizerStatus { ok: true, error: String::new() }),
            segments_count: 2,
            points_count: Some(points),
            indexed_vectors_count: Some(indexed),
            config: Some(config),
            ..CollectionInfo::default()
        }
    }

    #[test]
    fn green_without_an_index_that_is_due_is_not_at_rest() {
        assert!(rests(&green(5_000, 0)));
        assert!(!rests(&green(20_000, 0)));
        assert!(rests(&green(20_000, 18_000)));
    }

    #[test]
    fn a_collection_at_work_is_not_at_rest() {
        let yellow = CollectionInfo { status: CollectionStatus::Yellow.into(), ..green(10, 0) };
        let queued = UpdateQueueInfo { length: 3, deferred_points: None };
        assert!(!rests(&yellow));
        assert!(!rests(&CollectionInfo { update_queue: Some(queued), ..green(10, 0) }));
    }

    #[test]
    fn a_broken_optimiser_ends_the_wait_with_its_reason() {
        let status = OptimizerStatus { ok: false, error: "no space left".to_owned() };
        let info = CollectionInfo { optimizer_status: Some(status), ..green(10, 0) };
        assert!(broken(&info).unwrap().contains("no space left"));
        assert_eq!(broken(&green(10, 0)), None);
    }
}
