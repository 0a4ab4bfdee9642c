//! What a call may cost, what its failure says, and why there is no result.
//! Never makes a call.

use std::time::{Duration, Instant};

use crate::deadline::Deadline;

/// What one piece of work may cost, retries included.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    pub(crate) deadline: Deadline,
    pub(crate) longest_wait: Duration,
    pub(crate) tokens: u64,
}

impl Allowance {
    /// As long as the deadline allows; no tokens.
    pub fn until(deadline: Deadline) -> Self {
        Self { deadline, longest_wait: Duration::MAX, tokens: 0 }
    }

    /// Waits no longer than this before a call, whether for a retry or below a ceiling: for callers that have another
    /// place to go.
    #[must_use]
    pub fn waiting_at_most(self, longest_wait: Duration) -> Self {
        Self { longest_wait, ..self }
    }

    /// Takes so many tokens from the ceiling before each call.
    #[must_use]
    pub fn spending(self, tokens: u64) -> Self {
        Self { tokens, ..self }
    }

    /// The longest wait that makes sense now.
    pub(crate) fn patience(&self, now: Instant) -> Duration {
        self.deadline.remaining(now).min(self.longest_wait)
    }
}

/// Tells what a failure says about the dependency.
pub trait Fault {
    /// What to make of it.
    fn verdict(&self) -> Verdict;
}

/// What a failure says about the dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is down or broken in passing: another try may succeed. Counts against the breaker.
    Broken,
    /// It is well and wants fewer calls: another try may succeed, no earlier than it says.
    Limited {
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// It stayed silent longer than it may: another try would take as long. Counts against the breaker.
    Stalled,
    /// The caller's time was up. Counts against the breaker when the call had a fair chance.
    TimedOut,
    /// It answered, and would answer the same again.
    Final,
}

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The last call failed.
    Failed(E),
    /// No call was made: the dependency failed too often.
    Open {
        /// When it is tried again.
        retry_after: Duration,
    },
    /// No call was made: too many wait already.
    Full,
    /// No call was made: it would have exceeded a ceiling, or come before the provider wants to be called again.
    Limited {
        /// When a call may be made.
        retry_after: Duration,
    },
    /// The deadline passed.
    Late,
}
