//! Runs blocking work off the async workers, and waits for it no longer than the deadline.
//! Never cancels the work itself: a blocking call runs to its end, holding what it was given.

use std::future::Future;
use std::time::Instant;

use lectern_resilience::deadline::Deadline;
use tokio::time::timeout_at;

use crate::error::SearchError;

/// The result of `future`, or `Late`. Looks first: a timer lets through what is ready, however late it is.
pub(super) async fn by<T>(deadline: Deadline, future: impl Future<Output = T>) -> Result<T, SearchError> {
    if deadline.has_passed(Instant::now()) {
        return Err(SearchError::Late);
    }
    timeout_at(deadline.instant().into(), future).await.map_err(|_| SearchError::Late)
}

/// The result of `work` on a thread that may block, or `Late`. A panic in it is an error here.
pub(super) async fn run<T, E>(
    deadline: Deadline,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<SearchError> + Send + 'static,
{
    by(deadline, tokio::task::spawn_blocking(work)).await?.map_err(SearchError::unavailable)?
}
