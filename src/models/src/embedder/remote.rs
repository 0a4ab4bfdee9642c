//! An embedder behind an endpoint: texts in batches, a bounded number of calls at once, each by the upstream's rules.
//! Never trusts the order, the number or the values of what comes back.

use std::num::NonZeroUsize;

use futures::stream::{self, StreamExt, TryStreamExt};
use lectern_resilience::call::Allowance;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::{Bounds, Snapshot, Upstream};
use serde::Deserialize;

use super::{openai, tei};
use crate::config::EmbedderSection;
use crate::error::{ModelError, SetupError};
use crate::http::{Account, Endpoint, Http, Scheme};

/// Most bytes of one answer: 2,000 vectors of 3,000 elements, with all their digits, stay below.
pub(super) const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// An embedder behind an endpoint.
#[derive(Debug)]
pub(super) struct Remote {
    wire: Wire,
    endpoint: Endpoint,
    upstream: Upstream,
    dimension: usize,
    batch: NonZeroUsize,
    concurrency: NonZeroUsize,
}

/// What the endpoint speaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire {
    Openai,
    Tei,
}

/// One vector as it came.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) index: Option<usize>,
    pub(super) embedding: Vec<f32>,
}

impl Remote {
    pub(super) fn new(
        wire: Wire,
        section: &EmbedderSection,
        retry: &RetrySection,
        http: &Http,
    ) -> Result<Self, SetupError> {
        let account = Account {
            section: "embedder",
            url: section.url.as_ref(),
            model: &section.model,
            api_key: section.api_key.as_ref(),
            scheme: Scheme::Bearer,
        };
        if section.dimension == 0 {
            return Err(SetupError::setting(
                "embedder",
                "dimension",
                "must be what the model delivers, not 0",
            ));
        }
        let path = match wire {
            Wire::Openai => openai::PATH,
            Wire::Tei => tei::PATH,
        };
        Ok(Self {
            wire,
            endpoint: Endpoint::new(http, &account, path)?,
            upstream: Upstream::new("embedder", retry, Bounds::concurrency(section.concurrency.get())),
            dimension: usize::try_from(section.dimension).unwrap_or(usize::MAX),
            batch: section.batch,
            concurrency: section.concurrency,
        })
    }

    /// Calls that may be under way at once.
    pub(super) fn width(&self) -> NonZeroUsize {
        self.concurrency
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.upstream.snapshot()
    }

    /// One vector per text, in the order of the texts.
    pub(super) async fn embed(
        &self,
        texts: Vec<String>,
        deadline: Deadline,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        // Owned batches: a closure over borrowed ones makes the future useless to a caller that spawns it.
        let batches: Vec<Vec<String>> = texts.chunks(self.batch.get()).map(<[String]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.embed_batch(batch, deadline))
            .buffered(self.concurrency.get())
            .try_concat()
            .await
    }

    async fn embed_batch(&self, texts: Vec<String>, deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        let call = |deadline| self.call(&texts, deadline);
        let embedded = self.upstream.call(Allowance::until(deadline), call).await;
        embedded.map_err(|error| ModelError::of_call(self.endpoint.model(), error))
    }

    async fn call(&self, texts: &[String], deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        let items = match self.wire {
            Wire::Openai => openai::embed(&self.endpoint, texts, deadline).await?,
            Wire::Tei => tei::embed(&self.endpoint, texts, deadline).await?,
        };
        in_order(items, texts.len(), self.dimension)
            .map_err(|error| ModelError::garbled(self.endpoint.model(), error))
    }
}

/// Why an answer is not the vectors that were asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum BadAnswer {
    #[error("{got} vectors for {asked} texts")]
    Number { got: usize, asked: usize },
    #[error("the vectors' indexes are not 0 to {0}, each once")]
    Indexes(usize),
    #[error("a vector has {got} elements, but `embedder.dimension` is {configured}")]
    Dimension { got: usize, configured: usize },
    #[error("a vector has an element that is not finite, or is all zero")]
    Values,
}

/// The vectors by their index; by their position where the provider gives none.
fn in_order(items: Vec<Item>, asked: usize, dimension: usize) -> Result<Vec<Vec<f32>>, BadAnswer> {
    if items.len() != asked {
        return Err(BadAnswer::Number { got: items.len(), asked });
    }
    let mut placed: Vec<(usize, Vec<f32>)> = Vec::with_capacity(asked);
    for (position, item) in items.into_iter().enumerate() {
        let vector = item.embedding;
        if vector.len() != dimension {
            return Err(BadAnswer::Dimension { got: vector.len(), configured: dimension });
        }
        if !vector.iter().all(|x| x.is_finite()) || vector.iter().all(|x| *x == 0.0) {
            return Err(BadAnswer::Values);
        }
        placed.push((item.index.unwrap_or(position), vector));
    }
    placed.sort_by_key(|(index, _)| *index);
    if placed.iter().enumerate().any(|(position, (index, _))| position != *index) {
        return Err(BadAnswer::Indexes(asked.saturating_sub(1)));
    }
    Ok(placed.into_iter().map(|(_, vector)| vector).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(index: impl Into<Option<usize>>, embedding: &[f32]) -> Item {
        Item { index: index.into(), embedding: embedding.to_vec() }
    }

    #[test]
    fn vectors_are_put_in_the_order_of_their_index() {
        let vectors = in_order(vec![item(1, &[1.0, 0.0]), item(0, &[0.0, 2.0])], 2, 2).unwrap();
        assert_eq!(vectors, [[0.0, 2.0], [1.0, 0.0]]);
        let vectors = in_order(vec![item(None, &[1.0]), item(None, &[2.0])], 2, 1).unwrap();
        assert_eq!(vectors, [[1.0], [2.0]]);
    }

    #[test]
    fn an_answer_that_does_not_fit_the_question_is_named() {
        assert_eq!(in_order(vec![item(0, &[1.0])], 2, 1), Err(BadAnswer::Number { got: 1, asked: 2 }));
        assert_eq!(
            in_order(vec![item(0, &[1.0])], 1, 2),
            Err(BadAnswer::Dimension { got: 1, configured: 2 })
        );
        for twice in [[0, 0], [0, 2]] {
            let items = twice.map(|index| item(index, &[1.0])).into();
            assert_eq!(in_order(items, 2, 1), Err(BadAnswer::Indexes(1)));
        }
        for values in [[f32::INFINITY, 1.0], [0.0, 0.0]] {
            assert_eq!(in_order(vec![item(0, &values)], 1, 2), Err(BadAnswer::Values));
        }
    }

    #[test]
    fn a_number_too_large_for_a_float_is_not_finite() {
        let item: Item = serde_json::from_str(r#"{"embedding":[1e39]}"#).unwrap();
        assert_eq!(in_order(vec![item], 1, 1), Err(BadAnswer::Values));
    }
}
