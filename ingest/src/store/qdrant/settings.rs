//! The `ingest.qdrant` section of the configuration: how generations are laid out in Qdrant, and how they are loaded.
//! Never sends a request: the requests are written by it elsewhere.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lectern_schema::chunk::key;
use qdrant_client::qdrant::FieldType;
use serde::Deserialize;

/// How generations are laid out and loaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QdrantSection {
    /// Points in a call.
    pub batch: NonZeroUsize,
    /// Calls under way at once.
    pub parallel: NonZeroUsize,
    /// Whether the graph is built when all vectors are there, instead of again and again while they come.
    pub defer_index: bool,
    /// Links of a vector in the graph (`m` of HNSW): more find better and take more memory.
    pub links: u64,
    /// Shards of a collection; 0 leaves it to Qdrant, which makes one for each node.
    pub shards: u32,
    /// Copies of each shard; 0 leaves it to Qdrant.
    pub replicas: u32,
    /// How vectors are held in memory for searching; the originals stay for scoring the best again.
    pub quantization: Quantization,
    /// Whether the original vectors are read from disk.
    pub vectors_on_disk: bool,
    /// Metadata fields that are indexed for filters, beside document and tenant.
    pub index: BTreeMap<String, FieldKind>,
}

/// How vectors are compressed for searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantization {
    /// Not at all.
    #[default]
    None,
    /// A byte for a number: a quarter of the memory, hardly any loss.
    Scalar,
    /// A bit for a number: a thirty-second of the memory, for models of 1,024 dimensions and more.
    Binary,
}

/// What the values of an indexed field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Text that is compared whole.
    Keyword,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// True or false.
    Bool,
    /// Points in time as RFC 3339 writes them.
    Datetime,
}

impl FieldKind {
    pub(super) fn of_qdrant(self) -> FieldType {
        match self {
            Self::Keyword => FieldType::Keyword,
            Self::Integer => FieldType::Integer,
            Self::Float => FieldType::Float,
            Self::Bool => FieldType::Bool,
            Self::Datetime => FieldType::Datetime,
        }
    }
}

impl QdrantSection {
    /// The payload keys of the indexed metadata fields.
    pub(super) fn indexed_keys(&self) -> impl Iterator<Item = (String, FieldKind)> {
        self.index.iter().map(|(field, kind)| (format!("{}.{field}", key::METADATA), *kind))
    }
}

impl Default for QdrantSection {
    fn default() -> Self {
        Self {
            // Qdrant's manual on bulk upload: 64 to 256 points in a call, two to four calls at once.
            batch: NonZeroUsize::MIN.saturating_add(63),
            parallel: NonZeroUsize::MIN.saturating_add(3),
            defer_index: true,
            // Qdrant's own default.
            links: 16,
            shards: 0,
            replicas: 0,
            quantization: Quantization::None,
            vectors_on_disk: false,
            index: BTreeMap::new(),
        }
    }
}
