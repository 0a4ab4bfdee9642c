//! From documents to a staging generation: read, cut, embed what is new, write, seal. Bounded in memory and in time.
//! Never publishes: that is [`crate::lifecycle`]'s.

use std::sync::Arc;
use std::time::Duration;

use lectern_models::embedder::Embedder;
use lectern_models::error::SetupError;
use lectern_models::http::Http;
use lectern_schema::fingerprint::{Embedding, Encoding, Fingerprint, Pooling};
use lectern_search::bm25::{BadSparse, Bm25};

use crate::chunk::Cutter;
use crate::config::{Config, IngestSection};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::lease::Holder;
use crate::pipeline::embed::Vectors;
use crate::pipeline::error::BuildError;
use crate::pipeline::progress::Progress;
use crate::pipeline::read::Reader;
use crate::reading::Program;
use crate::registry::Registry;
use crate::store::WriteStore;

mod begin;
pub mod build;
mod claims;
pub mod divided;
pub(crate) mod embed;
pub mod error;
pub mod finish;
pub mod forecast;
pub mod plan;
pub mod progress;
mod read;
pub mod report;
mod resume;
mod write;

/// How text becomes vectors: the configured model and BM25.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// The dense model.
    pub embedder: Arc<Embedder>,
    /// The sparse encoding.
    pub bm25: Arc<Bm25>,
    /// What both are, for the fingerprint.
    pub encoding: Encoding,
}

/// Why no text can be encoded.
#[derive(Debug, thiserror::Error)]
pub enum BadEncoder {
    /// The embedder cannot be used.
    #[error("the embedder cannot be used")]
    Embedder(#[from] SetupError),
    /// BM25 cannot be used.
    #[error(transparent)]
    Sparse(#[from] BadSparse),
    /// Loading the model broke down.
    #[error("loading the model broke down: this is a bug, please report it with the log")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Encoder {
    /// Loads the configured model.
    pub async fn load(config: &Config) -> Result<Self, BadEncoder> {
        let http = Http::new()?;
        let (section, retry) = (config.embedder.clone(), config.retry.clone());
        let embedder = tokio::task::spawn_blocking(move || Embedder::new(&section, &retry, &http)).await??;
        let identity = embedder.identity();
        let encoding = Encoding::current(Embedding {
            model: identity.model.clone(),
            dimension: identity.dimension,
            pooling: if identity.pooled_here { Pooling::Mean } else { Pooling::Provider },
        });
        let bm25 = Bm25::new(&encoding.sparse)?;
        Ok(Self { embedder: Arc::new(embedder), bm25: Arc::new(bm25), encoding })
    }
}

/// Everything that a build needs.
#[derive(Debug)]
pub struct Ingest {
    store: Arc<dyn WriteStore>,
    registry: Registry,
    encoder: Encoder,
    cutter: Cutter,
    vectors: Vectors,
    settings: IngestSection,
    lifecycle: Lifecycle,
    progress: Arc<Progress>,
}

impl Ingest {
    /// Puts the parts together.
    pub fn new(
        store: Arc<dyn WriteStore>,
        registry: Registry,
        encoder: Encoder,
        settings: IngestSection,
    ) -> Self {
        let embedder = Arc::clone(&encoder.embedder);
        let measuring = Arc::clone(&embedder);
        let cutter = Cutter::new(
            Arc::new(move |text| measuring.count_tokens(text)),
            embedder.max_tokens(),
            settings.chunk_tokens,
            settings.overlap_tokens,
        );
        let patience = Duration::from_secs(u64::try_from(settings.embed_seconds.get()).unwrap_or(u64::MAX));
        let vectors = Vectors::new(&encoder, registry.clone(), patience);
        let progress = Arc::new(Progress::default());
        let lifecycle = Lifecycle::new(Arc::clone(&store), registry.clone(), Holder::this_process());
        Self { store, registry, encoder, cutter, vectors, settings, lifecycle, progress }
    }

    /// The counters of what is being built.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// What generations are built with.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { encoding: self.encoder.encoding.clone(), chunker: self.cutter.settings().clone() }
    }

    fn reader(&self) -> Result<Reader, BuildError> {
        Ok(Reader {
            cutter: self.cutter.clone(),
            bm25: Arc::clone(&self.encoder.bm25),
            settings: self.settings.extraction(),
            program: Program::running()?,
            limits: self.settings.reading(),
            readers: self.settings.readers.get(),
        })
    }
}
