//! Looks at sampled chunks: are they what was cut, and are their vectors those of their texts?
//! Never decides what follows from it.

use std::time::Duration;

use lectern_schema::embedding::DenseVector;
use lectern_schema::fingerprint::Chunker;
use lectern_schema::identifiers::{ChunkId, ContentHash};
use lectern_search::stored::StoredChunk;

use crate::chunk;
use crate::chunk::represented::embedded;
use crate::examine::ExamineError;
use crate::lifecycle::gate::alike::cosine;
use crate::lifecycle::gate::embedding::Agreement;
use crate::lifecycle::gate::texts::Text;
use crate::pipeline::embed::Vectors;

/// Chunks of a generation for each one that is embedded again: a quarter of a percent, so that an ingest of few changes
/// stays one of few calls.
const CHUNKS_PER_CALL: u64 = 400;
/// Fewest chunks that are embedded again: a wrong model shows in every one.
const FEWEST_CALLS: usize = 4;

/// Sampled chunks and what they are checked with.
pub(super) struct Sample<'a> {
    pub(super) chunks: &'a [StoredChunk],
    pub(super) chunker: &'a Chunker,
    pub(super) vectors: &'a Vectors,
}

impl Sample<'_> {
    /// The vectors of chunks with different content.
    pub(super) fn different(&self) -> Vec<&[f32]> {
        let mut seen: Vec<&ContentHash> = Vec::new();
        let mut vectors = Vec::new();
        for chunk in self.chunks {
            let Some(payload) = &chunk.payload else { continue };
            if !seen.contains(&&payload.content_hash) {
                seen.push(&payload.content_hash);
                vectors.push(chunk.dense.as_slice());
            }
        }
        vectors
    }

    /// What is wrong with the chunks' texts, or why that cannot be said.
    pub(super) fn texts(&self) -> Result<Vec<Text>, String> {
        self.refuse_other_cuts()?;
        Ok(self.chunks.iter().map(|chunk| self.text(chunk)).collect())
    }

    fn text(&self, chunk: &StoredChunk) -> Text {
        let Some(payload) = &chunk.payload else { return Text::Unreadable };
        let counted = u32::try_from(self.vectors.embedder.count_tokens(&payload.text));
        let id = ChunkId::derive(&payload.document_id, payload.position, &payload.content_hash);
        if embedded(payload, self.chunker.max_tokens).is_none() {
            Text::Altered
        } else if id != chunk.chunk_id {
            Text::Misfiled
        } else if counted != Ok(payload.tokens) {
            Text::Miscounted
        } else {
            Text::Whole
        }
    }

    /// Compares the chunks' vectors with those that their texts had when they were embedded, and some with those that the
    /// embedder gives now.
    pub(super) async fn agreement(
        &self,
        most: usize,
        chunks: u64,
    ) -> Result<Result<Agreement, String>, ExamineError> {
        if let Err(reason) = self.refuse_other_cuts() {
            return Ok(Err(reason));
        }
        let texts: Vec<(&StoredChunk, String)> = self
            .chunks
            .iter()
            .filter_map(|chunk| Some((chunk, embedded(chunk.payload.as_ref()?, self.chunker.max_tokens)?)))
            .collect();
        let calls = usize::try_from(chunks / CHUNKS_PER_CALL).unwrap_or(most).max(FEWEST_CALLS).min(most);
        let again = texts.get(..calls).unwrap_or(&texts);
        Ok(Ok(Agreement { known: self.known(&texts).await?, now: self.now(again).await? }))
    }

    async fn known(&self, texts: &[(&StoredChunk, String)]) -> Result<Vec<f64>, ExamineError> {
        let hash = |text: &str| ContentHash::of(&[text]);
        let hashes: Vec<ContentHash> = texts.iter().map(|(_, text)| hash(text)).collect();
        let known = self.vectors.registry.cached_vectors(&self.vectors.digest, &hashes).await?;
        let pairs = texts.iter().zip(&hashes);
        let compare = |((chunk, _), hash): (&(&StoredChunk, String), &ContentHash)| {
            known.get(hash).map(|vector: &DenseVector| cosine(&chunk.dense, vector.as_slice()))
        };
        Ok(pairs.filter_map(compare).collect())
    }

    async fn now(&self, texts: &[(&StoredChunk, String)]) -> Result<Vec<f64>, ExamineError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let vectors = self.vectors.patiently(texts.iter().map(|(_, text)| text.clone()).collect()).await?;
        Ok(texts.iter().zip(&vectors).map(|((chunk, _), vector)| cosine(&chunk.dense, vector)).collect())
    }

    fn refuse_other_cuts(&self) -> Result<(), String> {
        if self.chunker.version == chunk::VERSION {
            return Ok(());
        }
        let (theirs, ours) = (self.chunker.version, chunk::VERSION);
        Err(format!(
            "not checked: the documents were cut by version {theirs} of the chunker, this is version {ours}"
        ))
    }
}

/// How long embedding a sample may take.
pub(super) fn patience(seconds: std::num::NonZeroUsize) -> Duration {
    Duration::from_secs(u64::try_from(seconds.get()).unwrap_or(u64::MAX))
}
