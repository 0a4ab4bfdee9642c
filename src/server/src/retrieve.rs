//! From a text to hits: embeds it for the arms of the mode and searches one generation.
//! Never searches without having been admitted, and never another generation than the one it is given.

use std::sync::Arc;

use lectern_models::embedder::Embedder;
use lectern_models::error::ModelError;
use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::DenseVector;
use lectern_search::bm25::Bm25;
use lectern_search::filter::Filter;
use lectern_search::query::{Arms, Hit, Limit, Mode, Query};

use crate::admission::Admitted;
use crate::answer::error::AnswerError;
use crate::answer::question::Question;
use crate::generations::Served;
use crate::metrics::{Dependency, Metrics};
use crate::timings::{Stage, Stopwatch};

/// What to look for, and how.
#[derive(Debug, Clone)]
pub struct Retrieval {
    /// The text to look for.
    pub question: Question,
    /// Which arms to use.
    pub mode: Mode,
    /// Most hits.
    pub limit: Limit,
    /// What may be found at all.
    pub filter: Option<Filter>,
}

/// What was found.
#[derive(Debug)]
pub struct Retrieved {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// What was skipped.
    pub degraded: Vec<&'static str>,
}

/// Embeds and searches.
#[derive(Debug)]
pub struct Retriever {
    embedder: Embedder,
    bm25: Bm25,
    metrics: Arc<Metrics>,
}

impl Retriever {
    /// Declared when a hybrid search had to do without its dense arm.
    pub const DENSE_SKIPPED: &str = "dense_skipped";

    /// Uses these models.
    pub fn new(embedder: Embedder, bm25: Bm25, metrics: Arc<Metrics>) -> Self {
        Self { embedder, bm25, metrics }
    }

    /// Searches `served`. A hybrid search whose embedder is down goes on with words alone, and says so.
    pub async fn retrieve(
        &self,
        _: &Admitted,
        served: &Served,
        retrieval: &Retrieval,
        deadline: Deadline,
        watch: &mut Stopwatch,
    ) -> Result<Retrieved, AnswerError> {
        let (arms, degraded) = self.arms(retrieval, deadline).await?;
        watch.lap(Stage::Embed);
        let query = Query { arms, filter: retrieval.filter.clone(), limit: retrieval.limit };
        let found = served.search(&query, deadline).await;
        self.metrics.called(Dependency::Store, found.is_ok());
        watch.lap(Stage::Search);
        Ok(Retrieved { hits: found.map_err(AnswerError::search)?, degraded })
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
                let dense = self.embed(text, deadline).await.map_err(AnswerError::embedder)?;
                Ok((Arms::Dense(dense), vec![]))
            }
            Mode::Hybrid => {
                let sparse = self.bm25.question(text);
                match self.embed(text, deadline).await {
                    Ok(dense) => Ok((Arms::Hybrid(dense, sparse), vec![])),
                    Err(late @ ModelError::Late { .. }) => Err(AnswerError::embedder(late)),
                    Err(error) => {
                        tracing::warn!(error = %crate::api::error::chain(&error), "dense arm skipped");
                        Ok((Arms::Sparse(sparse), vec![Self::DENSE_SKIPPED]))
                    }
                }
            }
        }
    }

    async fn embed(&self, text: &str, deadline: Deadline) -> Result<DenseVector, ModelError> {
        let embedded = self.embedder.embed(vec![text.to_owned()], deadline).await;
        self.metrics.called(Dependency::Embedder, embedded.is_ok());
        let garbled = |source: Box<dyn std::error::Error + Send + Sync>| ModelError::Garbled {
            model: self.embedder.identity().model.clone(),
            source,
        };
        let vector = embedded?.pop().ok_or_else(|| garbled("no vector for the text".into()))?;
        DenseVector::parse(vector).map_err(|bad| garbled(Box::new(bad)))
    }
}
