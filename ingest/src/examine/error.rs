//! Why a generation could not be examined: then nothing is published, and nothing is said of it.

use lectern_schema::embedding::BadVector;
use lectern_search::error::{OpenError, SearchError};
use lectern_search::query::BadLimit;

use crate::pipeline::error::BuildError;
use crate::registry::error::RegistryError;
use crate::store::StoreError;

/// Why the gates could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The store could not be asked for its index.
    #[error(
        "the gates could not look at the generation's index: run `lectern-ingest publish` again when the store can be reached"
    )]
    Store(#[from] StoreError),
    /// The generation cannot be opened.
    #[error("the gates could not open the generation")]
    Open(#[from] OpenError),
    /// Reading or searching failed.
    #[error(
        "the gates could not read the generation: run `lectern-ingest publish` again when the store can be reached"
    )]
    Search(#[from] SearchError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The embedder failed.
    #[error("the gates could not embed what they compare")]
    Embedder(#[from] BuildError),
    /// The embedder answered a question with something that is no vector.
    #[error("the embedder's answer to a golden question cannot be used: check `embedder.model`")]
    Vector(#[from] BadVector),
    /// A bug: the limits are constants.
    #[error(transparent)]
    Limit(#[from] BadLimit),
}
