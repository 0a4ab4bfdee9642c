//! The first stage: sources become chunks with their sparse vectors, in batches, a few documents at a time.
//! Blocking work runs on blocking threads; memory holds the documents being read, some chunks ahead, and one batch.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_schema::embedding::SparseVector;
use lectern_schema::identifiers::DocumentId;
use lectern_search::bm25::Bm25;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::chunk::{Chunk, Cutter};
use crate::extract::{Extracted, Part, Settings, Skipped, Source, Unread};
use crate::pipeline::error::BuildError;
use crate::pipeline::plan::Content;
use crate::pipeline::progress::Progress;
use crate::reading::reader::DocumentReader;
use crate::reading::{CannotStart, Limits, Program};
use crate::registry::documents::{DocumentRecord, DocumentState};

/// Chunks that move through the stages together: large enough that sorting by length pays and round trips do not count.
pub(super) const BATCH_CHUNKS: usize = 256;
/// Chunks of one source that may wait until the sources before it are through.
const WAITING_PIECES: usize = 64;
/// Sources that may be begun for each reader: one being read, and one whose chunks wait for their turn.
const BEGUN_PER_READER: usize = 2;

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
    /// What is left out although a document of the same name is not.
    pub(super) skipped: Vec<Skipped>,
    /// Documents of which an interrupted build wrote something that must go before this batch is written.
    pub(super) stale: Vec<DocumentId>,
}

/// Reads documents.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) cutter: Cutter,
    pub(super) bm25: Arc<Bm25>,
    pub(super) settings: Settings,
    pub(super) program: Program,
    pub(super) limits: Limits,
    pub(super) readers: usize,
}

/// A source to be read, and where its documents go.
struct Job {
    source: Source,
    pieces: mpsc::Sender<Piece>,
}

type Jobs = Arc<Mutex<mpsc::Receiver<Job>>>;

/// What is read of a source, in order.
enum Piece {
    /// A document begins.
    Begin(DocumentId),
    /// The next chunk of the document that began last.
    Draft(Box<Draft>),
    /// All chunks of the document that began last have been told.
    End(DocumentRecord),
    /// A document, or the rest of a file, that cannot be read.
    Unread(Unread),
    /// The source is through, after this time.
    Through(Duration),
}

impl Reader {
    /// Sends all documents on, in the order of the sources. Tells the time that reading took, over all readers.
    pub(super) async fn run(
        &self,
        sources: Vec<Source>,
        progress: &Progress,
        batches: mpsc::Sender<Batch>,
    ) -> Result<Duration, BuildError> {
        let begun = self.readers.saturating_mul(BEGUN_PER_READER);
        let (jobs, queue) = mpsc::channel(begun);
        let mut readers = self.readers(queue);
        let mut sources = sources.into_iter();
        let mut waiting = VecDeque::with_capacity(begun);
        let mut gathered = Gathered::new(progress, batches);
        loop {
            while waiting.len() < begun
                && let Some(source) = sources.next()
            {
                let (pieces, received) = mpsc::channel(WAITING_PIECES);
                // When no reader listens any more, the source's pieces end before their time, which is noticed below.
                let _ = jobs.send(Job { source, pieces }).await;
                waiting.push_back(received);
            }
            let Some(pieces) = waiting.pop_front() else { break };
            if !gathered.source(pieces).await? {
                return Err(failure(&mut readers).await);
            }
        }
        drop(jobs);
        while let Some(ended) = readers.join_next().await {
            ended.map_err(BuildError::Panicked)??;
        }
        gathered.finish().await
    }

    /// Each reader is one blocking task to its end, because its process ends with the thread that started it. All of
    /// them end once there are no more jobs and nobody listens to the last ones.
    fn readers(&self, queue: mpsc::Receiver<Job>) -> JoinSet<Result<(), CannotStart>> {
        let jobs: Jobs = Arc::new(Mutex::new(queue));
        let mut readers = JoinSet::new();
        for _ in 0..self.readers {
            let (reader, jobs) = (self.clone(), Arc::clone(&jobs));
            readers.spawn_blocking(move || reader.work(&jobs));
        }
        readers
    }

