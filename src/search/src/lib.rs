//! Reads collections: resolves aliases, opens generations, searches them. The embedded store and Qdrant behind one trait.
//! Cannot write: the vendor clients sit in private fields, and no type or method that changes a store is public.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::Snapshot;
use lectern_schema::canary::Canary;
use lectern_schema::fingerprint::Encoding;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{AliasName, ChunkId, GenerationId};

use crate::config::{BadStore, StoreKind, StoreSection};
use crate::embedded::EmbeddedStore;
use crate::error::{OpenError, SearchError};
use crate::qdrant::QdrantStore;
use crate::query::{Hit, Query};
use crate::stored::{Page, StoredChunk};

pub mod bm25;
pub mod config;
pub mod embedded;
pub mod error;
pub mod filter;
pub mod manifest;
pub mod qdrant;
pub mod query;
pub mod stored;

/// Where an alias points at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The live generation.
    pub live: GenerationId,
    /// The generation that serves a share beside it. A pointer that cannot be read is none: the live traffic does not
    /// suffer from it, and the ingest, which wrote it, says what is wrong.
    pub canary: Option<Canary>,
}

/// A store that can be read.
pub trait Search: Debug + Send + Sync {
    /// Where `alias` points now.
    fn resolve<'a>(
        &'a self,
        alias: &'a AliasName,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Resolved, SearchError>>;

    /// Opens a whole generation whose vectors `encoding` can be compared with; refuses every other one.
    fn open<'a>(
        &'a self,
        generation: &'a GenerationId,
        encoding: &'a Encoding,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Arc<dyn Collection>, OpenError>>;

    /// What the store looks like from here; none when it is in the process.
    fn upstream(&self) -> Option<Snapshot> {
        None
    }
}

/// One open generation. A request holds it to its end; the last holder lets it go.
pub trait Collection: Debug + Send + Sync {
    /// What the generation is and was built with.
    fn manifest(&self) -> &Manifest;

    /// The best chunks of this generation, best first.
    fn search<'a>(
        &'a self,
        query: &'a Query,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Hit>, SearchError>>;

    /// Number of chunks that the store itself counts.
    fn count(&self, deadline: Deadline) -> BoxFuture<'_, Result<u64, SearchError>>;

    /// A page of all chunks, from the one with this id on, or from the first.
    fn page(&self, from: Option<ChunkId>, deadline: Deadline) -> BoxFuture<'_, Result<Page, SearchError>>;

    /// These chunks as they are stored, as far as they are there, in any order.
    fn chunks<'a>(
        &'a self,
        ids: &'a [ChunkId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<StoredChunk>, SearchError>>;
}

/// The store that the configuration names. Needs no store to be there yet: what is down now may be up for the first request.
#[expect(
    clippy::unused_async,
    reason = "callers wait already for the day that a store must be asked something first"
)]
pub async fn connect(section: &StoreSection, retry: &RetrySection) -> Result<Arc<dyn Search>, BadStore> {
    Ok(match section.kind {
        StoreKind::Embedded => Arc::new(EmbeddedStore::new(&section.path)),
        StoreKind::Qdrant => Arc::new(QdrantStore::connect(section, retry)?),
    })
}
