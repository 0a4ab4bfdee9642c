//! Calls with a bound, and what their failures mean to the ingest.
//! Never retries: the client reconnects, the rest is for the caller.

use std::future::Future;
use std::time::Duration;

use lectern_schema::identifiers::GenerationId;
use lectern_search::qdrant::status::{Reaction, reaction};
use qdrant_client::QdrantError;
use tokio::time::timeout;

use super::CALL_TIMEOUT;
use crate::store::StoreError;

/// Time for a call that the client makes twice, since it reconnects once.
const BOUND: Duration = CALL_TIMEOUT.saturating_mul(2);

/// A call that failed.
#[derive(Debug)]
pub(super) struct Fault {
    action: &'static str,
    cause: Option<QdrantError>,
}

/// The result of a call within the bound of all calls.
pub(super) async fn bounded<T>(
    action: &'static str,
    call: impl Future<Output = Result<T, QdrantError>>,
) -> Result<T, Fault> {
    match timeout(BOUND, call).await {
        Ok(result) => result.map_err(|cause| Fault { action, cause: Some(cause) }),
        Err(_) => Err(Fault { action, cause: None }),
    }
}

impl Fault {
    /// What it means when the call named no generation.
    pub(super) fn of_store(self) -> StoreError {
        let reaction = self.reaction();
        let action = self.action;
        match (self.cause, reaction) {
            (Some(cause), Reaction::Missing | Reaction::Exists | Reaction::Refused) => {
                StoreError::Refused { action, source: cause.into() }
            }
            (Some(cause), Reaction::Late | Reaction::Unavailable) => StoreError::Unavailable(cause.into()),
            (None, _) => StoreError::Unavailable(format!("no answer within {} s", BOUND.as_secs()).into()),
        }
    }

    /// What it means when the call was about `generation`.
    pub(super) fn of_generation(self, generation: &GenerationId) -> StoreError {
        match self.reaction() {
            Reaction::Missing => StoreError::Missing(generation.clone()),
            Reaction::Exists => StoreError::Taken(generation.clone()),
            _ => self.of_store(),
        }
    }

    fn reaction(&self) -> Reaction {
        match &self.cause {
            Some(QdrantError::ResponseError { status }) => reaction(status.code().into()),
            Some(QdrantError::ResourceExhaustedError { .. } | QdrantError::Io(_)) | None => {
                Reaction::Unavailable
            }
            Some(_) => Reaction::Refused,
        }
    }
}
