//! One open generation of the embedded store.
//! Never searches on an async worker, and never on more threads than there are cores.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::{DENSE_VECTOR, DenseVector, SPARSE_VECTOR, SparseVector};
use lectern_schema::fingerprint::Encoding;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{ChunkId, GenerationId};
use qdrant_edge::{
    CountRequest, EdgeShard, Fusion, NamedQuery, OperationError, PointId, Prefetch, QueryEnum, QueryRequest,
    ScoredPoint, ScoringQuery, VectorInternal, WithPayloadInterface, WithVector,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::layout::{FileFault, Layout};
use super::lock::{FileLock, LockError, Locked};
use super::{filter, stored, work};
use crate::error::{OpenError, SearchError};
use crate::query::{Hit, Plan, Query, RRF_K, ScoreKind};
use crate::stored::{Page, StoredChunk};
use crate::{Collection, manifest};

/// An open generation, locked against every other process.
#[derive(Debug)]
pub(super) struct EmbeddedCollection {
    manifest: Manifest,
    shard: Arc<Locked<EdgeShard>>,
    cores: Arc<Semaphore>,
}

impl EmbeddedCollection {
    /// Locks and loads a generation, whose queries will share `cores`. Blocks the thread.
    pub(super) fn load(
        layout: &Layout,
        generation: &GenerationId,
        encoding: &Encoding,
        patience: Duration,
        cores: Arc<Semaphore>,
    ) -> Result<Self, OpenError> {
        // Before the lock, so that a generation which is still held by its build is reported as what it is.
        checked_manifest(layout, generation, encoding)?;
        let lock = match FileLock::take(&layout.generation_lock(generation), patience) {
            Ok(lock) => lock,
            Err(LockError::Held(holder)) => {
                return Err(OpenError::Held { generation: generation.clone(), holder });
            }
            Err(LockError::File(fault)) if fault.source.kind() == ErrorKind::NotFound => {
                return Err(SearchError::Gone(generation.clone()).into());
            }
            Err(LockError::File(fault)) => return Err(SearchError::from(fault).into()),
        };
        // Again, since the generation may have been deleted while the lock was waited for.
        let manifest = checked_manifest(layout, generation, encoding)?;
        let shard = EdgeShard::load(&layout.shard(generation), None).map_err(SearchError::unavailable)?;
        Ok(Self { manifest, shard: Arc::new(Locked::new(shard, lock)), cores })
    }

    /// Runs a query on a thread of its own, as soon as a core is free. The core stays taken until the query has ended,
    /// even when nobody waits for it any more.
    async fn on_core<T: Send + 'static>(
        &self,
        deadline: Deadline,
        query: impl FnOnce(&EdgeShard) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let core = work::by(deadline, Arc::clone(&self.cores).acquire_owned()).await?;
        let core = core.map_err(SearchError::unavailable)?;
        let shard = Arc::clone(&self.shard);
        work::run(deadline, move || {
            let found =
                shard.get().ok_or_else(|| SearchError::unavailable("the shard is closed")).and_then(query);
            drop(core);
            found
        })
        .await
    }

    async fn find(&self, query: &Query, deadline: Deadline) -> Result<Vec<Hit>, SearchError> {
        let kind = query.arms.plan().score_kind();
        let Some(request) = request(query)? else { return Ok(Vec::new()) };
        let hits = self
            .on_core(deadline, move |shard| {
                let points = shard.query(request).map_err(SearchError::from)?;
                points.into_iter().map(|point| hit(point, kind)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(query.best(hits))
    }

    async fn count_chunks(&self, deadline: Deadline) -> Result<u64, SearchError> {
        let request = CountRequest { filter: None, exact: true };
        let count =
            self.on_core(deadline, move |shard| shard.count(request).map_err(SearchError::from)).await?;
        u64::try_from(count).map_err(SearchError::garbled)
    }
}

impl Collection for EmbeddedCollection {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn search<'a>(
        &'a self,
        query: &'a Query,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Hit>, SearchError>> {
        self.find(query, deadline).boxed()
    }

    fn count(&self, deadline: Deadline) -> BoxFuture<'_, Result<u64, SearchError>> {
        self.count_chunks(deadline).boxed()
    }

    fn page(&self, from: Option<ChunkId>, deadline: Deadline) -> BoxFuture<'_, Result<Page, SearchError>> {
        self.on_core(deadline, move |shard| stored::page(shard, from)).boxed()
    }

    fn chunks<'a>(
        &'a self,
        ids: &'a [ChunkId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<StoredChunk>, SearchError>> {
        let ids = ids.to_vec();
        self.on_core(deadline, move |shard| stored::chunks(shard, &ids)).boxed()
    }
}

