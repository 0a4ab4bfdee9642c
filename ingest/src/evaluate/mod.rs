//! Measures retrieval on a judged collection, through the very code that builds and that serves.
//! Never touches a store or an alias of the configuration: the collection lives in a temporary embedded store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_schema::chunk::ChunkPayload;
use lectern_schema::embedding::DenseVector;
use lectern_schema::fingerprint::{Chunker, Fingerprint};
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ChunkId, ContentHash, DocumentId, GenerationId, TenantId};
use lectern_search::Collection;
use lectern_search::config::{BadStore, StoreSection};
use lectern_search::error::{OpenError, SearchError};
use lectern_search::query::{Arms, BadLimit, Limit, Mode, Query};
use serde::Serialize;

use crate::evaluate::dataset::{BadDataset, Dataset, Document, Question};
use crate::evaluate::measure::Measures;
use crate::lifecycle::PROGRAM;
use crate::pipeline::Encoder;
use crate::pipeline::embed::Vectors;
use crate::pipeline::error::BuildError;
use crate::pipeline::progress::{Progress, count};
use crate::registry::Registry;
use crate::registry::embeddings::EmbeddingDigest;
use crate::store::qdrant::settings::QdrantSection;
use crate::store::{Point, StoreError, WriteStore};

pub mod dataset;
pub mod measure;

/// Hits that are ranked per question: what the deepest measure looks at.
const DEPTH: u64 = 100;
/// Documents that are embedded and written together.
const BATCH: usize = 256;
/// Longest wait for opening the generation, and for one search.
const SEARCH_BOUND: Duration = Duration::from_mins(1);

/// Measures of one mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// How was searched.
    pub mode: Mode,
    /// What came out.
    #[serde(flatten)]
    pub measures: Measures,
    /// Mean time of a search, without embedding the question.
    pub mean_search_ms: f64,
}

/// Measures of a collection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Documents searched.
    pub documents: u64,
    /// Questions asked.
    pub questions: u64,
    /// Documents and questions that had to be embedded; the others were in the cache.
    pub embedded: u64,
    /// One entry per mode.
    pub modes: Vec<Scored>,
}

