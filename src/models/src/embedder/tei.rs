//! Embeddings in the wire format of Hugging Face's text-embeddings-inference.
//! Never trusts the number or the values of what comes back: [`super::remote`] checks both.

use lectern_resilience::deadline::Deadline;
use serde::Serialize;

use super::remote::{Item, LONGEST_ANSWER};
use crate::error::ModelError;
use crate::http::Endpoint;

/// The path below the base address.
pub(super) const PATH: &[&str] = &["embed"];

#[derive(Debug, Serialize)]
struct Call<'a> {
    inputs: &'a [String],
}

/// One call.
pub(super) async fn embed(
    endpoint: &Endpoint,
    texts: &[String],
    deadline: Deadline,
) -> Result<Vec<Item>, ModelError> {
    let reply = endpoint.post(&Call { inputs: texts }, deadline).await?;
    let vectors: Vec<Vec<f32>> = reply.json(LONGEST_ANSWER).await?;
    Ok(vectors.into_iter().map(|embedding| Item { index: None, embedding }).collect())
}
