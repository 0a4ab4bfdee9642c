//! The database's time between two looks at it: all replicas of one database agree on it.
//! Never steps back because of the machine's own clock: that is looked at once, at the start.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use jiff::Timestamp;

/// Tells the database's time without asking it.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    at_beginning: AtomicI64,
}

impl Clock {
    /// Tells this machine's time, until it is set.
    pub fn start() -> Self {
        Self { began: Instant::now(), at_beginning: AtomicI64::new(Timestamp::now().as_millisecond()) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        let millis = self.at_beginning.load(Ordering::Relaxed).saturating_add(self.elapsed());
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }

    /// Takes over the time that the database has just told.
    pub fn set(&self, told: Timestamp) {
        self.at_beginning.store(told.as_millisecond().saturating_sub(self.elapsed()), Ordering::Relaxed);
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_says_is_the_time() {
        let clock = Clock::start();
        let told = Timestamp::from_second(1_000_000).unwrap();
        clock.set(told);
        let now = clock.now();
        assert!(told <= now && now.duration_since(told).as_secs() < 60, "{now}");
    }
}
