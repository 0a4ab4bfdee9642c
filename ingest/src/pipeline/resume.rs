//! Goes on with a build that was interrupted: keeps the documents that are wholly in the staging generation with the
//! content that they still have, and has all else of it deleted.
//! Never trusts the registry alone: what it remembers must be in the store, chunk by chunk.

use std::collections::HashMap;

use lectern_schema::identifiers::{ContentHash, DocumentId, GenerationId};
use tokio::sync::mpsc;

use crate::partition::Partition;
use crate::pipeline::Ingest;
use crate::pipeline::error::BuildError;
use crate::pipeline::progress::Progress;
use crate::pipeline::read::{Batch, Draft};
use crate::registry::documents::{DocumentRecord, DocumentState};
use crate::registry::tombstones::Tombstone;

/// Chunks of one document that wait for its end, where it shows whether the document is unchanged. A longer one is written
/// again, which costs time and no vector.
const MOST_HELD: usize = 4_096;

/// The documents that are wholly in a staging generation, by content.
pub(super) type Whole = HashMap<DocumentId, ContentHash>;

impl Ingest {
    /// What can be kept of a part of an interrupted build. All else in that part of its generation is deleted; other parts
    /// are other workers', who may be writing them.
    pub(super) async fn recover(
        &self,
        generation: &GenerationId,
        partition: Partition,
    ) -> Result<Whole, BuildError> {
        let mut found = self.store.documents(generation, None).await?;
        found.retain(|document, _| partition.owns(document));
        let mut recorded = self.registry.written(generation).await?;
        recorded.retain(|written| partition.owns(&written.document_id));
        let mut whole = Whole::new();
        let mut torn = Vec::new();
        for written in recorded {
            if found.remove(&written.document_id) == Some(written.chunks) {
                whole.insert(written.document_id, written.content_hash);
            } else {
                torn.push(written.document_id);
            }
        }
        torn.extend(found.into_keys());
        self.erase_from_staging(generation, &torn).await?;
        Ok(whole)
    }

    /// Deletes documents from a staging generation. The registry forgets them first: a crash in between must not leave it
    /// believing in what is gone.
    pub(super) async fn erase_from_staging(
        &self,
        generation: &GenerationId,
        documents: &[DocumentId],
    ) -> Result<(), BuildError> {
        if documents.is_empty() {
            return Ok(());
        }
        self.registry.forget_written(generation, documents).await?;
        Ok(self.store.delete_documents(generation, documents).await?)
    }
}

/// What came through a sieve, and what did not.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// Documents that were in the generation already.
    pub(super) kept: u64,
    /// Documents that an interrupted build wrote and that are in no source any more.
    pub(super) vanished: Vec<DocumentId>,
}

/// Holds back the chunks of documents that are in the generation already, or that were erased by command.
#[derive(Debug)]
pub(super) struct Sieve<'a> {
    whole: Whole,
    erased: HashMap<DocumentId, Tombstone>,
    held: Vec<Draft>,
    kept: u64,
    progress: &'a Progress,
}

impl<'a> Sieve<'a> {
    pub(super) fn new(whole: Whole, erased: HashMap<DocumentId, Tombstone>, progress: &'a Progress) -> Self {
        Self { whole, erased, held: Vec::new(), kept: 0, progress }
    }

    /// Passes on what is to be written.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
        to_embed: mpsc::Sender<Batch>,
    ) -> Result<Sifted, BuildError> {
        while let Some(batch) = batches.recv().await {
            let sifted = self.sift(batch);
            to_embed.send(sifted).await.map_err(|_| BuildError::StageGone)?;
        }
        Ok(Sifted { kept: self.kept, vanished: self.whole.into_keys().collect() })
    }

    /// The chunks of a document come one after the other, and its end with the last of them or later.
    fn sift(&mut self, batch: Batch) -> Batch {
        let mut sifted = Batch { skipped: batch.skipped, ..Batch::default() };
        let mut ended = batch.documents.into_iter().peekable();
        for draft in batch.drafts {
            let document = draft.chunk.payload.document_id.clone();
            if self.erased.contains_key(&document) {
                self.progress.written(1);
                continue;
            }
            while let Some(record) = ended.next_if(|_| self.is_held_beside(&document)) {
                self.end(record, &mut sifted);
            }
            if self.whole.contains_key(&document) {
                self.hold(draft, &mut sifted);
            } else {
                sifted.drafts.push(draft);
            }
        }
        for record in ended {
            self.end(record, &mut sifted);
        }
        sifted
    }

    /// Whether chunks of another document are held: then that one has ended.
    fn is_held_beside(&self, document: &DocumentId) -> bool {
        self.held.last().is_some_and(|draft| draft.chunk.payload.document_id != *document)
    }

    fn hold(&mut self, draft: Draft, sifted: &mut Batch) {
        self.held.push(draft);
        if MOST_HELD < self.held.len()
            && let Some(long) = self.held.last().map(|draft| draft.chunk.payload.document_id.clone())
        {
            self.release(long, sifted);
        }
    }

    fn end(&mut self, mut record: DocumentRecord, sifted: &mut Batch) {
        if let Some(tombstone) = self.erased.get(&record.document_id) {
            record.state = DocumentState::Skipped { reason: reason(&record.document_id, tombstone) };
            record.content_hash = None;
        }
        let unchanged = match &record.state {
            DocumentState::Ingested { .. } => self
                .whole
                .get(&record.document_id)
                .map(|content| Some(content) == record.content_hash.as_ref()),
            DocumentState::Skipped { .. } => None,
        };
        match unchanged {
            Some(true) => {
                self.whole.remove(&record.document_id);
                self.kept += 1;
                self.progress.written(self.held.len());
                self.held.clear();
            }
            Some(false) => self.release(record.document_id.clone(), sifted),
            None => {}
        }
        sifted.documents.push(record);
    }

    /// Lets a document through that is not what the generation holds.
    fn release(&mut self, document: DocumentId, sifted: &mut Batch) {
        self.whole.remove(&document);
        sifted.drafts.append(&mut self.held);
        sifted.stale.push(document);
    }
}

