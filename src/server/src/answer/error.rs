//! Why there is no answer, split by what the caller can do.

use std::time::Duration;

use lectern_models::error::ModelError;
use lectern_search::error::SearchError;

use crate::generations::NotServed;
use crate::sessions::error::SessionError;
use crate::timings::Stage;

/// Why a question could not be answered, or a search not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Retry later: too many requests are under way.
    #[error("too many requests are under way")]
    Overloaded {
        /// When a place may be free.
        retry_after: Duration,
    },
    /// Retry later, and less often: others wait, and this tenant has its share of the places.
    #[error("too many requests of this tenant are waiting")]
    ShareUsed {
        /// When a place may be free.
        retry_after: Duration,
    },
    /// The time of a stage was used up.
    #[error("the deadline passed while {}", stage.doing())]
    Late {
        /// What the time ran out in.
        stage: Stage,
    },
    /// The client has left: there is nobody to answer.
    #[error("the client closed the connection")]
    Abandoned,
    /// No generation can be served under the alias.
    #[error(transparent)]
    NotServed(#[from] NotServed),
    /// The vector store failed.
    #[error("the search failed")]
    Search(#[source] SearchError),
    /// The embedder failed.
    #[error("the question could not be embedded")]
    Embedder(#[source] ModelError),
    /// The language model failed.
    #[error("the language model failed")]
    Llm(#[source] ModelError),
    /// The session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The work ended without a result: a bug.
    #[error("the work ended without a result")]
    Broken,
}

impl AnswerError {
    /// Sorts a failure of the store by reaction.
    pub fn search(error: SearchError) -> Self {
        match error {
            SearchError::Late => Self::Late { stage: Stage::Search },
            SearchError::UnknownAlias(alias) => Self::NotServed(NotServed::Unknown(alias)),
            other => Self::Search(other),
        }
    }

    /// Sorts a failure of the embedder by reaction.
    pub fn embedder(error: ModelError) -> Self {
        match error {
            ModelError::Late { .. } => Self::Late { stage: Stage::Embed },
            other => Self::Embedder(other),
        }
    }

    /// Sorts a failure of the language model by reaction.
    pub fn llm(error: ModelError) -> Self {
        match error {
            ModelError::Late { .. } => Self::Late { stage: Stage::Llm },
            other => Self::Llm(other),
        }
    }
}
