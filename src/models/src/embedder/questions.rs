//! Lets questions that are asked at the same time share a call to the embedder.
//! Never makes a question wait for another one while nothing is under way, and never past its own deadline.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use lectern_resilience::deadline::Deadline;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Backend;
use crate::error::ModelError;
use crate::patience::until;

/// Questions that may wait to be put into a batch; who comes later waits in its own task, until its deadline.
const WAITING: usize = 1_024;

/// The way of questions to the embedder. Dropping it gives up the calls under way.
///
/// A question that finds nothing under way is sent at once: it could wait in vain, and most questions come alone. While
/// calls are under way, those that come gather for the bounded wait, or until the batch is full or a call has ended: that
/// is when there are many, and when a call of their own would compete with those under way.
#[derive(Debug)]
pub(super) struct Questions {
    backend: Arc<Backend>,
    model: String,
    size: NonZeroUsize,
    wait: Duration,
    /// The runtime that the embedder was made in: it outlives those of single workers.
    runtime: Option<Handle>,
    gathering: OnceLock<Gathering>,
}

/// The task that makes batches.
#[derive(Debug)]
struct Gathering {
    queue: mpsc::Sender<Asked>,
    task: AbortHandle,
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A question, and who waits for its vector.
#[derive(Debug)]
struct Asked {
    text: String,
    deadline: Deadline,
    reply: oneshot::Sender<Result<Vec<f32>, ModelError>>,
}

impl Questions {
    /// Batches of at most `size` for the backend.
    pub(super) fn new(backend: Arc<Backend>, model: &str, size: NonZeroUsize, wait: Duration) -> Self {
        let runtime = Handle::try_current().ok();
        Self { backend, model: model.to_owned(), size, wait, runtime, gathering: OnceLock::new() }
    }

    /// The vector of one question.
    pub(super) async fn embed(&self, text: String, deadline: Deadline) -> Result<Vec<f32>, ModelError> {
        let (reply, vector) = oneshot::channel();
        let asked = Asked { text, deadline, reply };
        let ended = || ModelError::unavailable(&self.model, "the task that embeds questions has ended");
        let answered = async {
            self.gathering().queue.send(asked).await.map_err(|_| ended())?;
            vector.await.map_err(|_| ended())?
        };
        until(deadline, answered).await.unwrap_or_else(|| Err(ModelError::late(&self.model)))
    }

    fn gathering(&self) -> &Gathering {
        self.gathering.get_or_init(|| {
            let (queue, asked) = mpsc::channel(WAITING);
            let batches = Batches {
                backend: Arc::clone(&self.backend),
                size: self.size.get(),
                wait: self.wait,
                asked,
                calls: JoinSet::new(),
            };
            let task = match &self.runtime {
                Some(runtime) => runtime.spawn(batches.run()),
                None => tokio::spawn(batches.run()),
            };
            Gathering { queue, task: task.abort_handle() }
        })
    }
}

/// Makes batches and calls; owned by its task, and the calls by it.
#[derive(Debug)]
struct Batches {
    backend: Arc<Backend>,
    size: usize,
    wait: Duration,
    asked: mpsc::Receiver<Asked>,
    calls: JoinSet<()>,
}

impl Batches {
    async fn run(mut self) {
        while let Some(first) = self.asked.recv().await {
            let mut batch = vec![first];
            self.gather(&mut batch).await;
            // Who has gone or is late costs the others nothing.
            let now = std::time::Instant::now();
            batch.retain(|asked| !asked.reply.is_closed() && !asked.deadline.has_passed(now));
            if !batch.is_empty() {
                self.calls.spawn(answer(Arc::clone(&self.backend), batch));
            }
        }
        self.calls.join_all().await;
    }

    /// Adds to the batch until it may leave: at once when nothing is under way, else as described above.
    async fn gather(&mut self, batch: &mut Vec<Asked>) {
        self.take_waiting(batch);
        let leaves = Instant::now() + self.wait;
        while self.calls.try_join_next().is_some() {}
        let under_way = self.calls.len();
        while !self.calls.is_empty() && batch.len() < self.size {
            let is_full = self.calls.len() >= self.backend.width();
            if !is_full && (self.calls.len() < under_way || Instant::now() >= leaves) {
                return;
            }
            tokio::select! {
                Some(asked) = self.asked.recv() => batch.push(asked),
                Some(_) = self.calls.join_next() => {}
                () = tokio::time::sleep_until(leaves), if !is_full => {}
            }
        }
        // A full batch still needs a place.
        while self.calls.len() >= self.backend.width() {
            self.calls.join_next().await;
        }
    }

    /// What is in the queue already costs no wait.
    fn take_waiting(&mut self, batch: &mut Vec<Asked>) {
        while batch.len() < self.size
            && let Ok(asked) = self.asked.try_recv()
        {
            batch.push(asked);
        }
    }
}

/// Answers a batch by one call, for as long as anybody waits for it.
async fn answer(backend: Arc<Backend>, mut batch: Vec<Asked>) {
    let texts: Vec<String> = batch.iter().map(|asked| asked.text.clone()).collect();
    let latest = batch.iter().map(|asked| asked.deadline).max();
    let Some(deadline) = latest else { return };
    let embedded = {
        let all_gone = join_all(batch.iter_mut().map(|asked| asked.reply.closed()));
        tokio::select! {
            embedded = backend.embed(texts, deadline) => embedded,
            _ = all_gone => return,
        }
    };
    match embedded {
        Ok(vectors) => {
            for (asked, vector) in batch.into_iter().zip(vectors) {
                // Nobody may be waiting any more: then the vector is of no use.
                let _ = asked.reply.send(Ok(vector));
            }
        }
        Err(error) if batch.len() > 1 && backend.may_blame_a_text(&error) => {
            one_by_one(&backend, batch).await;
        }
        Err(error) => {
            let again = error.shared();
            for asked in batch {
                let _ = asked.reply.send(Err(again()));
            }
        }
    }
}

/// One text that the embedder does not take must not cost the others theirs.
async fn one_by_one(backend: &Backend, batch: Vec<Asked>) {
    join_all(batch.into_iter().map(async |asked| {
        let embedded = backend.embed(vec![asked.text], asked.deadline).await;
        let _ = asked.reply.send(embedded.map(|vectors| vectors.into_iter().next().unwrap_or_default()));
    }))
    .await;
}