/// Why an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The folder is no test collection.
    #[error(transparent)]
    Dataset(#[from] BadDataset),
    /// Embedding failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The temporary store cannot be made.
    #[error(
        "the temporary store cannot be used: check the space and permissions of the folder for temporary files"
    )]
    Folder(#[from] std::io::Error),
    /// The temporary store failed.
    #[error(
        "the temporary store cannot be written: check the space and permissions of the folder for temporary files"
    )]
    Store(#[from] StoreError),
    /// The temporary store cannot be configured.
    #[error(transparent)]
    BadStore(#[from] BadStore),
    /// The temporary generation cannot be opened.
    #[error("the temporary store cannot be read")]
    Open(#[from] OpenError),
    /// A search failed.
    #[error("a search failed")]
    Search(#[from] SearchError),
    /// The depth is not a limit.
    #[error(transparent)]
    Limit(#[from] BadLimit),
    /// Reading the folder broke down.
    #[error("reading the collection broke down: this is a bug, please report it")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Measures collections.
#[derive(Debug)]
pub struct Evaluator {
    encoder: Encoder,
    vectors: Vectors,
    progress: Arc<Progress>,
}

impl Evaluator {
    /// Embeds with `encoder`; what `cache` knows is not embedded again.
    pub fn new(encoder: Encoder, cache: Registry, patience: Duration) -> Self {
        let vectors = Vectors {
            embedder: Arc::clone(&encoder.embedder),
            registry: cache,
            digest: EmbeddingDigest::of(&encoder.encoding.embedding),
            patience,
        };
        Self { encoder, vectors, progress: Arc::new(Progress::default()) }
    }

    /// The counters of what is being embedded.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Measures `modes` on the collection in `folder`.
    pub async fn evaluate(
        &self,
        folder: &Path,
        split: &str,
        modes: &[Mode],
    ) -> Result<Evaluation, EvaluationError> {
        let (folder, split) = (folder.to_owned(), split.to_owned());
        let dataset = tokio::task::spawn_blocking(move || Dataset::load(&folder, &split)).await??;
        let temporary = tempfile::tempdir()?;
        let store = StoreSection { path: temporary.path().to_owned(), ..StoreSection::default() };
        let writer = crate::store::connect(&store, &QdrantSection::default())?;
        let (documents, questions) = (count(dataset.documents.len()), count(dataset.questions.len()));
        let (manifest, mut embedded) = self.build(writer.as_ref(), dataset.documents).await?;
        let reader = lectern_search::connect(&store, &RetrySection::default()).await?;
        let deadline = Deadline::after(Instant::now(), SEARCH_BOUND);
        let collection = reader.open(&manifest.generation, &self.encoder.encoding, deadline).await?;
        let (asked, newly) = self.embedded_questions(dataset.questions).await?;
        embedded += newly;
        let mut scored = Vec::new();
        for mode in modes {
            scored.push(self.score(collection.as_ref(), &asked, *mode).await?);
        }
        Ok(Evaluation { documents, questions, embedded: count(embedded), modes: scored })
    }

    async fn build(
        &self,
        store: &dyn WriteStore,
        mut documents: Vec<Document>,
    ) -> Result<(Manifest, usize), EvaluationError> {
        let manifest = self.manifest();
        store.create(&manifest).await?;
        self.progress.begin(documents.len());
        for _ in &documents {
            self.progress.cut(1);
            self.progress.read();
        }
        // Texts of one length share a batch of the model without padding.
        documents.sort_by_key(|document| document.content.len());
        let mut embedded = 0;
        for batch in documents.chunks(BATCH) {
            let hashed: Vec<(ContentHash, &Document)> =
                batch.iter().map(|document| (ContentHash::of(&[&document.content]), document)).collect();
            let texts: BTreeMap<&ContentHash, &str> =
                hashed.iter().map(|(hash, document)| (hash, document.content.as_str())).collect();
            let (vectors, newly) = self.vectors.of(&texts).await?;
            embedded += newly.texts;
            let points = hashed.iter().filter_map(|(hash, document)| {
                vectors.get(hash).map(|dense| self.point(document, hash, dense.clone()))
            });
            store.upsert(&manifest.generation, points.collect()).await?;
            self.progress.written(batch.len());
        }
        self.progress.seal();
        let counts = Counts { documents: count(documents.len()), chunks: count(documents.len()) };
        Ok((store.seal(&manifest, counts).await?, embedded))
    }

    fn manifest(&self) -> Manifest {
        let now = Timestamp::now();
        Manifest {
            generation: GenerationId::new(&AliasName::default(), now, 1),
            fingerprint: Fingerprint {
                encoding: self.encoder.encoding.clone(),
                chunker: Chunker { version: 0, max_tokens: u32::MAX, overlap_tokens: 0 },
            },
            state: BuildState::Building,
            written_at: now,
            written_by: PROGRAM.to_owned(),
        }
    }

    fn point(&self, document: &Document, hash: &ContentHash, dense: DenseVector) -> Point {
        Point {
            id: ChunkId::derive(&document.id, 0, hash),
            dense,
            sparse: self.encoder.bm25.document(&document.content),
            payload: ChunkPayload {
                document_id: document.id.clone(),
                uri: document.id.to_string(),
                title: document.title.clone(),
                heading_path: Vec::new(),
                text: document.content.clone(),
                position: 0,
                tokens: 0,
                content_hash: hash.clone(),
                tenant: TenantId::public(),
                metadata: serde_json::Map::new(),
            },
        }
    }

    async fn embedded_questions(
        &self,
        questions: Vec<Question>,
    ) -> Result<(Vec<(Question, DenseVector)>, usize), EvaluationError> {
        let hashes: Vec<ContentHash> =
            questions.iter().map(|question| ContentHash::of(&[&question.text])).collect();
        let texts: BTreeMap<&ContentHash, &str> =
            hashes.iter().zip(&questions).map(|(hash, question)| (hash, question.text.as_str())).collect();
        let (vectors, newly) = self.vectors.of(&texts).await?;
        let asked = questions.into_iter().zip(&hashes);
        let asked = asked.filter_map(|(question, hash)| Some((question, vectors.get(hash)?.clone())));
        Ok((asked.collect(), newly.texts))
    }

    async fn score(
        &self,
        collection: &dyn Collection,
        asked: &[(Question, DenseVector)],
        mode: Mode,
    ) -> Result<Scored, EvaluationError> {
        let limit = Limit::parse(DEPTH)?;
        let mut measures = Vec::with_capacity(asked.len());
        let mut took = Duration::ZERO;
        for (question, dense) in asked {
            let sparse = self.encoder.bm25.question(&question.text);
            let arms = match mode {
                Mode::Dense => Arms::Dense(dense.clone()),
                Mode::Sparse => Arms::Sparse(sparse),
                Mode::Hybrid => Arms::Hybrid(dense.clone(), sparse),
            };
            let query = Query { arms, filter: None, limit };
            let begun = Instant::now();
            let hits = collection.search(&query, Deadline::after(begun, SEARCH_BOUND)).await?;
            took += begun.elapsed();
            let ranking: Vec<DocumentId> = hits.into_iter().map(|hit| hit.payload.document_id).collect();
            measures.push(Measures::of(&ranking, &question.grades));
        }
        let searches = u32::try_from(asked.len()).unwrap_or(u32::MAX).max(1);
        Ok(Scored {
            mode,
            measures: Measures::mean(&measures),
            mean_search_ms: (took / searches).as_secs_f64() * 1_000.0,
        })
    }
}
