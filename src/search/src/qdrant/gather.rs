//! Puts concurrent searches of one generation into common calls, which cost Qdrant less than one call for each.
//! Never makes a search wait while a call may be begun, and never past its own deadline.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::future::join_all;
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::GenerationId;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{QueryBatchPoints, QueryPoints, ScoredPoint};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::Connection;
use super::status::of_generation;
use crate::error::SearchError;

/// The way of searches to one generation. Dropping it gives up the calls under way.
pub(super) struct Gatherer {
    shared: Arc<Shared>,
    /// The runtime that the store was made in: it outlives those of single workers.
    runtime: Option<Handle>,
    /// Owns the calls, so that none outlives its generation.
    calls: Mutex<JoinSet<()>>,
}

struct Shared {
    connection: Connection,
    generation: GenerationId,
    /// Most searches in a call.
    most: NonZeroUsize,
    /// Most calls at once.
    parallel: NonZeroUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    searches: VecDeque<Asked>,
    callers: usize,
}

/// A search, and who waits for its points.
struct Asked {
    request: QueryPoints,
    deadline: Deadline,
    reply: oneshot::Sender<Result<Vec<ScoredPoint>, SearchError>>,
}

impl Gatherer {
    /// Searches `generation` by at most `parallel` calls at once of at most `most` searches.
    pub(super) fn new(
        connection: Connection,
        generation: GenerationId,
        most: NonZeroUsize,
        parallel: NonZeroUsize,
    ) -> Self {
        let shared = Shared { connection, generation, most, parallel, waiting: Mutex::default() };
        Self { shared: Arc::new(shared), runtime: Handle::try_current().ok(), calls: Mutex::default() }
    }

    /// The points that `request` finds.
    pub(super) async fn find(
        &self,
        request: QueryPoints,
        deadline: Deadline,
    ) -> Result<Vec<ScoredPoint>, SearchError> {
        let (reply, points) = oneshot::channel();
        let Some(asked) = self.shared.queue_unless_free(Asked { request, deadline, reply }) else {
            return match timeout_at(deadline.instant().into(), points).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => Err(SearchError::unavailable("the task that searches has ended")),
                Err(_) => Err(SearchError::Late),
            };
        };
        let _turn = Turn(self);
        self.shared.find_alone(asked.request, deadline).await
    }

    fn begin_calling(&self) {
        let work = Caller(Arc::clone(&self.shared)).run();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.try_join_next().is_some() {}
        match &self.runtime {
            Some(runtime) => calls.spawn_on(work, runtime),
            None => calls.spawn(work),
        };
    }
}

/// The right to make a call. Whoever is done with it leaves it to those who wait meanwhile.
struct Turn<'a>(&'a Gatherer);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.0.shared.is_done() {
            self.0.begin_calling();
        }
    }
}

impl Shared {
    /// Gives the search back when a call may be made for it at once; else it waits for one.
    fn queue_unless_free(&self, asked: Asked) -> Option<Asked> {
        let mut waiting = self.lock();
        if waiting.callers < self.parallel.get() {
            waiting.callers += 1;
            return Some(asked);
        }
        waiting.searches.push_back(asked);
        None
    }

    /// The next searches to be made together; none when nobody waits. Who has gone or is late costs the others nothing.
    fn next_batch(&self, now: Instant) -> Vec<Asked> {
        let mut waiting = self.lock();
        waiting.searches.retain(|asked| !asked.reply.is_closed() && !asked.deadline.has_passed(now));
        let most = self.most.get().min(waiting.searches.len());
        waiting.searches.drain(..most).collect()
    }

    /// Whether there is nothing left to do for a caller, which then is none any more.
    fn is_done(&self) -> bool {
        let mut waiting = self.lock();
        let is_done = waiting.searches.is_empty();
        waiting.callers -= usize::from(is_done);
        is_done
    }

    async fn answer(&self, batch: Vec<Asked>) {
        if batch.len() == 1 {
            join_all(batch.into_iter().map(|asked| self.answer_alone(asked))).await;
            return;
        }
        match self.find_together(&batch).await {
            Ok(found) => {
                for (asked, points) in batch.into_iter().zip(found) {
                    // Who has gone meanwhile does not take it.
                    let _ = asked.reply.send(Ok(points));
                }
            }
            // One of them may be at fault, and the others must not suffer for it.
            Err(SearchError::Refused(_)) => {
                join_all(batch.into_iter().map(|asked| self.answer_alone(asked))).await;
            }
            Err(error) => {
                for asked in batch {
                    let _ = asked.reply.send(Err(error.repeated()));
                }
            }
        }
    }

    async fn answer_alone(&self, asked: Asked) {
        let Asked { request, deadline, reply } = asked;
        let found = self.find_alone(request, deadline).await;
        let _ = reply.send(found);
    }

    async fn find_alone(
        &self,
        request: QueryPoints,
        deadline: Deadline,
    ) -> Result<Vec<ScoredPoint>, SearchError> {
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move {
                let answer = client.query(request).await;
                answer.map_err(|fault| of_generation(fault, &self.generation))
            }
        };
        Ok(self.connection.call(deadline, call).await?.result)
    }

    /// The points of every search, in their order. Takes until the last of their deadlines: each waits only for its own.
    async fn find_together(&self, batch: &[Asked]) -> Result<Vec<Vec<ScoredPoint>>, SearchError> {
        let request = QueryBatchPoints {
            collection_name: self.generation.to_string(),
            query_points: batch.iter().map(|asked| asked.request.clone()).collect(),
            timeout: batch.iter().filter_map(|asked| asked.request.timeout).max(),
            ..QueryBatchPoints::default()
        };
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move {
                let answer = client.query_batch(request).await;
                answer.map_err(|fault| of_generation(fault, &self.generation))
            }
        };
        let deadline = batch.iter().map(|asked| asked.deadline).max().ok_or(SearchError::Late)?;
        let found = self.connection.call(deadline, call).await?.result;
        if found.len() != batch.len() {
            let (asked, got) = (batch.len(), found.len());
            return Err(SearchError::garbled(format!("{got} results for {asked} searches")));
        }
        Ok(found.into_iter().map(|one| one.result).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes calls as long as somebody waits.
struct Caller(Arc<Shared>);

impl Caller {
    async fn run(self) {
        loop {
            let batch = self.0.next_batch(Instant::now());
            if !batch.is_empty() {
                self.0.answer(batch).await;
            }
            if self.0.is_done() {
                return;
            }
        }
    }
}
