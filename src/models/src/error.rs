//! What can go wrong with a model, split by what the caller can do.
//! Never holds an API key or text of a user.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lectern_resilience::call::{CallError, Fault, Verdict};

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
    /// The provider asks us to slow down, or would if we called it now.
    #[error("{model} is rate-limited")]
    Limited {
        /// The model's name.
        model: String,
        /// When to try again, as the provider says or as its ceilings allow.
        retry_after: Option<Duration>,
    },
    /// It failed too often and is left alone for now: retry later.
    #[error("{model} is left alone after repeated failures")]
    Open {
        /// The model's name.
        model: String,
        /// When it is tried again.
        retry_after: Duration,
    },
    /// Too many calls wait for it already: retry later.
    #[error("{model} has too many calls waiting")]
    Busy {
        /// The model's name.
        model: String,
    },
    /// It stayed silent for longer than it may: retry later, or ask another.
    #[error("{model} was silent for {} ms", .silence.as_millis())]
    Stalled {
        /// The model's name.
        model: String,
        /// For how long.
        silence: Duration,
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
            Self::Limited { .. }
            | Self::Open { .. }
            | Self::Busy { .. }
            | Self::Stalled { .. }
            | Self::Unavailable { .. } => true,
            Self::Late { .. } | Self::Refused { .. } | Self::Garbled { .. } => false,
        }
    }

    /// Name of the model that failed.
    pub fn model(&self) -> &str {
        match self {
            Self::Late { model }
            | Self::Limited { model, .. }
            | Self::Open { model, .. }
            | Self::Busy { model }
            | Self::Stalled { model, .. }
            | Self::Unavailable { model, .. }
            | Self::Refused { model, .. }
            | Self::Garbled { model, .. } => model,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. } => *retry_after,
            Self::Open { retry_after, .. } => Some(*retry_after),
            Self::Late { .. }
            | Self::Busy { .. }
            | Self::Stalled { .. }
            | Self::Unavailable { .. }
            | Self::Refused { .. }
            | Self::Garbled { .. } => None,
        }
    }

    /// The error of a call that was made by an upstream's rules.
    pub(crate) fn of_call(model: &str, error: CallError<Self>) -> Self {
        let model = model.to_owned();
        match error {
            CallError::Failed(error) => error,
            CallError::Open { retry_after } => Self::Open { model, retry_after },
            CallError::Full => Self::Busy { model },
            CallError::Limited { retry_after } => Self::Limited { model, retry_after: Some(retry_after) },
            CallError::Late => Self::Late { model },
        }
    }

    /// The same error for each of several callers.
    pub(crate) fn shared(self) -> impl Fn() -> Self {
        let error = Arc::new(self);
        move || {
            let model = error.model().to_owned();
            let told = || Box::new(Told(Arc::clone(&error)));
            match &*error {
                Self::Late { .. } => Self::Late { model },
                Self::Limited { retry_after, .. } => Self::Limited { model, retry_after: *retry_after },
                Self::Open { retry_after, .. } => Self::Open { model, retry_after: *retry_after },
                Self::Busy { .. } => Self::Busy { model },
                Self::Stalled { silence, .. } => Self::Stalled { model, silence: *silence },
                Self::Unavailable { .. } => Self::Unavailable { model, source: told() },
                Self::Refused { .. } => Self::Refused { model, source: told() },
                Self::Garbled { .. } => Self::Garbled { model, source: told() },
            }
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

impl Fault for ModelError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Unavailable { .. } => Verdict::Broken,
            Self::Limited { retry_after, .. } => Verdict::Limited { retry_after: *retry_after },
            Self::Stalled { .. } => Verdict::Stalled,
            Self::Late { .. } => Verdict::TimedOut,
            Self::Open { .. } | Self::Busy { .. } | Self::Refused { .. } | Self::Garbled { .. } => {
                Verdict::Final
            }
        }
    }
}

/// The cause of an error that several callers get.
#[derive(Debug)]
struct Told(Arc<ModelError>);

impl Told {
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().and_then(std::error::Error::source)
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

    #[test]
    fn an_error_for_several_callers_reads_as_the_one_it_is() {
        let again = ModelError::refused("m", "too long").shared();
        for error in [again(), again()] {
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!((error.to_string(), cause), ("m refused the request".into(), "too long".into()));
        }
    }
}
