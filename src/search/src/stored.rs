//! What a collection holds, as it is stored: for those who must not trust what a search makes of it.
//! Never judges it: vectors come unchecked, and a payload that cannot be read is told, not hidden.

use lectern_schema::chunk::ChunkPayload;
use lectern_schema::identifiers::{ChunkId, DocumentId, TenantId};
use serde::Deserialize;

/// Payload fields of an [`Origin`].
pub(crate) const ORIGIN_KEYS: [&str; 3] = ["document_id", "tenant", "position"];

/// Chunks per page: at most two megabytes of the longest document ids.
pub(crate) const PAGE: u16 = 2_000;

/// Which document a chunk belongs to, and whose that is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Origin {
    /// The document.
    pub document_id: DocumentId,
    /// Its owner.
    pub tenant: TenantId,
    /// The chunk's place in it.
    pub position: u32,
}

/// Some chunks of a collection, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The chunks, `None` for one whose payload cannot be read.
    pub chunks: Vec<(ChunkId, Option<Origin>)>,
    /// Where the next page begins, `None` after the last.
    pub next: Option<ChunkId>,
}

/// A chunk with its dense vector.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChunk {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Its vector as the store holds it, empty when it holds none.
    pub dense: Vec<f32>,
    /// Its payload, `None` when it cannot be read.
    pub payload: Option<ChunkPayload>,
}
