//! The last stage: points into the store, and what became of their documents into the registry.
//! Never records a document as written before the store would keep it if this process were killed.

use std::time::{Duration, Instant};

use lectern_schema::identifiers::GenerationId;
use tokio::sync::mpsc;

use crate::extract::Skipped;
use crate::pipeline::Ingest;
use crate::pipeline::embed::Embedded;
use crate::pipeline::error::BuildError;
use crate::pipeline::plan::Plan;
use crate::pipeline::progress::count;
use crate::registry::documents::{DocumentRecord, DocumentState};
use crate::registry::runs::RunId;
use crate::registry::written::WrittenDocument;

/// How often what was written is made to outlive the process: what comes after the last time is written again by a build
/// that goes on, though not embedded again.
const CHECKPOINT: Duration = Duration::from_secs(2);

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) documents: u64,
    pub(super) chunks: u64,
    pub(super) embedded: u64,
    pub(super) tokens: u64,
    pub(super) skipped: Vec<Skipped>,
    pub(super) plan: Plan,
    pub(super) took: Duration,
    /// Documents that are wholly in the store, and not recorded yet.
    unrecorded: Vec<WrittenDocument>,
}

impl Ingest {
    pub(super) async fn write(
        &self,
        run: RunId,
        generation: &GenerationId,
        plan: Plan,
        mut embedded: mpsc::Receiver<Embedded>,
    ) -> Result<Written, BuildError> {
        let mut written = Written::new(plan);
        let mut checked = Instant::now();
        while let Some(batch) = embedded.recv().await {
            let begun = Instant::now();
            self.write_batch(run, generation, batch, &mut written).await?;
            if CHECKPOINT <= checked.elapsed() {
                self.checkpoint(generation, &mut written).await?;
                checked = Instant::now();
            }
            written.took += begun.elapsed();
        }
        self.checkpoint(generation, &mut written).await?;
        Ok(written)
    }

    async fn write_batch(
        &self,
        run: RunId,
        generation: &GenerationId,
        batch: Embedded,
        written: &mut Written,
    ) -> Result<(), BuildError> {
        self.erase_from_staging(generation, &batch.stale).await?;
        let chunks = batch.points.len();
        if chunks > 0 {
            self.store.upsert(generation, batch.points).await?;
        }
        self.registry.record_documents(generation.alias(), run, &batch.documents).await?;
        written.embedded += count(batch.sent.texts);
        written.tokens += count(batch.sent.tokens);
        for document in batch.documents {
            written.note(document);
        }
        written.skipped.extend(batch.skipped);
        self.progress.written(chunks);
        Ok(())
    }

    async fn checkpoint(&self, generation: &GenerationId, written: &mut Written) -> Result<(), BuildError> {
        if written.unrecorded.is_empty() {
            return Ok(());
        }
        self.store.flush(generation).await?;
        self.registry.record_written(generation, &written.unrecorded).await?;
        written.unrecorded.clear();
        Ok(())
    }
}

impl Written {
    fn new(plan: Plan) -> Self {
        let (skipped, unrecorded, took) = (Vec::new(), Vec::new(), Duration::ZERO);
        Self { documents: 0, chunks: 0, embedded: 0, tokens: 0, skipped, plan, took, unrecorded }
    }

    fn note(&mut self, document: DocumentRecord) {
        let DocumentRecord { document_id, content_hash, state, .. } = document;
        match (state, content_hash) {
            (DocumentState::Skipped { reason }, _) => {
                self.skipped.push(Skipped::new(document_id.to_string(), &reason));
            }
            (DocumentState::Ingested { chunks }, Some(content_hash)) if 0 < chunks => {
                self.documents += 1;
                self.chunks += chunks;
                self.plan.see(&document_id, &content_hash);
                self.unrecorded.push(WrittenDocument { document_id, content_hash, chunks });
            }
            (DocumentState::Ingested { .. }, _) => {}
        }
    }
}
