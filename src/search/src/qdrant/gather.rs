//! Searches of one generation as what can share a call, which costs Qdrant less than one call for each.
//! Never decides which of them do: [`lectern_resilience::gather`] does.

use std::sync::Arc;

use lectern_resilience::deadline::Deadline;
use lectern_resilience::gather::Shareable;
use lectern_schema::identifiers::GenerationId;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{QueryBatchPoints, QueryPoints, ScoredPoint};

use super::Connection;
use super::status::of_generation;
use crate::error::SearchError;

/// Searches of one generation.
pub(super) struct Searches {
    pub(super) connection: Connection,
    pub(super) generation: GenerationId,
}

impl Shareable for Searches {
    type Ask = QueryPoints;
    type Reply = Vec<ScoredPoint>;
    type Error = SearchError;

    async fn alone(&self, request: QueryPoints, deadline: Deadline) -> Result<Vec<ScoredPoint>, SearchError> {
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move {
                let answer = client.query(request).await;
                answer.map_err(|fault| of_generation(fault, &self.generation))
            }
        };
        Ok(self.connection.call(deadline, call).await?.result)
    }

    async fn together(
        &self,
        requests: &[&QueryPoints],
        deadline: Deadline,
    ) -> Result<Vec<Vec<ScoredPoint>>, SearchError> {
        let request = QueryBatchPoints {
            collection_name: self.generation.to_string(),
            query_points: requests.iter().copied().cloned().collect(),
            timeout: requests.iter().filter_map(|request| request.timeout).max(),
            ..QueryBatchPoints::default()
        };
        let call = |client: Arc<Qdrant>| {
            let request = request.clone();
            async move {
                let answer = client.query_batch(request).await;
                answer.map_err(|fault| of_generation(fault, &self.generation))
            }
        };
        let found = self.connection.call(deadline, call).await?.result;
        if found.len() != requests.len() {
            let (asked, got) = (requests.len(), found.len());
            return Err(SearchError::garbled(format!("{got} results for {asked} searches")));
        }
        Ok(found.into_iter().map(|one| one.result).collect())
    }

    fn may_blame_one(&self, error: &SearchError) -> bool {
        matches!(error, SearchError::Refused(_))
    }

    fn copies(&self, error: SearchError) -> impl Fn() -> SearchError + Send {
        move || error.repeated()
    }

    fn late(&self) -> SearchError {
        SearchError::Late
    }

    fn ended(&self) -> SearchError {
        SearchError::unavailable("the task that searches has ended")
    }
}
