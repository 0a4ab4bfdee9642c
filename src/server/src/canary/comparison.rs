//! Searches that are made once more to compare two generations: few, one at a time, in the background, bounded.
//! Never makes a request wait, and never begins when requests wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_schema::identifiers::DocumentId;
use lectern_search::query::Hit;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The comparisons of one server. Its end waits for them.
#[derive(Debug)]
pub struct Comparisons {
    pace: Mutex<Pace>,
    place: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    runtime: Handle,
}

impl Comparisons {
    /// Time between the beginnings of two: four a second say within minutes how alike two generations are, and are nothing
    /// beside what a store answers in a second.
    const INTERVAL: Duration = Duration::from_millis(250);
    /// Longest that the search of one may take.
    pub const BUDGET: Duration = Duration::from_secs(2);

    /// They run on `runtime`, whose end is the server's.
    pub fn new(runtime: Handle) -> Self {
        Self {
            pace: Mutex::new(Pace::new(Self::INTERVAL)),
            place: Arc::new(Semaphore::new(1)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            runtime,
        }
    }

    /// Runs `comparison`, unless one is under way, the last one began too short a time ago, or the server ends.
    pub fn begin<F>(&self, now: Instant, comparison: impl FnOnce() -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.place).try_acquire_owned() else { return };
        let due = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        if !due || self.stop.is_cancelled() {
            return;
        }
        let (comparison, stop) = (comparison(), self.stop.clone());
        let work = async move {
            let _place = place;
            stop.run_until_cancelled(comparison).await;
        };
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// Gives up what is under way and waits for its end.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Lets something happen at most once in an interval.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval, next: None }
    }

    fn take(&mut self, now: Instant) -> bool {
        let due = self.next.is_none_or(|next| next <= now);
        if due {
            self.next = Some(now + self.interval);
        }
        due
    }
}

/// Hits that are looked at: what users see of a search, mostly.
const OVERLAP_AT: usize = 10;

/// The share of documents that the first hits of both searches have in common, 0 to 1. Two that find nothing agree.
pub fn overlap(one: &[Hit], other: &[Hit]) -> f64 {
    let documents = |hits: &[Hit]| -> BTreeSet<DocumentId> {
        hits.iter().take(OVERLAP_AT).map(|hit| hit.payload.document_id.clone()).collect()
    };
    shared(&documents(one), &documents(other))
}

fn shared<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let most = one.len().max(other.len());
    if most == 0 { 1.0 } else { number(one.intersection(other).count()) / number(most) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    #[test]
    fn the_overlap_is_the_share_of_the_larger_set() {
        let set = |numbers: &[i32]| numbers.iter().copied().collect::<BTreeSet<_>>();
        let cases = [
            (&[][..], &[][..], 1.0),
            (&[1], &[], 0.0),
            (&[1, 2], &[2, 1], 1.0),
            (&[1, 2, 3, 4], &[4, 5], 0.25),
        ];
        for (one, other, expected) in cases {
            assert!((shared(&set(one), &set(other)) - expected).abs() < 1e-9, "{one:?} {other:?}");
        }
    }

    #[test]
    fn comparisons_keep_their_distance() {
        let (now, mut pace) = (Instant::now(), Pace::new(Duration::from_millis(250)));
        let at = |millis| now + Duration::from_millis(millis);
        let taken = [0, 100, 249, 250, 400, 5_000, 5_100].map(|millis| pace.take(at(millis)));
        assert_eq!(taken, [true, false, false, true, false, true, false]);
    }

    #[tokio::test]
    async fn one_runs_at_a_time_and_the_end_does_not_wait_for_one_that_hangs() {
        let comparisons = Comparisons::new(Handle::current());
        let (now, begun) = (Instant::now(), Arc::new(Notify::new()));
        let signal = Arc::clone(&begun);
        comparisons.begin(now, || async move {
            signal.notify_one();
            std::future::pending::<()>().await;
        });
        begun.notified().await;
        let mut second = false;
        comparisons.begin(now + Duration::from_mins(1), || {
            second = true;
            std::future::ready(())
        });
        assert!(!second);
        comparisons.end().await;
        comparisons.begin(now + Duration::from_mins(2), || {
            second = true;
            std::future::ready(())
        });
        assert!(!second);
    }
}