fn checked_manifest(
    layout: &Layout,
    generation: &GenerationId,
    encoding: &Encoding,
) -> Result<Manifest, OpenError> {
    let manifest = match layout.manifest(generation).map_err(SearchError::from)? {
        Some(manifest) => manifest,
        None if layout.generation(generation).is_dir() => {
            return Err(OpenError::Incomplete(generation.clone()));
        }
        None => return Err(SearchError::Gone(generation.clone()).into()),
    };
    manifest::check(&manifest, encoding)?;
    Ok(manifest)
}

/// The engine's request, `None` when there is nothing to search for.
fn request(query: &Query) -> Result<Option<QueryRequest>, SearchError> {
    let filter = query.filter.as_ref().map(filter::convert).transpose()?;
    let fetched = usize::try_from(query.fetched()).map_err(SearchError::refused)?;
    let candidates = usize::try_from(query.candidates()).map_err(SearchError::refused)?;
    let arm = |vector| Prefetch {
        prefetches: Vec::new(),
        query: Some(vector),
        limit: candidates,
        params: None,
        filter: filter.clone(),
        score_threshold: None,
    };
    let (prefetches, root) = match query.arms.plan() {
        Plan::Nothing => return Ok(None),
        Plan::Dense(vector) => (Vec::new(), dense(vector)),
        Plan::Sparse(vector) => (Vec::new(), sparse(vector)?),
        Plan::Fused(meaning, words) => {
            let k = usize::try_from(RRF_K).map_err(SearchError::refused)?;
            let fusion = ScoringQuery::Fusion(Fusion::Rrf { k, weights: None });
            (vec![arm(dense(meaning)), arm(sparse(words)?)], fusion)
        }
    };
    Ok(Some(QueryRequest {
        filter: if prefetches.is_empty() { filter } else { None },
        prefetches,
        query: Some(root),
        score_threshold: None,
        limit: fetched,
        offset: 0,
        params: None,
        with_vector: WithVector::Bool(false),
        with_payload: WithPayloadInterface::Bool(true),
    }))
}

fn dense(vector: &DenseVector) -> ScoringQuery {
    nearest(VectorInternal::Dense(vector.as_slice().to_vec()), DENSE_VECTOR)
}

fn sparse(vector: &SparseVector) -> Result<ScoringQuery, SearchError> {
    let (indices, values) = (vector.indices().to_vec(), vector.values().to_vec());
    let vector = qdrant_edge::SparseVector::new(indices, values)
        .map_err(|fault| SearchError::refused(fault.to_string()))?;
    Ok(nearest(VectorInternal::Sparse(vector), SPARSE_VECTOR))
}

fn nearest(query: VectorInternal, using: &str) -> ScoringQuery {
    ScoringQuery::Vector(QueryEnum::Nearest(NamedQuery { query, using: Some(using.to_owned()) }))
}

fn hit(point: ScoredPoint, kind: ScoreKind) -> Result<Hit, SearchError> {
    let id = match point.id {
        PointId::Uuid(id) => Some(id.to_string()),
        PointId::NumId(_) => None,
    };
    let payload = point.payload.map(|payload| Value::Object(payload.0)).unwrap_or_default();
    Hit::parse(id.as_deref(), point.score, kind, serde_json::from_value(payload))
}

impl From<FileFault> for SearchError {
    fn from(fault: FileFault) -> Self {
        match fault.source.kind() {
            ErrorKind::InvalidData => Self::garbled(fault),
            _ => Self::unavailable(fault),
        }
    }
}

impl From<OperationError> for SearchError {
    fn from(fault: OperationError) -> Self {
        match fault {
            OperationError::Timeout { .. } | OperationError::Cancelled { .. } => Self::Late,
            OperationError::WrongVectorDimension { .. }
            | OperationError::VectorNameNotExists { .. }
            | OperationError::ValidationError { .. }
            | OperationError::WrongSparse
            | OperationError::WrongMulti => Self::refused(fault),
            OperationError::InconsistentStorage { .. } => Self::garbled(fault),
            _ => Self::unavailable(fault),
        }
    }
}
