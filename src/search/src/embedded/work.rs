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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// The runtime has one thread: work that blocked it would wait for the task that ends it.
    #[tokio::test]
    async fn work_that_blocks_leaves_the_thread_to_others() {
        let (release, released) = mpsc::channel();
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(30));
        let work = run(deadline, move || {
            released.recv_timeout(Duration::from_secs(5)).map_err(SearchError::unavailable)
        });
        let other = async { release.send("released").map_err(SearchError::unavailable) };
        let (worked, other) = tokio::join!(work, other);
        other.unwrap();
        assert_eq!(worked.unwrap(), "released");
    }
}
