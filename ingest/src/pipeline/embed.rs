//! The second stage: chunks become points; vectors come from the cache where the text is known, else from the embedder.
//! Never sends the same text twice: not within a batch, and not again once it is in the cache.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lectern_models::embedder::Embedder;
use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_schema::identifiers::{ContentHash, DocumentId};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::extract::Skipped;
use crate::pipeline::Encoder;
use crate::pipeline::claims::Claims;
use crate::pipeline::error::BuildError;
use crate::pipeline::read::{Batch, Draft};
use crate::registry::Registry;
use crate::registry::documents::DocumentRecord;
use crate::registry::embeddings::EmbeddingDigest;
use crate::store::Point;

/// First wait before a call is tried again; doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Batches that are embedded at once: while the last calls of one are under way, the next one's keep the embedder busy.
const BATCHES_AT_ONCE: usize = 2;
/// Longest wait before a call is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Points ready to be written, and what became of their documents.
#[derive(Debug, Default)]
pub(super) struct Embedded {
    pub(super) points: Vec<Point>,
    pub(super) documents: Vec<DocumentRecord>,
    pub(super) skipped: Vec<Skipped>,
    /// Documents of which an interrupted build wrote something that must go before this batch is written.
    pub(super) stale: Vec<DocumentId>,
    /// What was sent to the embedder; the vectors of all other chunks were known.
    pub(super) sent: Sent,
}

/// What an embedder was asked to embed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    /// Texts.
    pub(crate) texts: usize,
    /// Their tokens, by the embedder's own count where that is known: what a paid one charges for.
    pub(crate) tokens: usize,
}

/// Turns text into vectors, by way of the cache.
#[derive(Debug, Clone)]
pub(crate) struct Vectors {
    pub(crate) embedder: Arc<Embedder>,
    pub(crate) registry: Registry,
    pub(crate) digest: EmbeddingDigest,
    /// How long one batch may take, all tries together.
    pub(crate) patience: Duration,
    /// What is being embedded now.
    claims: Claims,
    /// Held by the batch that has calls to begin: the next one's fill what it leaves idle, and do not slow it down.
    turn: Arc<Mutex<()>>,
}

impl Vectors {
    /// Embeds with the encoder's model; `registry` is the cache.
    pub(crate) fn new(encoder: &Encoder, registry: Registry, patience: Duration) -> Self {
        let embedder = Arc::clone(&encoder.embedder);
        let digest = EmbeddingDigest::of(&encoder.encoding.embedding);
        Self { embedder, registry, digest, patience, claims: Claims::default(), turn: Arc::default() }
    }

