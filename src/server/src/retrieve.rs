//! From a text to hits: embeds it for the arms of the mode and searches one generation.
//! Never searches without having been admitted, and never another generation than the one it is given.

use std::sync::Arc;

use lectern_models::embedder::Embedder;
use lectern_models::error::ModelError;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::Snapshot;
use lectern_schema::embedding::DenseVector;
use lectern_schema::identifiers::TenantId;
use lectern_search::bm25::Bm25;
use lectern_search::filter::Filter;
use lectern_search::query::{Arms, Hit, Limit, Mode, Query};

use crate::admission::Admitted;
use crate::answer::error::AnswerError;
use crate::answer::question::Question;
use crate::budget::Budget;
use crate::cache::CachePolicy;
use crate::cache::retrievals::{RetrievalCache, RetrievalKey};
use crate::cache::vectors::VectorCache;
use crate::config::CacheSection;
use crate::generations::Served;
use crate::metrics::{Dependency, Metrics};
use crate::timings::{Stage, Stopwatch};

/// What to look for, and how.
#[derive(Debug, Clone)]
pub struct Retrieval {
    /// Whose documents may be found.
    pub tenant: TenantId,
    /// The text to look for.
    pub question: Question,
    /// Which arms to use.
    pub mode: Mode,
    /// Most hits.
    pub limit: Limit,
    /// What may be found at all.
    pub filter: Option<Filter>,
    /// What the caches may do.
    pub cache: CachePolicy,
}

impl Retrieval {
    /// The filter in its canonical form, empty when there is none.
    pub fn filter_text(&self) -> String {
        self.filter.as_ref().map(Filter::canonical).unwrap_or_default()
    }
}

/// What was found.
#[derive(Debug)]
pub struct Retrieved {
    /// The hits, best first.
    pub hits: Arc<Vec<Hit>>,
    /// What was skipped.
    pub degraded: Vec<&'static str>,
}

/// Embeds and searches.
#[derive(Debug)]
pub struct Retriever {
    embedder: Embedder,
    bm25: Bm25,
    /// Vectors of questions that were asked before.
    pub vectors: VectorCache,
    /// What was found before.
    pub retrievals: RetrievalCache,
    metrics: Arc<Metrics>,
}

impl Retriever {
    /// Declared when a hybrid search had to do without its dense arm.
    pub const DENSE_SKIPPED: &str = "dense_skipped";

    /// Uses these models, and caches as large as the section says.
    pub fn new(embedder: Embedder, bm25: Bm25, cache: &CacheSection, metrics: Arc<Metrics>) -> Self {
        Self {
            embedder,
            bm25,
            vectors: VectorCache::new(cache.vectors_bytes),
            retrievals: RetrievalCache::new(cache.retrievals_bytes, cache.retrievals_ttl),
            metrics,
        }
    }

    /// What the embedder looks like from here; none when it is in the process.
    pub fn upstream(&self) -> Option<Snapshot> {
        self.embedder.upstream()
    }

    /// What was found before for the same retrieval from the same generation. Costs no place: nothing is done for it.
    pub fn known(&self, served: &Served, retrieval: &Retrieval) -> Option<Retrieved> {
        if !retrieval.cache.reads() {
            return None;
        }
        let hits = self.retrievals.get(&RetrievalKey::of(retrieval, &served.manifest().generation));
        self.metrics.looked_up("retrievals", hits.is_some());
        hits.map(|hits| Retrieved { hits, degraded: vec![] })
    }

    /// Searches `served`. A hybrid search whose embedder is down or late goes on with words alone, and says so.
    pub async fn retrieve(
        &self,
        admitted: &Admitted,
        served: &Served,
        retrieval: &Retrieval,
        budget: &Budget,
        watch: &mut Stopwatch,
    ) -> Result<Retrieved, AnswerError> {
        let (arms, degraded) = self.arms(retrieval, budget.until(Stage::Embed)).await?;
        watch.lap(Stage::Embed);
        let query = Query { arms, filter: retrieval.filter.clone(), limit: retrieval.limit };
        let found = served.search(&query, budget.until(Stage::Search)).await;
        self.metrics.called(Dependency::Store, found.is_ok());
        let took = watch.lap(Stage::Search);
        let hits = Arc::new(found.map_err(AnswerError::search)?);
        served.searched(&query, &hits, took, admitted.has_spare_room());
        if retrieval.cache.writes() && degraded.is_empty() {
            let key = RetrievalKey::of(retrieval, &served.manifest().generation);
            self.retrievals.keep(key, Arc::clone(&hits));
        }
        Ok(Retrieved { hits, degraded })
    }

    async fn arms(
        &self,
        retrieval: &Retrieval,
        deadline: Deadline,
    ) -> Result<(Arms, Vec<&'static str>), AnswerError> {
        let text = retrieval.question.as_str();
        match retrieval.mode {
            Mode::Sparse => Ok((Arms::Sparse(self.bm25.question(text)), vec![])),
            Mode::Dense => {
                let dense = self.vector_of(retrieval, deadline).await.map_err(AnswerError::embedder)?;
                Ok((Arms::Dense(dense), vec![]))
            }
            Mode::Hybrid => {
                let sparse = self.bm25.question(text);
                match self.vector_of(retrieval, deadline).await {
                    Ok(dense) => Ok((Arms::Hybrid(dense, sparse), vec![])),
                    Err(error) => {
                        tracing::warn!(error = %crate::api::error::chain(&error), "dense arm skipped");
                        Ok((Arms::Sparse(sparse), vec![Self::DENSE_SKIPPED]))
                    }
                }
            }
        }
    }

    /// The vector of the question, from the cache or the embedder.
    pub async fn vector_of(
        &self,
        retrieval: &Retrieval,
        deadline: Deadline,
    ) -> Result<DenseVector, ModelError> {
        let text = retrieval.question.as_str();
        let known = retrieval.cache.reads().then(|| self.vectors.get(text)).flatten();
        self.metrics.looked_up("vectors", known.is_some());
        if let Some(vector) = known {
            return Ok(vector);
        }
        let vector = self.vector(text, deadline).await?;
        if retrieval.cache.writes() {
            self.vectors.keep(text, vector.clone());
        }
        Ok(vector)
    }

    async fn vector(&self, text: &str, deadline: Deadline) -> Result<DenseVector, ModelError> {
        let embedded = self.embedder.embed_question(text.to_owned(), deadline).await;
        self.metrics.called(Dependency::Embedder, embedded.is_ok());
        DenseVector::parse(embedded?).map_err(|bad| ModelError::Garbled {
            model: self.embedder.identity().model.clone(),
            source: Box::new(bad),
        })
    }
}
