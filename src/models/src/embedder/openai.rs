//! Embeddings in OpenAI's wire format.
//! Never trusts the order, the number or the values of what comes back: [`super::remote`] checks them.

use lectern_resilience::deadline::Deadline;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::remote::{Item, LONGEST_ANSWER};
use crate::error::ModelError;
use crate::http::Endpoint;
use crate::rejection::late_fault;

/// The path below the base address.
pub(super) const PATH: &[&str] = &["embeddings"];

#[derive(Debug, Serialize)]
struct Call<'a> {
    model: &'a str,
    input: &'a [String],
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Option<Vec<Item>>,
    error: Option<Value>,
}

/// One call.
pub(super) async fn embed(
    endpoint: &Endpoint,
    texts: &[String],
    deadline: Deadline,
) -> Result<Vec<Item>, ModelError> {
    let model = endpoint.model();
    let answer: Answer =
        endpoint.post(&Call { model, input: texts }, deadline).await?.json(LONGEST_ANSWER).await?;
    match answer.error {
        Some(fault) => Err(late_fault(&fault, model, endpoint.api_key())),
        None => Ok(answer.data.unwrap_or_default()),
    }
}
