//! Writes generations and moves aliases, in the embedded store and in Qdrant: the only code of Lectern that does.
//! Never decides what is written or when an alias may move.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use lectern_schema::canary::Canary;
use lectern_schema::chunk::ChunkPayload;
use lectern_schema::embedding::{DenseVector, SparseVector};
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ChunkId, DocumentId, GenerationId};
use lectern_search::config::{BadStore, StoreKind, StoreSection};
use lectern_search::filter::Filter;

use crate::store::embedded::EmbeddedStore;
use crate::store::qdrant::QdrantStore;
use crate::store::qdrant::settings::QdrantSection;

pub mod embedded;
mod lack;
pub mod qdrant;

/// A chunk with its vectors, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Id of the chunk.
    pub id: ChunkId,
    /// Dense embedding.
    pub dense: DenseVector,
    /// Sparse embedding; may be empty.
    pub sparse: SparseVector,
    /// What is stored beside the vectors.
    pub payload: ChunkPayload,
}

/// A generation as the store knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its name.
    pub generation: GenerationId,
    /// Its manifest; `None` when it has none that can be read (torn or foreign).
    pub manifest: Option<Manifest>,
}

/// How far the vector index of a generation is, as the engine reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexState {
    /// Points in the collection.
    pub points: u64,
    /// Vectors in an index, dense and sparse ones together.
    pub indexed: u64,
    /// Segments that points are in.
    pub segments: u64,
    /// What is left to do, `None` when nothing is.
    pub unfinished: Option<String>,
}

/// A store that can be written.
pub trait WriteStore: Debug + Send + Sync {
    /// Begins a staging generation named by `manifest`, whose state is `Building`. Fails with `Taken` when the name is in use.
    fn create<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes points into a staging generation; writing a point twice leaves one.
    fn upsert<'a>(
        &'a self,
        generation: &'a GenerationId,
        points: Vec<Point>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Waits until all that was written into a staging generation outlives the process that wrote it.
    fn flush<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<(), StoreError>>;

    /// How many chunks of which documents a generation holds that pass the filter: a staging generation of one's own, or a
    /// complete one.
    fn documents<'a>(
        &'a self,
        generation: &'a GenerationId,
        filter: Option<&'a Filter>,
    ) -> BoxFuture<'a, Result<BTreeMap<DocumentId, u64>, StoreError>>;

    /// Deletes all chunks of these documents from a staging generation; one that is not there is no error.
    fn delete_documents<'a>(
        &'a self,
        generation: &'a GenerationId,
        documents: &'a [DocumentId],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Erases documents from a complete generation. Where a complete generation never changes, `successor` is made, which is
    /// the same without them; `Taken` when that name is in use. The manifest tells which it is, and what it holds now.
    fn erase<'a>(
        &'a self,
        manifest: &'a Manifest,
        documents: &'a [DocumentId],
        successor: &'a GenerationId,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>>;

    /// Waits until all writes are durable and the index is built, then compares the store's own count of points with
    /// `counts.chunks` (`Torn` when they differ), and marks the generation complete. The last step of a build.
    fn seal<'a>(
        &'a self,
        manifest: &'a Manifest,
        counts: Counts,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>>;

    /// How far the index of a whole generation is. Does not wait for it.
    fn index<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<IndexState, StoreError>>;

    /// All generations of `alias`, whole or not, oldest first.
    fn generations<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>>;

    /// The generation that `alias` points at, `None` before the first publish.
    fn live<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Option<GenerationId>, StoreError>>;

    /// Compare-and-swap: points `alias` at `to` if it still points at `expected`, else fails with `Moved`.
    fn swap<'a>(
        &'a self,
        alias: &'a AliasName,
        expected: Option<&'a GenerationId>,
        to: &'a GenerationId,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The generation that serves a share beside the live one, `None` while there is none.
    fn canary<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Option<Canary>, StoreError>>;

    /// Compare-and-swap: makes `to` the canary of `alias`, or ends the canary, if it is still `expected`, else fails with
    /// `CanaryMoved`.
    fn swap_canary<'a>(
        &'a self,
        alias: &'a AliasName,
        expected: Option<&'a Canary>,
        to: Option<&'a Canary>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Deletes a generation that is neither live nor a canary. Fails with `Held` when a reader has it open and that can be known.
    fn delete<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<(), StoreError>>;
}

fn counts(documents: &BTreeMap<DocumentId, u64>) -> Counts {
    let number = u64::try_from(documents.len()).unwrap_or(u64::MAX);
    Counts { documents: number, chunks: documents.values().sum() }
}

