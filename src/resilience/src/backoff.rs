//! How long to wait before a call is tried again: exponential with full jitter, never earlier than the other side says.
//! Reads no clock and draws from the generator it is given.

use std::time::Duration;

use fastrand::Rng;

/// Each wait is drawn evenly from nothing to `base` doubled with every try, at most `cap`: what the AWS Architecture Blog
/// calls full jitter ("Exponential Backoff And Jitter"). Clients that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest first wait.
    pub base: Duration,
    /// Longest of all waits.
    pub cap: Duration,
    /// Most calls, the first one included.
    pub attempts: u32,
}

impl Backoff {
    /// The waits between the calls.
    pub fn waits(self, random: Rng) -> Waits {
        Waits { backoff: self, random, done: 0 }
    }

    /// The longest wait after `done` retries.
    fn ceiling(self, done: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(done)).min(self.cap)
    }
}

/// The waits of one call: as many as there may be retries.
#[derive(Debug)]
pub struct Waits {
    backoff: Backoff,
    random: Rng,
    done: u32,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.done.saturating_add(1) >= self.backoff.attempts {
            return None;
        }
        let ceiling = self.backoff.ceiling(self.done);
        self.done += 1;
        Some(ceiling.mul_f64(self.random.f64()))
    }
}

/// The wait, when the other side named one: it is waited out, and the drawn one comes on top, so that all who were told
/// the same do not come back at the same moment. None when it takes longer than `most`: then waiting is of no use.
pub fn fitting(drawn: Duration, retry_after: Option<Duration>, most: Duration) -> Option<Duration> {
    let wait = retry_after.unwrap_or_default().saturating_add(drawn);
    (wait < most).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(1), attempts: 6 };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<u128> = (0..6).map(|done| BACKOFF.ceiling(done).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(BACKOFF.ceiling(u32::MAX), BACKOFF.cap);
    }

    #[test]
    fn there_is_one_wait_less_than_attempts() {
        assert_eq!(BACKOFF.waits(Rng::with_seed(1)).count(), 5);
        for attempts in [0, 1] {
            assert_eq!(Backoff { attempts, ..BACKOFF }.waits(Rng::with_seed(1)).count(), 0);
        }
    }

    /// Full jitter: as often below half of the ceiling as above it, and never beyond.
    #[test]
    fn waits_are_drawn_evenly_from_nothing_to_the_ceiling() {
        let drawn: Vec<Duration> =
            (0..4_000).filter_map(|seed| BACKOFF.waits(Rng::with_seed(seed)).nth(2)).collect();
        let share = |most: u64| drawn.iter().filter(|wait| **wait < Duration::from_millis(most)).count();
        assert_eq!(share(401), 4_000);
        assert!((1_850..2_150).contains(&share(200)), "{}", share(200));
        assert!((300..500).contains(&share(40)), "{}", share(40));
    }

    #[test]
    fn a_named_wait_is_never_cut_short_and_one_that_does_not_fit_is_not_begun() {
        let (second, drawn) = (Duration::from_secs(1), Duration::from_millis(30));
        assert_eq!(fitting(drawn, None, second), Some(drawn));
        assert_eq!(fitting(drawn, Some(second), second * 2), Some(second + drawn));
        assert_eq!(fitting(drawn, Some(second * 3), second * 2), None);
        assert_eq!(fitting(drawn, Some(Duration::MAX), second), None);
    }
}
