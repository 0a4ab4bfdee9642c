//! The first stage: sources become chunks with their sparse vectors, in batches, a few documents at a time.
//! Blocking work runs on blocking threads; memory holds the documents being read and one batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use lectern_schema::embedding::SparseVector;
use lectern_search::bm25::Bm25;
use tokio::sync::mpsc;

use crate::chunk::{Chunk, Cutter};
use crate::extract::{self, Part, Source, Unread};
use crate::pipeline::error::BuildError;
use crate::pipeline::plan::content_of;
use crate::pipeline::progress::{Progress, count};
use crate::registry::documents::{DocumentRecord, DocumentState};

/// Chunks that move through the stages together: large enough that sorting by length pays and round trips do not count.
pub(super) const BATCH_CHUNKS: usize = 256;

/// A chunk with its sparse vector.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) chunk: Chunk,
    pub(super) sparse: SparseVector,
}

/// What moves from stage to stage.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) drafts: Vec<Draft>,
    /// Documents whose last chunk is in this batch or an earlier one, and documents without chunks.
    pub(super) documents: Vec<DocumentRecord>,
}

/// Reads documents.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) cutter: Cutter,
    pub(super) bm25: Arc<Bm25>,
    pub(super) settings: extract::Settings,
    pub(super) readers: usize,
}

/// One document, read and cut.
struct Cut {
    record: DocumentRecord,
    drafts: Vec<Draft>,
    took: Duration,
}

impl Reader {
    /// Sends all documents on, in the order of the sources. Tells the time that reading took, over all readers.
    pub(super) async fn run(
        &self,
        sources: Vec<Source>,
        progress: &Progress,
        batches: mpsc::Sender<Batch>,
    ) -> Result<Duration, BuildError> {
        let mut cuts = stream::iter(sources).map(|source| self.cut(source)).buffered(self.readers);
        let mut batch = Batch::default();
        let mut took = Duration::ZERO;
        while let Some(cut) = cuts.next().await {
            for cut in cut? {
                took += cut.took;
                progress.cut(cut.drafts.len());
                for draft in cut.drafts {
                    batch.drafts.push(draft);
                    if batch.drafts.len() >= BATCH_CHUNKS {
                        send(&batches, std::mem::take(&mut batch)).await?;
                    }
                }
                batch.documents.push(cut.record);
            }
            progress.read();
        }
        send(&batches, batch).await?;
        Ok(took)
    }

    async fn cut(&self, source: Source) -> Result<Vec<Cut>, BuildError> {
        let reader = self.clone();
        let reading = tokio::task::spawn_blocking(move || reader.cut_now(&source));
        reading.await.map_err(BuildError::Panicked)
    }

    fn cut_now(&self, source: &Source) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let mut begun = Instant::now();
        extract::read(source, &self.settings, &mut |part| {
            cuts.push(self.cut_part(part, begun));
            begun = Instant::now();
        });
        cuts
    }

    fn cut_part(&self, part: Part, begun: Instant) -> Cut {
        let (document_id, drafts, content_hash, state) = match part {
            Ok(document) => {
                let chunks = self.cutter.cut(&document);
                let drafts = self.drafts(&chunks);
                let state = DocumentState::Ingested { chunks: count(drafts.len()) };
                (document.document_id, drafts, Some(content_of(&chunks)), state)
            }
            Err(Unread { document_id, reason }) => {
                (document_id, Vec::new(), None, DocumentState::Skipped { reason })
            }
        };
        let record = DocumentRecord { uri: document_id.to_string(), document_id, content_hash, state };
        Cut { record, drafts, took: begun.elapsed() }
    }

    fn drafts(&self, chunks: &[Chunk]) -> Vec<Draft> {
        let draft =
            |chunk: &Chunk| Draft { chunk: chunk.clone(), sparse: self.bm25.document(&chunk.embedded) };
        chunks.iter().map(draft).collect()
    }
}

async fn send(batches: &mpsc::Sender<Batch>, batch: Batch) -> Result<(), BuildError> {
    // The next stage stops listening only when it has failed, and then its error is the one to tell.
    batches.send(batch).await.map_err(|_| BuildError::StageGone)
}
