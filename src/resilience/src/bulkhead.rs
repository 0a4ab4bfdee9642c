//! Bounds the calls to one dependency that are under way at once, and those that wait for their turn.
//! Never makes a call, and never lets one wait past its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use crate::deadline::Deadline;

/// Places for calls, and for waiting.
#[derive(Debug)]
pub struct Bulkhead {
    places: Arc<Semaphore>,
    concurrency: usize,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

/// A place for one call. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// The queue is full.
    Full,
    /// The deadline passed in the queue.
    Late,
}

impl Bulkhead {
    /// `concurrency` calls at once, and at most `queue` that wait.
    pub fn new(concurrency: usize, queue: usize) -> Self {
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(concurrency));
        Self { places, concurrency, waiting: Arc::default(), queue }
    }

    /// Waits for a place until `deadline`, if there is room to wait. First come, first served.
    pub async fn enter(&self, deadline: Deadline) -> Result<Place, NoPlace> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Place(place));
        }
        let _waiting = Waiting::begin(&self.waiting, self.queue).ok_or(NoPlace::Full)?;
        let turn = Arc::clone(&self.places).acquire_owned();
        match timeout_at(deadline.instant().into(), turn).await {
            Ok(Ok(place)) => Ok(Place(place)),
            // The semaphore is never closed: an error can only mean that nobody gets a place any more.
            Ok(Err(_)) | Err(_) => Err(NoPlace::Late),
        }
    }

    /// Calls under way.
    pub fn running(&self) -> usize {
        self.concurrency.saturating_sub(self.places.available_permits())
    }

    /// Calls that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place in the queue, given back when dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn begin(waiting: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
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
    use std::time::{Duration, Instant};

    fn within(millis: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(millis))
    }

    #[tokio::test]
    async fn calls_beyond_the_bound_wait_and_those_beyond_the_queue_are_turned_away() {
        let bulkhead = Arc::new(Bulkhead::new(1, 1));
        let first = bulkhead.enter(within(5_000)).await.unwrap();
        let second = tokio::spawn({
            let bulkhead = Arc::clone(&bulkhead);
            async move { bulkhead.enter(within(5_000)).await }
        });
        while bulkhead.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bulkhead.enter(within(5_000)).await.unwrap_err(), NoPlace::Full);
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!((bulkhead.running(), bulkhead.waiting()), (1, 0));
        drop(second);
        assert_eq!(bulkhead.running(), 0);
    }

    #[tokio::test]
    async fn waiting_ends_at_the_deadline_and_gives_its_place_in_the_queue_back() {
        let bulkhead = Bulkhead::new(1, 1);
        let _first = bulkhead.enter(within(5_000)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(bulkhead.enter(within(10)).await.unwrap_err(), NoPlace::Late);
        }
        assert_eq!(bulkhead.waiting(), 0);
    }
}
