//! What can go wrong in a call to a model, split by what the caller can do.

use std::time::Duration;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a model did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Retry later, or degrade.
    #[error("{model} did not answer within its deadline")]
    Late {
        /// The model's name.
        model: String,
    },
    /// The provider asks us to slow down.
    #[error("{model} is rate-limited")]
    Limited {
        /// The model's name.
        model: String,
        /// When the provider says to try again.
        retry_after: Option<Duration>,
    },
    /// The provider is down, overloaded or cannot be reached: retry later.
    #[error("{model} is unavailable")]
    Unavailable {
        /// The model's name.
        model: String,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The provider does not accept the request or the key: a wrong configuration, or a bug.
    #[error("{model} refused the request")]
    Refused {
        /// The model's name.
        model: String,
        /// Its reason.
        #[source]
        source: Cause,
    },
    /// The provider answered with something else than it should.
    #[error("{model} answered with something that cannot be read")]
    Garbled {
        /// The model's name.
        model: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
}

/// Why a model cannot be used at all: told at the start, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting is missing or contradicts another.
    #[error("{key}: {reason}")]
    Setting {
        /// The configuration key.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of the local model is missing or broken.
    #[error("cannot load the model file `{path}`: {remedy}")]
    ModelFile {
        /// The file.
        path: std::path::PathBuf,
        /// What to do.
        remedy: &'static str,
        /// What happened.
        #[source]
        source: Cause,
    },
}
