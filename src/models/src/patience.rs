//! Waiting with a bound.
//! Never decides how long: that is the deadline's job.

use lectern_resilience::deadline::Deadline;
use tokio::time::timeout_at;

/// What `work` gives, or none when the deadline came first.
pub(crate) async fn until<F: Future>(deadline: Deadline, work: F) -> Option<F::Output> {
    timeout_at(deadline.instant().into(), work).await.ok()
}
