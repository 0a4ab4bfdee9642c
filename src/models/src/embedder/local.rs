//! The embedder in the process: batches of similar length, computed on a pool of its own.
//! Never computes on the thread that asks.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use lectern_resilience::deadline::Deadline;

use super::bert::Bert;
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
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let worker = Arc::clone(&bert);
        let work = move |texts: Vec<String>| worker.embed(&texts);
        let pool = Pool::start(cores.min(section.concurrency), WAITING, work).map_err(SetupError::Thread)?;
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
        let mut placed: Vec<(usize, Vec<f32>)> = stream::iter(batches(texts, self.batch))
            .map(|batch| self.embed_batch(batch, deadline))
            .buffer_unordered(at_once)
            .map_ok(|batch| stream::iter(batch).map(Ok))
            .try_flatten()
            .try_collect()
            .await?;
        placed.sort_unstable_by_key(|(place, _)| *place);
        Ok(placed.into_iter().map(|(_, vector)| vector).collect())
    }

    async fn embed_batch(
        &self,
        batch: Batch,
        deadline: Deadline,
    ) -> Result<Vec<(usize, Vec<f32>)>, ModelError> {
        let vectors = self.pool.run(batch.texts, deadline).await.map_err(|error| match error {
            NoOutput::Late => ModelError::late(&self.model),
            NoOutput::Failed(cause) => ModelError::unavailable(&self.model, cause),
        })?;
        Ok(batch.places.into_iter().zip(vectors).collect())
    }
}

/// Texts to be computed together, with their places among all texts.
#[derive(Debug, PartialEq, Eq)]
struct Batch {
    places: Vec<usize>,
    texts: Vec<String>,
}

/// Batches of texts of similar length: a short text beside a long one costs as much as the long one.
fn batches(texts: Vec<String>, size: NonZeroUsize) -> Vec<Batch> {
    let mut texts: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
    texts.sort_by_key(|(_, text)| text.len());
    let mut batches = Vec::new();
    while !texts.is_empty() {
        let rest = texts.split_off(texts.len().min(size.get()));
        let (places, texts_of_batch) = std::mem::replace(&mut texts, rest).into_iter().unzip();
        batches.push(Batch { places, texts: texts_of_batch });
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_texts_of_similar_length_and_remember_their_places() {
        let texts = ["long text", "b", "longer text", "a"].map(String::from).to_vec();
        let made = batches(texts, NonZeroUsize::new(3).unwrap());
        let places: Vec<_> = made.iter().map(|batch| batch.places.clone()).collect();
        assert_eq!(places, [vec![1, 3, 0], vec![2]]);
        assert_eq!(made[1].texts, ["longer text"]);
    }

    #[test]
    fn no_texts_make_no_batch() {
        assert_eq!(batches(vec![], NonZeroUsize::MIN), vec![]);
    }
}
