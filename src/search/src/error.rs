//! What can go wrong while reading a store, split by what the caller can do.

use std::time::Duration;

use lectern_resilience::call::{CallError, Fault, Verdict};
use lectern_schema::fingerprint::Mismatch;
use lectern_schema::identifiers::{AliasName, GenerationId};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a search, or resolving an alias, failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The caller named an alias that does not exist, or nothing was published yet.
    #[error("alias `{0}` does not exist")]
    UnknownAlias(AliasName),
    /// The generation was deleted: resolve the alias again.
    #[error("generation `{0}` is gone")]
    Gone(GenerationId),
    /// Retry, or degrade.
    #[error("the vector store did not answer within its deadline")]
    Late,
    /// The store was not asked: it failed too often, or has all that it may be asked at once.
    #[error("the vector store is left alone for now")]
    Resting {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store is down or overloaded: retry later.
    #[error("the vector store is unavailable")]
    Unavailable(#[source] Cause),
    /// The store did not accept what we sent: a bug, or a wrong configuration.
    #[error("the vector store refused the request")]
    Refused(#[source] Cause),
    /// The store answered with something that is not a chunk of ours.
    #[error("the vector store's answer cannot be read")]
    Garbled(#[source] Cause),
}

impl SearchError {
    pub(crate) fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    pub(crate) fn refused(cause: impl Into<Cause>) -> Self {
        Self::Refused(cause.into())
    }

    pub(crate) fn garbled(cause: impl Into<Cause>) -> Self {
        Self::Garbled(cause.into())
    }
}

impl SearchError {
    /// The same once more, for another one who waited for the same call.
    pub(crate) fn repeated(&self) -> Self {
        let cause = |cause: &Cause| Cause::from(cause.to_string());
        match self {
            Self::UnknownAlias(alias) => Self::UnknownAlias(alias.clone()),
            Self::Gone(generation) => Self::Gone(generation.clone()),
            Self::Late => Self::Late,
            Self::Resting { retry_after } => Self::Resting { retry_after: *retry_after },
            Self::Unavailable(source) => Self::Unavailable(cause(source)),
            Self::Refused(source) => Self::Refused(cause(source)),
            Self::Garbled(source) => Self::Garbled(cause(source)),
        }
    }
}

impl Fault for SearchError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Unavailable(_) => Verdict::Broken,
            Self::Late => Verdict::TimedOut,
            Self::Resting { retry_after } => Verdict::Limited { retry_after: Some(*retry_after) },
            Self::UnknownAlias(_) | Self::Gone(_) | Self::Refused(_) | Self::Garbled(_) => Verdict::Final,
        }
    }
}

impl From<CallError<Self>> for SearchError {
    fn from(error: CallError<Self>) -> Self {
        match error {
            CallError::Failed(error) => error,
            CallError::Late => Self::Late,
            CallError::Open { retry_after } | CallError::Limited { retry_after } => {
                Self::Resting { retry_after }
            }
            CallError::Full => Self::Resting { retry_after: Duration::from_secs(1) },
        }
    }
}

/// Why a generation cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its build has not finished.
    #[error("generation `{0}` is not complete: its build is still running or was abandoned")]
    Incomplete(GenerationId),
    /// The server would ask with other vectors than the ones stored.
    #[error("generation `{generation}` does not fit this server: {}", sentence(.mismatches))]
    Mismatched {
        /// The generation.
        generation: GenerationId,
        /// Every difference.
        mismatches: Vec<Mismatch>,
    },
    /// Another process has the embedded directory open.
    #[error(
        "generation `{generation}` is held by {holder}: one process may open an embedded store at a time; stop that process, or use `store.kind = \"qdrant\"`"
    )]
    Held {
        /// The generation.
        generation: GenerationId,
        /// The process that holds it, as far as it said so.
        holder: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] SearchError),
}

fn sentence(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(Mismatch::to_string).collect::<Vec<_>>().join("; ")
}
