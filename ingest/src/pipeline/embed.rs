//! The second stage: chunks become points; vectors come from the cache where the text is known, else from the embedder.
//! Never sends the same text twice: not within a batch, and not again once it is in the cache.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lectern_models::embedder::Embedder;
use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_schema::identifiers::{ContentHash, DocumentId};
use tokio::sync::mpsc;

use crate::extract::Skipped;
use crate::pipeline::error::BuildError;
use crate::pipeline::read::{Batch, Draft};
use crate::registry::Registry;
use crate::registry::documents::DocumentRecord;
use crate::registry::embeddings::EmbeddingDigest;
use crate::store::Point;

/// First wait before a call is tried again; doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
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
}

impl Vectors {
    /// Passes all batches on with their vectors. Tells the time that it took.
    pub(super) async fn run(
        &self,
        mut batches: mpsc::Receiver<Batch>,
        embedded: mpsc::Sender<Embedded>,
    ) -> Result<Duration, BuildError> {
        let mut took = Duration::ZERO;
        while let Some(batch) = batches.recv().await {
            let begun = Instant::now();
            let done = self.embed(batch).await?;
            took += begun.elapsed();
            embedded.send(done).await.map_err(|_| BuildError::StageGone)?;
        }
        Ok(took)
    }

    async fn embed(&self, batch: Batch) -> Result<Embedded, BuildError> {
        let texts: BTreeMap<&ContentHash, &str> = batch
            .drafts
            .iter()
            .map(|draft| (&draft.chunk.payload.content_hash, draft.chunk.embedded.as_str()))
            .collect();
        let (vectors, sent) = self.of(&texts).await?;
        let points =
            batch.drafts.into_iter().map(|draft| point(draft, &vectors)).collect::<Result<_, _>>()?;
        let Batch { documents, skipped, stale, .. } = batch;
        Ok(Embedded { points, documents, skipped, stale, sent })
    }

    /// One vector per text, and what had to be computed for it.
    pub(crate) async fn of(
        &self,
        texts: &BTreeMap<&ContentHash, &str>,
    ) -> Result<(HashMap<ContentHash, DenseVector>, Sent), BuildError> {
        let hashes: Vec<ContentHash> = texts.keys().map(|hash| (*hash).clone()).collect();
        let mut vectors = self.registry.cached_vectors(&self.digest, &hashes).await?;
        let mut unknown: Vec<(&ContentHash, &str)> = texts
            .iter()
            .filter(|(hash, _)| !vectors.contains_key(**hash))
            .map(|(hash, text)| (*hash, *text))
            .collect();
        // Texts of one length share a batch of the model without padding.
        unknown.sort_by_key(|(hash, text)| (text.len(), *hash));
        let calls: Vec<Vec<(ContentHash, String)>> = unknown
            .chunks(self.embedder.batch().get())
            .map(|call| call.iter().map(|(hash, text)| ((*hash).clone(), (*text).to_owned())).collect())
            .collect();
        let mut computed = stream::iter(calls)
            .map(|call| self.remembered(call))
            .buffer_unordered(self.embedder.width().get().saturating_add(1));
        while let Some(call) = computed.try_next().await? {
            vectors.extend(call);
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