fn reason(document: &DocumentId, tombstone: &Tombstone) -> String {
    let day = tombstone.erased_at.strftime("%Y-%m-%d");
    format!("was deleted on {day}: {}; to ingest it again, use `--undelete {document}`", tombstone.reason)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lectern_schema::chunk::ChunkPayload;
    use lectern_schema::embedding::SparseVector;
    use lectern_schema::identifiers::{ChunkId, TenantId};

    use super::*;
    use crate::chunk::Chunk;

    fn id(name: &str) -> DocumentId {
        DocumentId::parse(name).unwrap()
    }

    fn draft(document: &str, position: u32) -> Draft {
        let (document_id, content_hash) = (id(document), ContentHash::of(&[document]));
        let payload = ChunkPayload {
            uri: document.to_owned(),
            title: document.to_owned(),
            heading_path: Vec::new(),
            text: document.to_owned(),
            position,
            tokens: 1,
            content_hash: content_hash.clone(),
            tenant: TenantId::public(),
            metadata: serde_json::Map::new(),
            document_id: document_id.clone(),
        };
        let chunk = Chunk {
            id: ChunkId::derive(&document_id, position, &content_hash),
            embedded: document.to_owned(),
            payload,
        };
        Draft { chunk, sparse: SparseVector::default() }
    }

    fn record(document: &str, content: &str) -> DocumentRecord {
        DocumentRecord {
            document_id: id(document),
            uri: document.to_owned(),
            content_hash: Some(ContentHash::of(&[content])),
            state: DocumentState::Ingested { chunks: 1 },
        }
    }

    fn batch(drafts: &[(&str, u32)], ended: &[(&str, &str)]) -> Batch {
        Batch {
            drafts: drafts.iter().map(|(document, position)| draft(document, *position)).collect(),
            documents: ended.iter().map(|(document, content)| record(document, content)).collect(),
            ..Batch::default()
        }
    }

    fn passed(batch: &Batch) -> Vec<(&str, u32)> {
        let payloads = batch.drafts.iter().map(|draft| &draft.chunk.payload);
        payloads.map(|payload| (payload.document_id.as_str(), payload.position)).collect()
    }

    fn whole() -> Whole {
        [("same", "old"), ("changed", "old"), ("gone", "old")]
            .map(|(document, content)| (id(document), ContentHash::of(&[content])))
            .into()
    }

    #[test]
    fn only_what_is_not_in_the_generation_with_this_content_is_written() {
        let progress = Progress::default();
        let mut sieve = Sieve::new(whole(), HashMap::new(), &progress);
        let first = sieve.sift(batch(&[("new", 0), ("same", 0), ("same", 1)], &[("new", "any")]));
        assert_eq!((passed(&first), first.documents.len()), (vec![("new", 0)], 1));
        let ended = [("same", "old"), ("changed", "new"), ("last", "any")];
        let second = sieve.sift(batch(&[("same", 2), ("changed", 0), ("changed", 1), ("last", 0)], &ended));
        assert_eq!(passed(&second), [("changed", 0), ("changed", 1), ("last", 0)]);
        assert_eq!((second.stale, second.documents.len()), (vec![id("changed")], 3));
        assert_eq!((sieve.kept, sieve.whole.into_keys().collect::<Vec<_>>()), (1, vec![id("gone")]));
    }

    #[test]
    fn a_document_too_long_to_be_held_is_written_again_in_full() {
        let progress = Progress::default();
        let mut sieve = Sieve::new(whole(), HashMap::new(), &progress);
        let length = u32::try_from(MOST_HELD).unwrap() + 10;
        let chunks: Vec<(&str, u32)> = (0..length).map(|position| ("same", position)).collect();
        let sifted = sieve.sift(batch(&chunks, &[("same", "old")]));
        assert_eq!(passed(&sifted), chunks);
        assert_eq!((sifted.stale, sieve.kept), (vec![id("same")], 0));
    }

    #[test]
    fn an_erased_document_is_skipped_with_day_and_reason() {
        let progress = Progress::default();
        let tombstone = Tombstone {
            erased_at: Timestamp::from_second(1_800_000_000).unwrap(),
            reason: "asked".to_owned(),
        };
        let mut sieve = Sieve::new(whole(), [(id("same"), tombstone)].into(), &progress);
        let sifted = sieve.sift(batch(&[("same", 0), ("new", 0)], &[("same", "old"), ("new", "any")]));
        assert_eq!(passed(&sifted), [("new", 0)]);
        let DocumentState::Skipped { reason } = &sifted.documents[0].state else { panic!("not skipped") };
        assert_eq!(reason, "was deleted on 2027-01-15: asked; to ingest it again, use `--undelete same`");
        assert!(sieve.whole.contains_key(&id("same")), "what an interrupted build wrote of it must go");
    }
}
