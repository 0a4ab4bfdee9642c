//! The manifest that is stored with each generation: what it is, what it was built with, whether it is whole.
//! Never says which generation is live: that is the alias's job alone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::identifiers::GenerationId;

/// Describes one generation. Stored as `manifest.json` in the embedded store and as collection metadata in Qdrant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The generation's own name, so that a copied manifest is recognised.
    pub generation: GenerationId,
    /// What it was built with.
    pub fingerprint: Fingerprint,
    /// Whether all of it has been written.
    pub state: BuildState,
    /// When the state was last set.
    pub written_at: Timestamp,
    /// Version of the program that wrote it.
    pub written_by: String,
}

/// How far a build has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BuildState {
    /// Being written, or abandoned; never served.
    Building,
    /// Whole: everything counted here is in the collection.
    Complete(Counts),
}

/// What a whole generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Documents with at least one chunk.
    pub documents: u64,
    /// Chunks, which is points in the collection.
    pub chunks: u64,
}

impl Manifest {
    /// File name in an embedded generation's directory.
    pub const FILE_NAME: &str = "manifest.json";
    /// Key in a Qdrant collection's metadata. Its value is the manifest as JSON text.
    pub const METADATA_KEY: &str = "lectern_manifest";

    /// The counts of a whole generation, `None` while it is being built.
    pub fn counts(&self) -> Option<Counts> {
        match self.state {
            BuildState::Building => None,
            BuildState::Complete(counts) => Some(counts),
        }
    }
}