    fn work(&self, jobs: &Jobs) -> Result<(), CannotStart> {
        let mut documents = DocumentReader::new(self.program.clone(), self.limits, self.settings.clone());
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(job) = job else { return Ok(()) };
            self.read(&job, &mut documents)?;
        }
    }

    fn read(&self, job: &Job, documents: &mut DocumentReader) -> Result<(), CannotStart> {
        let mut outlet = Outlet { pieces: &job.pieces, waited: Duration::ZERO };
        let begun = Instant::now();
        documents.read(&job.source, &mut || !job.pieces.is_closed(), &mut |part| {
            // Whoever broke off will not want the next part either, and that ends the reading.
            let _ = self.cut(part, &mut outlet);
        })?;
        let took = begun.elapsed().saturating_sub(outlet.waited);
        let _ = outlet.send(Piece::Through(took));
        Ok(())
    }

    fn cut(&self, part: Part, outlet: &mut Outlet<'_>) -> ControlFlow<()> {
        let document = match part {
            Ok(document) => document,
            Err(unread) => return outlet.send(Piece::Unread(unread)),
        };
        outlet.send(Piece::Begin(document.document_id.clone()))?;
        let (mut content, mut chunks) = (Content::default(), 0);
        self.cutter.cut(&document, &mut |chunk| {
            content.add(&chunk);
            chunks += 1;
            let sparse = self.bm25.document(&chunk.embedded);
            outlet.send(Piece::Draft(Box::new(Draft { chunk, sparse })))
        })?;
        outlet.send(Piece::End(ingested(document, &content, chunks)))
    }
}

fn ingested(document: Extracted, content: &Content, chunks: u64) -> DocumentRecord {
    DocumentRecord {
        document_id: document.document_id,
        uri: document.uri,
        content_hash: Some(content.hash()),
        state: DocumentState::Ingested { chunks },
    }
}

/// Why the readers ended before their time.
async fn failure(readers: &mut JoinSet<Result<(), CannotStart>>) -> BuildError {
    while let Some(ended) = readers.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(panicked) => return BuildError::Panicked(panicked),
        }
    }
    BuildError::StageGone
}

/// Where a reader puts its pieces, and how long it had to wait for room.
struct Outlet<'a> {
    pieces: &'a mpsc::Sender<Piece>,
    waited: Duration,
}

impl Outlet<'_> {
    fn send(&mut self, piece: Piece) -> ControlFlow<()> {
        let begun = Instant::now();
        let sent = self.pieces.blocking_send(piece);
        self.waited += begun.elapsed();
        if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Puts the pieces of all sources into batches.
struct Gathered<'a> {
    progress: &'a Progress,
    batches: mpsc::Sender<Batch>,
    batch: Batch,
    seen: Seen,
    /// Whether the document under way has the name of an earlier one.
    is_duplicate: bool,
    took: Duration,
}

impl<'a> Gathered<'a> {
    fn new(progress: &'a Progress, batches: mpsc::Sender<Batch>) -> Self {
        let (batch, seen) = (Batch::default(), Seen::default());
        Self { progress, batches, batch, seen, is_duplicate: false, took: Duration::ZERO }
    }

