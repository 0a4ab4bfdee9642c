//! One generation in Qdrant.
//! Never searches through the alias: what was opened is what is asked, whatever is published meanwhile.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::gather::{Bounds, Gather};
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::ChunkId;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::{CountPoints, ScoredPoint};
use qdrant_client::{Payload, Qdrant};

use super::gather::Searches;
use super::status::of_generation;
use super::{Connection, request, stored};
use crate::Collection;
use crate::error::SearchError;
use crate::query::{Hit, Query, ScoreKind};
use crate::stored::{Page, StoredChunk};

/// An open generation.
pub(super) struct QdrantCollection {
    connection: Connection,
    searches: Gather<Searches>,
    manifest: Manifest,
}

impl QdrantCollection {
    pub(super) fn new(connection: Connection, manifest: Manifest) -> Self {
        let Connection { batch, concurrency, .. } = connection;
        // Nobody waits for others while a call may begin: there is no time to gather in.
        let bounds = Bounds { asks: batch, eager: concurrency, calls: concurrency, wait: Duration::ZERO };
        let searches = Searches { connection: connection.clone(), generation: manifest.generation.clone() };
        Self { connection, searches: Gather::new(searches, bounds), manifest }
    }

    async fn find(&self, query: &Query, deadline: Deadline) -> Result<Vec<Hit>, SearchError> {
        let kind = query.arms.plan().score_kind();
        let timeout = seconds_left(deadline)?;
        let Some(request) = request::query(&self.manifest.generation, query, timeout) else {
            return Ok(Vec::new());
        };
        let mut points = self.searches.ask(request, deadline).await?;
        // More are fetched than are kept: those are not worth reading.
        points.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| uuid(a).cmp(&uuid(b))));
        points.truncate(query.limit.get().into());
        let hits = points.into_iter().map(|point| hit(point, kind)).collect::<Result<_, _>>()?;
        Ok(query.best(hits))
    }

    async fn count_chunks(&self, deadline: Deadline) -> Result<u64, SearchError> {
        let request = CountPoints {
            collection_name: self.manifest.generation.to_string(),
            exact: Some(true),
            timeout: Some(seconds_left(deadline)?),
            ..CountPoints::default()
        };
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move {
                let answer = client.count(request).await;
                answer.map_err(|fault| of_generation(fault, &self.manifest.generation))
            }
        };
        let response = self.connection.call(deadline, call).await?;
        let counted = response.result.ok_or_else(|| SearchError::garbled("no count in the answer"))?;
        Ok(counted.count)
    }

    async fn read_page(&self, from: Option<ChunkId>, deadline: Deadline) -> Result<Page, SearchError> {
        let generation = &self.manifest.generation;
        let request = stored::scroll(generation, from, seconds_left(deadline)?);
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move { client.scroll(request).await.map_err(|fault| of_generation(fault, generation)) }
        };
        stored::page(self.connection.call(deadline, call).await?)
    }

    async fn read_chunks(
        &self,
        ids: &[ChunkId],
        deadline: Deadline,
    ) -> Result<Vec<StoredChunk>, SearchError> {
        let generation = &self.manifest.generation;
        let request = stored::get(generation, ids, seconds_left(deadline)?);
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move { client.get_points(request).await.map_err(|fault| of_generation(fault, generation)) }
        };
        let points = self.connection.call(deadline, call).await?.result;
        points.into_iter().map(stored::chunk).collect()
    }
}

impl fmt::Debug for QdrantCollection {
    /// Leaves out the client, whose configuration holds the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QdrantCollection").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl Collection for QdrantCollection {
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
        self.read_page(from, deadline).boxed()
    }

    fn chunks<'a>(
        &'a self,
        ids: &'a [ChunkId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<StoredChunk>, SearchError>> {
        self.read_chunks(ids, deadline).boxed()
    }
}

/// The time left in Qdrant's unit, whole seconds, rounded up: Qdrant takes no less than one, and the exact moment is
/// kept on this side.
fn seconds_left(deadline: Deadline) -> Result<u64, SearchError> {
    let left = deadline.remaining(Instant::now());
    if left.is_zero() {
        return Err(SearchError::Late);
    }
    Ok(left.saturating_add(Duration::from_nanos(999_999_999)).as_secs())
}

/// Its order as text is the order of ids.
fn uuid(point: &ScoredPoint) -> Option<&str> {
    match point.id.as_ref()?.point_id_options.as_ref()? {
        PointIdOptions::Uuid(id) => Some(id),
        PointIdOptions::Num(_) => None,
    }
}

fn hit(mut point: ScoredPoint, kind: ScoreKind) -> Result<Hit, SearchError> {
    let payload = Payload::from(std::mem::take(&mut point.payload));
    Hit::parse(uuid(&point), point.score, kind, payload.deserialize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_rounded_up_to_seconds_and_never_zero() {
        let after = |budget| Deadline::after(Instant::now(), Duration::from_millis(budget));
        assert_eq!(seconds_left(after(100)).unwrap(), 1);
        assert_eq!(seconds_left(after(1_900)).unwrap(), 2);
        assert!(matches!(seconds_left(after(0)), Err(SearchError::Late)));
    }
}
