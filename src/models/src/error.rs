//! What can go wrong with a model, split by what the caller can do.
//! Never holds an API key or text of a user.

use std::path::PathBuf;
use std::time::Duration;

/// What stood behind an error.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a model did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The time is used up: degrade, or give up.
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

impl ModelError {
    /// Whether the same call may well succeed in a moment, or at another provider of the same model.
    /// Not when the time is used up, and not when the answer would be the same again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Limited { .. } | Self::Unavailable { .. } => true,
            Self::Late { .. } | Self::Refused { .. } | Self::Garbled { .. } => false,
        }
    }

    /// Name of the model that failed.
    pub fn model(&self) -> &str {
        match self {
            Self::Late { model }
            | Self::Limited { model, .. }
            | Self::Unavailable { model, .. }
            | Self::Refused { model, .. }
            | Self::Garbled { model, .. } => model,
        }
    }

    pub(crate) fn late(model: &str) -> Self {
        Self::Late { model: model.to_owned() }
    }

    pub(crate) fn unavailable(model: &str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { model: model.to_owned(), source: source.into() }
    }

    pub(crate) fn refused(model: &str, source: impl Into<Cause>) -> Self {
        Self::Refused { model: model.to_owned(), source: source.into() }
    }

    pub(crate) fn garbled(model: &str, source: impl Into<Cause>) -> Self {
        Self::Garbled { model: model.to_owned(), source: source.into() }
    }
}

/// Why a model cannot be used at all: told at the start, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A setting is missing or contradicts another.
    #[error("{key}: {reason}")]
    Setting {
        /// The configuration key.
        key: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of the local model is missing or broken.
    #[error("cannot load the model file `{path}`: {remedy}")]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The operating system gives no thread for the local model.
    #[error(
        "cannot start a thread for the local model: raise the limit of threads or lower `embedder.concurrency`"
    )]
    Thread(#[source] std::io::Error),
    /// The machine's certificate authorities cannot be read.
    #[error("cannot prepare TLS: install the system's certificate authorities (package `ca-certificates`)")]
    Tls(#[source] Cause),
}

impl SetupError {
    pub(crate) fn setting(section: &str, name: &str, reason: impl Into<String>) -> Self {
        Self::Setting { key: format!("{section}.{name}"), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_conditions_are_worth_a_retry() {
        assert!(ModelError::Limited { model: "m".into(), retry_after: None }.is_retryable());
        assert!(ModelError::unavailable("m", "down").is_retryable());
        assert!(!ModelError::late("m").is_retryable());
        assert!(!ModelError::refused("m", "key").is_retryable());
        assert!(!ModelError::garbled("m", "html").is_retryable());
    }
}
