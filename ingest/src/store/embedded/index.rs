//! How far the vector index of a generation in the embedded store is.
//! Never builds one: that is the end of a build.

use lectern_schema::identifiers::GenerationId;
use lectern_search::embedded::layout::Layout;
use qdrant_edge::EdgeShard;

use super::fault::guarded;
use super::lock_generation;
use crate::store::lack::Shape;
use crate::store::{IndexState, StoreError};

/// Looks at a whole generation. Fails while another process has it open.
pub(super) fn state(layout: &Layout, generation: &GenerationId) -> Result<IndexState, StoreError> {
    let manifest = layout.manifest(generation)?.ok_or_else(|| StoreError::Missing(generation.clone()))?;
    let dimension = u64::from(manifest.fingerprint.encoding.embedding.dimension);
    let _lock = lock_generation(layout, generation)?;
    let path = layout.shard(generation);
    guarded("look at", &path, || {
        let shard = EdgeShard::load(&path, None)?;
        let info = shard.info();
        let threshold = number(shard.config().optimizers.get_indexing_threshold_kb());
        let (points, segments) = (number(info.points_count), number(info.segments_count));
        let shape = Shape { points, indexed: number(info.indexed_vectors_count), segments, dimension };
        Ok(IndexState { points, indexed: shape.indexed, segments, unfinished: shape.lack(threshold) })
    })
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
