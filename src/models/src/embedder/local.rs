//! The embedder in the process: batches, computed on a pool of its own.
//! Never computes on the thread that asks.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use lectern_resilience::deadline::Deadline;

use super::bert::Bert;
use super::cores::Cores;
use super::pool::{NoOutput, Pool};
use crate::config::EmbedderSection;
use crate::error::{ModelError, SetupError};

/// Batches that may wait: a few seconds of work. Who comes later waits in its own task, until its deadline.
const WAITING: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// A model in the process.
#[derive(Debug)]
pub(super) struct Local {
    model: String,
    bert: Arc<Bert>,
    pool: Pool<Vec<String>, Vec<Vec<f32>>>,
    batch: NonZeroUsize,
}

impl Local {
    /// Loads the model and starts its threads: as many as cores, at most `concurrency`.
    pub(super) fn load(section: &EmbedderSection) -> Result<Self, SetupError> {
        let bert = Arc::new(Bert::load(&section.path)?);
        let configured = usize::try_from(section.dimension).unwrap_or(usize::MAX);
        if configured != bert.dimension() {
            let reason = format!(
                "is {configured}, but the model in `{}` makes vectors of {}",
                section.path.display(),
                bert.dimension()
            );
            return Err(SetupError::setting("embedder", "dimension", reason));
        }
        let threads =
            std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(section.concurrency);
        let (cores, worker) = (Cores::start(threads).map_err(SetupError::Thread)?, Arc::clone(&bert));
        let work = move |texts: Vec<String>| worker.embed(&texts, &cores);
        let pool = Pool::start(threads, WAITING, work).map_err(SetupError::Thread)?;
        Ok(Self { model: section.model.clone(), bert, pool, batch: section.batch })
    }

    /// Batches that are computed at once.
    pub(super) fn width(&self) -> usize {
        self.pool.width()
    }

    pub(super) fn max_tokens(&self) -> usize {
        self.bert.max_tokens()
    }

    pub(super) fn count_tokens(&self, text: &str) -> usize {
        self.bert.count_tokens(text)
    }

    /// One vector per text, in the order of the texts.
    pub(super) async fn embed(
        &self,
        texts: Vec<String>,
        deadline: Deadline,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        // One batch more than there are threads keeps them busy; all at once would shut others out of the queue.
        let at_once = self.pool.width() + 1;
        let vectors: Vec<Vec<Vec<f32>>> = stream::iter(batches(texts, self.batch))
            .map(|batch| self.embed_batch(batch, deadline))
            .buffered(at_once)
            .try_collect()
            .await?;
        Ok(vectors.into_iter().flatten().collect())
    }

    async fn embed_batch(&self, texts: Vec<String>, deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        self.pool.run(texts, deadline).await.map_err(|error| match error {
            NoOutput::Late => ModelError::late(&self.model),
            NoOutput::Failed(cause) => ModelError::unavailable(&self.model, cause),
        })
    }
}

/// The texts in batches of this size.
fn batches(texts: Vec<String>, size: NonZeroUsize) -> impl Iterator<Item = Vec<String>> {
    let mut texts = texts.into_iter();
    std::iter::from_fn(move || {
        let batch: Vec<String> = texts.by_ref().take(size.get()).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_the_texts_in_their_order() {
        let texts = ["a", "b", "c", "d"].map(String::from).to_vec();
        let made: Vec<_> = batches(texts, NonZeroUsize::new(3).unwrap()).collect();
        assert_eq!(made, [vec!["a", "b", "c"], vec!["d"]]);
    }

    #[test]
    fn no_texts_make_no_batch() {
        assert_eq!(batches(vec![], NonZeroUsize::MIN).count(), 0);
    }
}
