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
use crate::store::lack::Shape;
use crate::store::{IndexState, StoreError};

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
        let info = described(client, generation).await?;
        if let Some(reason) = broken(&info) {
            return Err(StoreError::Refused { action: "build the index", source: reason.into() });
        }
        at_rest = if unrest(&info).is_none() { at_rest + 1 } else { 0 };
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

/// How far the collection's index is now.
pub(super) async fn index_state(
    client: &Qdrant,
    generation: &GenerationId,
) -> Result<IndexState, StoreError> {
    let info = described(client, generation).await?;
    Ok(IndexState {
        points: info.points_count.unwrap_or(0),
        indexed: info.indexed_vectors_count.unwrap_or(0),
        segments: info.segments_count,
        unfinished: broken(&info).or_else(|| unrest(&info)),
    })
}

async fn described(client: &Qdrant, generation: &GenerationId) -> Result<CollectionInfo, StoreError> {
    let request = GetCollectionInfoRequest { collection_name: generation.to_string() };
    let response = bounded("describe the collection", client.collection_info(request))
        .await
        .map_err(|fault| fault.of_generation(generation))?;
    Ok(response.result.unwrap_or_default())
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

/// What is being written or optimised, or left without an index although it is large; `None` at rest.
fn unrest(info: &CollectionInfo) -> Option<String> {
    let queue = info.update_queue.as_ref();
    let queued = queue.map_or(0, |queue| queue.length + queue.deferred_points.unwrap_or(0));
    if info.status() != CollectionStatus::Green {
        return Some(
            format!("its status is {:?}: the optimiser has not finished", info.status()).to_lowercase(),
        );
    }
    if queued > 0 {
        return Some(format!("{queued} writes are waiting"));
    }
    lack(info)
}

fn lack(info: &CollectionInfo) -> Option<String> {
    let points = info.points_count?;
    let shape = Shape {
        points,
        indexed: info.indexed_vectors_count.unwrap_or(points.saturating_mul(2)),
        segments: info.segments_count,
        dimension: dimension(info)?,
    };
    shape.lack(info.config.as_ref()?.optimizer_config.as_ref()?.indexing_threshold?)
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
        assert_eq!(unrest(&green(5_000, 0)), None);
        assert!(unrest(&green(20_000, 0)).unwrap().contains("without an index"));
        assert_eq!(unrest(&green(20_000, 38_000)), None);
    }

    #[test]
    fn a_collection_at_work_is_not_at_rest() {
        let yellow = CollectionInfo { status: CollectionStatus::Yellow.into(), ..green(10, 0) };
        let queued = UpdateQueueInfo { length: 3, deferred_points: None };
        assert!(unrest(&yellow).unwrap().contains("yellow"));
        let queued = CollectionInfo { update_queue: Some(queued), ..green(10, 0) };
        assert_eq!(unrest(&queued).unwrap(), "3 writes are waiting");
    }

    #[test]
    fn a_broken_optimiser_ends_the_wait_with_its_reason() {
        let status = OptimizerStatus { ok: false, error: "no space left".to_owned() };
        let info = CollectionInfo { optimizer_status: Some(status), ..green(10, 0) };
        assert!(broken(&info).unwrap().contains("no space left"));
        assert_eq!(broken(&green(10, 0)), None);
    }
}