    /// Takes all pieces of one source; `false` when they end before their end.
    async fn source(&mut self, mut pieces: mpsc::Receiver<Piece>) -> Result<bool, BuildError> {
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Begin(document) => self.is_duplicate = !self.seen.first(&document),
                Piece::Draft(draft) if !self.is_duplicate => self.draft(*draft).await?,
                Piece::Draft(_) => {}
                Piece::End(record) if !self.is_duplicate => self.batch.documents.push(record),
                Piece::End(record) => self.skip(&record.document_id, DUPLICATE),
                Piece::Unread(unread) => self.unread(unread),
                Piece::Through(took) => {
                    self.took += took;
                    self.progress.read();
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn draft(&mut self, draft: Draft) -> Result<(), BuildError> {
        self.progress.cut(1);
        self.batch.drafts.push(draft);
        if self.batch.drafts.len() < BATCH_CHUNKS {
            return Ok(());
        }
        self.send().await
    }

    /// A reason for a name that is taken goes into the report alone: in the registry it would displace the document.
    fn unread(&mut self, unread: Unread) {
        let Unread { document_id, uri, reason } = unread;
        if self.seen.first(&document_id) {
            let state = DocumentState::Skipped { reason };
            self.batch.documents.push(DocumentRecord { document_id, uri, content_hash: None, state });
        } else {
            self.skip(&document_id, &reason);
        }
    }

    fn skip(&mut self, document: &DocumentId, reason: &str) {
        self.batch.skipped.push(Skipped::new(document.to_string(), reason));
    }

    async fn send(&mut self) -> Result<(), BuildError> {
        // The next stage stops listening only when it has failed, and then its error is the one to tell.
        self.batches.send(std::mem::take(&mut self.batch)).await.map_err(|_| BuildError::StageGone)
    }

    async fn finish(mut self) -> Result<Duration, BuildError> {
        self.send().await?;
        Ok(self.took)
    }
}

const DUPLICATE: &str =
    "has the name of another document, which was read before it: give each a name of its own";

/// The names that were there already, as hashes: millions of them must fit into memory. Two names of one hash are less
/// likely than a failing disk, and nobody can make them: the hash is another one in each process.
#[derive(Default)]
struct Seen {
    names: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    /// Notes a name; `false` when it was there before.
    fn first(&mut self, document: &DocumentId) -> bool {
        self.names.insert(self.hasher.hash_one(document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> DocumentId {
        DocumentId::parse(name).unwrap()
    }

    fn end(name: &str) -> Piece {
        let state = DocumentState::Ingested { chunks: 0 };
        Piece::End(DocumentRecord { document_id: id(name), uri: name.into(), content_hash: None, state })
    }

    fn unread(name: &str, reason: &str) -> Piece {
        Piece::Unread(Unread { document_id: id(name), uri: name.into(), reason: reason.into() })
    }

    /// The names of the documents that are recorded, what is only reported, and whether the source is whole.
    async fn gathered(pieces: Vec<Piece>) -> (Vec<String>, Vec<Skipped>, bool) {
        let (sender, receiver) = mpsc::channel(pieces.len());
        for piece in pieces {
            sender.try_send(piece).ok().unwrap();
        }
        drop(sender);
        let progress = Progress::default();
        let (batches, mut sent) = mpsc::channel(1);
        let mut gathered = Gathered::new(&progress, batches);
        let is_whole = gathered.source(receiver).await.unwrap();
        gathered.finish().await.unwrap();
        let batch = sent.recv().await.unwrap();
        let recorded = batch.documents.iter().map(|record| record.document_id.to_string()).collect();
        (recorded, batch.skipped, is_whole)
    }

    #[tokio::test]
    async fn a_second_document_of_the_same_name_is_reported_and_not_recorded() {
        let through = Piece::Through(Duration::ZERO);
        let pieces = vec![Piece::Begin(id("a#1")), end("a#1"), Piece::Begin(id("a#1")), end("a#1"), through];
        let expected = (vec!["a#1".to_owned()], vec![Skipped::new("a#1", DUPLICATE)], true);
        assert_eq!(gathered(pieces).await, expected);
    }

    #[tokio::test]
    async fn what_went_wrong_after_a_document_does_not_displace_its_record() {
        let through = Piece::Through(Duration::ZERO);
        let pieces = vec![Piece::Begin(id("a")), end("a"), unread("a", "took too long"), through];
        let expected = (vec!["a".to_owned()], vec![Skipped::new("a", "took too long")], true);
        assert_eq!(gathered(pieces).await, expected);
    }

    #[tokio::test]
    async fn a_source_whose_reader_is_gone_is_not_whole() {
        let (recorded, _, is_whole) = gathered(vec![unread("a", "is empty")]).await;
        assert_eq!((recorded, is_whole), (vec!["a".to_owned()], false));
    }
}