    /// Passes all batches on with their vectors, in their order. Tells the time during which any was waited for.
    pub(super) async fn run(
        &self,
        batches: mpsc::Receiver<Batch>,
        embedded: mpsc::Sender<Embedded>,
    ) -> Result<Duration, BuildError> {
        let batches = stream::unfold(batches, async |mut rest| Some((rest.recv().await?, rest)));
        // Each in a task of its own: one that were not polled while its forerunner is sent on would keep its connection to the
        // registry from those who have to write before there is room again.
        let embedding = batches.map(|batch| {
            let vectors = self.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { vectors.embed(batch).await }))
        });
        let mut done = pin!(embedding.buffered(BATCHES_AT_ONCE));
        let (mut took, mut counted) = (Duration::ZERO, None);
        while let Some(batch) = done.next().await {
            let (begun, batch) = batch.map_err(BuildError::Panicked)??;
            let now = Instant::now();
            took += now.saturating_duration_since(counted.map_or(begun, |counted| begun.max(counted)));
            counted = Some(now);
            embedded.send(batch).await.map_err(|_| BuildError::StageGone)?;
        }
        Ok(took)
    }

    /// The batch with its vectors, and when they were first wanted.
    async fn embed(&self, batch: Batch) -> Result<(Instant, Embedded), BuildError> {
        let begun = Instant::now();
        let texts: BTreeMap<&ContentHash, &str> = batch
            .drafts
            .iter()
            .map(|draft| (&draft.chunk.payload.content_hash, draft.chunk.embedded.as_str()))
            .collect();
        let (vectors, sent) = self.of(&texts).await?;
        let points =
            batch.drafts.into_iter().map(|draft| point(draft, &vectors)).collect::<Result<_, _>>()?;
        let Batch { documents, skipped, stale, .. } = batch;
        Ok((begun, Embedded { points, documents, skipped, stale, sent }))
    }

    /// One vector per text, and what had to be computed for it.
    pub(crate) async fn of(
        &self,
        texts: &BTreeMap<&ContentHash, &str>,
    ) -> Result<(HashMap<ContentHash, DenseVector>, Sent), BuildError> {
        let hashes: Vec<ContentHash> = texts.keys().map(|hash| (*hash).clone()).collect();
        let mut vectors = self.registry.cached_vectors(&self.digest, &hashes).await?;
        let unknown = texts.iter().filter(|(hash, _)| !vectors.contains_key(**hash));
        let unknown = unknown.map(|(hash, text)| (*hash, *text));
        let (mut unknown, others): (Vec<(&ContentHash, &str)>, Vec<_>) =
            unknown.partition(|(hash, _)| self.claims.claim(hash));
        // Texts of one length share a batch of the model without padding.
        unknown.sort_by_key(|(hash, text)| (text.len(), *hash));
        let calls: Vec<Vec<(ContentHash, String)>> = unknown
            .chunks(self.embedder.batch().get())
            .map(|call| call.iter().map(|(hash, text)| ((*hash).clone(), (*text).to_owned())).collect())
            .collect();
        let mut turn = Some(self.turn.lock().await);
        let last = calls.len().saturating_sub(1);
        let mut computed = stream::iter(calls.into_iter().enumerate())
            .map(|(place, call)| {
                turn.take_if(|_| place == last);
                self.remembered(call)
            })
            .buffer_unordered(self.embedder.width().get().saturating_add(1));
        while let Some(call) = computed.try_next().await? {
            vectors.extend(call);
        }
        // Without calls of its own it still has its turn, which those may be waiting for that it is about to wait for.
        drop(computed);
        drop(turn);
        let others: Vec<ContentHash> = others.into_iter().map(|(hash, _)| hash.clone()).collect();
        if !others.is_empty() {
            self.claims.ended(&others).await;
            vectors.extend(self.registry.cached_vectors(&self.digest, &others).await?);
        }
        let tokens = unknown.iter().map(|(_, text)| self.embedder.count_tokens(text)).sum();
        Ok((vectors, Sent { texts: unknown.len(), tokens }))
    }

    /// Computes the vectors of one call and caches them at once: what a killed process takes along is only what was on its
    /// way.
    async fn remembered(
        &self,
        unknown: Vec<(ContentHash, String)>,
    ) -> Result<Vec<(ContentHash, DenseVector)>, BuildError> {
        let computed = self.computed(unknown).await?;
        self.registry.cache_vectors(&self.digest, &computed).await?;
        self.claims.release(computed.iter().map(|(hash, _)| hash));
        Ok(computed)
    }

    async fn computed(
        &self,
        unknown: Vec<(ContentHash, String)>,
    ) -> Result<Vec<(ContentHash, DenseVector)>, BuildError> {
        let (hashes, texts): (Vec<ContentHash>, Vec<String>) = unknown.into_iter().unzip();
        let elements = self.patiently(texts).await?;
        if elements.len() != hashes.len() {
            return Err(BuildError::VectorCount { texts: hashes.len(), vectors: elements.len() });
        }
        let dimension = self.embedder.identity().dimension;
        let mut computed = Vec::with_capacity(hashes.len());
        for (hash, elements) in hashes.into_iter().zip(elements) {
            let vector = DenseVector::parse(elements)?;
            if u32::try_from(vector.dimension()) != Ok(dimension) {
                return Err(BuildError::Dimension { configured: dimension, found: vector.dimension() });
            }
            computed.push((hash, vector));
        }
        Ok(computed)
    }

    /// Tries again what is worth it, ever more slowly, until the batch's time is up.
    pub(crate) async fn patiently(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, BuildError> {
        let deadline = Deadline::after(Instant::now(), self.patience);
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.embedder.embed(texts.clone(), deadline).await {
                Ok(vectors) => return Ok(vectors),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error.into()),
            };
            let wait = error.retry_after().unwrap_or(pause).max(pause);
            if deadline.remaining(Instant::now()) <= wait {
                return Err(error.into());
            }
            let wait_ms = crate::pipeline::report::millis(wait);
            tracing::warn!(model = error.model(), wait_ms, error = %error, "embedder is tried again");
            tokio::time::sleep(wait).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

fn point(draft: Draft, vectors: &HashMap<ContentHash, DenseVector>) -> Result<Point, BuildError> {
    let hash = &draft.chunk.payload.content_hash;
    let dense = vectors.get(hash).cloned();
    let dense = dense.ok_or(BuildError::VectorCount { texts: vectors.len() + 1, vectors: vectors.len() })?;
    Ok(Point { id: draft.chunk.id, dense, sparse: draft.sparse, payload: draft.chunk.payload })
}
