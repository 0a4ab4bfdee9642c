//! What a run did: counts, what was skipped and why, and where the time went.
//! Never decides whether that is good enough.

use std::collections::BTreeMap;
use std::time::Duration;

use lectern_schema::identifiers::{ContentHash, GenerationId};
use serde::{Deserialize, Serialize};

use crate::extract::Skipped;
use crate::partition::Partition;
use crate::registry::runs::RunCounts;

/// How the documents differ from those of the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Not seen before.
    pub new: u64,
    /// Seen with other content.
    pub changed: u64,
    /// Seen with the same content.
    pub unchanged: u64,
    /// Seen before and not any more.
    pub gone: u64,
}

/// Time spent in each stage. Stages work at the same time, so that the sum exceeds the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// Reading, extracting and cutting, over all readers.
    pub read_ms: u64,
    /// Waiting for vectors, from the cache or the embedder.
    pub embed_ms: u64,
    /// Writing into the store and the registry.
    pub write_ms: u64,
    /// Waiting for the index to be built.
    pub seal_ms: u64,
    /// From the first file to the sealed generation.
    pub total_ms: u64,
}

/// What a build did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The generation that was built.
    pub generation: Option<GenerationId>,
    /// The part of it that was built, when it was one of several: then all numbers are of that part alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// The number of parts that it was built in, by as many workers, when these were several: then all numbers are sums over
    /// them, times too, but for the whole time and that of the index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Documents in it.
    pub documents: u64,
    /// Chunks in it.
    pub chunks: u64,
    /// Chunks whose vector was known.
    pub reused: u64,
    /// Chunks whose vector was computed.
    pub embedded: u64,
    /// Tokens of those chunks, by the embedder's count: what a paid embedder charges for.
    pub tokens_embedded: u64,
    /// What they cost at `ingest.price_per_million_tokens`, in its currency; `None` where no price is set.
    pub cost: Option<f64>,
    /// Documents that an interrupted build had written into this generation already; `None` when it was begun anew.
    pub resumed: Option<u64>,
    /// Digest of what is in it: the same for the same content, however it was built.
    pub content: Option<ContentHash>,
    /// How the documents differ from those of the run before, which after an interruption is the interrupted one.
    pub changes: Changes,
    /// Documents left out.
    pub skipped: Vec<Skipped>,
    /// Files of formats that are not supported, by extension.
    pub unsupported: BTreeMap<String, u64>,
    /// Where the time went.
    pub times: StageTimes,
}

impl Report {
    /// The counts that the registry keeps in columns.
    pub fn run_counts(&self) -> RunCounts {
        RunCounts {
            documents: self.documents,
            skipped: u64::try_from(self.skipped.len()).unwrap_or(u64::MAX),
            chunks: self.chunks,
            embedded: self.embedded,
            reused: self.reused,
        }
    }
}

/// A time as reports show it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