/// Adds a point that was read back to its document's count.
fn tally(documents: &mut BTreeMap<DocumentId, u64>, name: Option<&str>) -> Result<(), StoreError> {
    let refused = |source| StoreError::Refused { action: "read chunks back", source };
    let name = name.ok_or_else(|| refused("a chunk names no document".into()))?;
    let document = DocumentId::parse(name).map_err(|fault| refused(fault.into()))?;
    *documents.entry(document).or_default() += 1;
    Ok(())
}

/// Why writing failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Choose another name.
    #[error("generation `{0}` exists already")]
    Taken(GenerationId),
    /// Look at `lectern-ingest list` for what is there.
    #[error("generation `{0}` does not exist")]
    Missing(GenerationId),
    /// Somebody else published in the meantime.
    #[error("alias `{alias}` points at {}, not at {} as expected: somebody else moved it; nothing was changed", shown(.found.as_deref()), shown(.expected.as_deref()))]
    Moved {
        /// The alias.
        alias: AliasName,
        /// What it was thought to point at.
        expected: Option<Box<GenerationId>>,
        /// What it points at.
        found: Option<Box<GenerationId>>,
    },
    /// Somebody else began or ended a canary in the meantime.
    #[error("the canary of alias `{alias}` is {}, not {} as expected: somebody else changed it; nothing was changed", on_trial(.found.as_deref()), on_trial(.expected.as_deref()))]
    CanaryMoved {
        /// The alias.
        alias: AliasName,
        /// What it was thought to be.
        expected: Option<Box<Canary>>,
        /// What it is.
        found: Option<Box<Canary>>,
    },
    /// The generation is live, a canary, or a process has it open.
    #[error("generation `{generation}` is in use by {holder}")]
    Held {
        /// The generation.
        generation: GenerationId,
        /// Who uses it.
        holder: String,
    },
    /// The build lost points: it must not be published.
    #[error("generation `{generation}` holds {found} chunks where {expected} were written")]
    Torn {
        /// The generation.
        generation: GenerationId,
        /// Chunks written.
        expected: u64,
        /// Chunks found.
        found: u64,
    },
    /// No room, no permission, a broken disk.
    #[error("cannot {action} `{path}`")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The store is down or overloaded.
    #[error("the vector store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store did not accept what was sent.
    #[error("the vector store refused to {action}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// The alias does not point where it was thought to.
    pub(crate) fn moved(
        alias: &AliasName,
        expected: Option<&GenerationId>,
        found: Option<GenerationId>,
    ) -> Self {
        let expected = expected.cloned().map(Box::new);
        Self::Moved { alias: alias.clone(), expected, found: found.map(Box::new) }
    }

    fn canary_moved(alias: &AliasName, expected: Option<&Canary>, found: Option<Canary>) -> Self {
        let expected = expected.cloned().map(Box::new);
        Self::CanaryMoved { alias: alias.clone(), expected, found: found.map(Box::new) }
    }

    fn incomplete(generation: &GenerationId) -> Self {
        let reason =
            format!("generation `{generation}` is not complete: its build is still running or was abandoned");
        Self::Refused { action: "use the generation", source: reason.into() }
    }

    fn sealed(generation: &GenerationId) -> Self {
        let reason = format!("generation `{generation}` is complete and never changes: build a new one");
        Self::Refused { action: "write into the generation", source: reason.into() }
    }

    fn ended(generation: &GenerationId) -> Self {
        let reason = format!("the build of generation `{generation}` has ended: build a new one");
        Self::Refused { action: "write into the generation", source: reason.into() }
    }
}

/// The store that the configuration names; `qdrant` says how generations are laid out there. Needs no store to be there yet.
pub fn connect(section: &StoreSection, qdrant: &QdrantSection) -> Result<Arc<dyn WriteStore>, BadStore> {
    Ok(match section.kind {
        StoreKind::Embedded => Arc::new(EmbeddedStore::new(&section.path)),
        StoreKind::Qdrant => Arc::new(QdrantStore::connect(section, qdrant)?),
    })
}

fn shown(generation: Option<&GenerationId>) -> String {
    generation.map_or_else(|| "nothing".to_owned(), |id| format!("`{id}`"))
}

fn on_trial(canary: Option<&Canary>) -> String {
    canary.map_or_else(
        || "none".to_owned(),
        |canary| format!("`{}` with {} %", canary.generation, canary.share),
    )
}
