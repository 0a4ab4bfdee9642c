//! Decides whether work may begin: a bounded number at once, a bounded number waiting, nobody past their deadline.
//! Does no work itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lectern_resilience::deadline::Deadline;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer::error::AnswerError;
use crate::config::LimitsSection;

/// The door to searches and answers.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

/// Proof that the work may be done; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Admitted {
    _place: OwnedSemaphorePermit,
}

impl Admission {
    /// What a client that was turned away is told to wait: about the time of one answer.
    const RETRY_AFTER: Duration = Duration::from_secs(1);

    /// As many places and waiting places as the section says.
    pub fn new(limits: &LimitsSection) -> Self {
        let places = Arc::new(Semaphore::new(limits.concurrency.get().min(Semaphore::MAX_PERMITS)));
        Self { places, waiting: Arc::default(), queue: limits.queue }
    }

    /// Waits for a place until `deadline`, if there is room to wait.
    pub async fn admit(&self, deadline: Deadline) -> Result<Admitted, AnswerError> {
        let overloaded = || AnswerError::Overloaded { retry_after: Self::RETRY_AFTER };
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Admitted { _place: place });
        }
        let _waiting = Waiting::enter(&self.waiting, self.queue).ok_or_else(overloaded)?;
        let until = tokio::time::Instant::from_std(deadline.instant());
        match tokio::time::timeout_at(until, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Admitted { _place: place }),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }
}

/// A place in the queue, given back when dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn enter(waiting: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let entered =
            waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1));
        entered.ok().map(|_| Self(Arc::clone(waiting)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;
    use std::time::Instant;

    fn admission(places: usize, queue: usize) -> Admission {
        let concurrency = NonZeroUsize::new(places).unwrap();
        Admission::new(&LimitsSection { concurrency, queue, ..LimitsSection::default() })
    }

    fn soon() -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(20))
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_the_work_ends() {
        let door = admission(1, 0);
        let first = door.admit(soon()).await.unwrap();
        assert!(matches!(door.admit(soon()).await, Err(AnswerError::Overloaded { .. })));
        drop(first);
        assert!(door.admit(soon()).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_past_their_deadline_and_a_waiting_place_comes_back() {
        let door = admission(1, 1);
        let first = door.admit(soon()).await.unwrap();
        assert!(door.admit(soon()).await.is_err());
        drop(first);
        let second = door.admit(soon()).await;
        assert!(second.is_ok());
        let waits = door.admit(Deadline::after(Instant::now(), Duration::from_mins(1)));
        let frees = async { drop(second) };
        let (admitted, ()) = tokio::join!(waits, frees);
        assert!(admitted.is_ok());
    }
}
