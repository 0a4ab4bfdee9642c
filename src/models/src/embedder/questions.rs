//! Questions as what can share a call to the embedder.
//! Never decides which of them do: [`lectern_resilience::gather`] does.

use std::sync::Arc;

use lectern_resilience::deadline::Deadline;
use lectern_resilience::gather::Shareable;

use super::Backend;
use crate::error::ModelError;

/// Questions to one embedder.
#[derive(Debug)]
pub(super) struct Questions {
    pub(super) backend: Arc<Backend>,
    /// Name of the model, for errors.
    pub(super) model: String,
}

impl Shareable for Questions {
    type Ask = String;
    type Reply = Vec<f32>;
    type Error = ModelError;

    async fn alone(&self, text: String, deadline: Deadline) -> Result<Vec<f32>, ModelError> {
        let vectors = self.backend.embed(vec![text], deadline).await?;
        Ok(vectors.into_iter().next().unwrap_or_default())
    }

    async fn together(&self, texts: &[&String], deadline: Deadline) -> Result<Vec<Vec<f32>>, ModelError> {
        self.backend.embed(texts.iter().copied().cloned().collect(), deadline).await
    }

    fn may_blame_one(&self, error: &ModelError) -> bool {
        self.backend.may_blame_a_text(error)
    }

    fn copies(&self, error: ModelError) -> impl Fn() -> ModelError + Send {
        error.shared()
    }

    fn late(&self) -> ModelError {
        ModelError::late(&self.model)
    }

    fn ended(&self) -> ModelError {
        ModelError::unavailable(&self.model, "the task that embeds questions has ended")
    }
}
