//! The one point in time by which a request must be answered.
//! Reads no clock: callers pass "now" in.

use std::time::{Duration, Instant};

/// A point in time after which nobody waits for the work any more. Copied into every call that the work makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// Farthest deadline: longer waits are a mistake somewhere, and `Instant` must not overflow.
    const FARTHEST: Duration = Duration::from_hours(24);

    /// The deadline `budget` after `now`, at most a day ahead.
    pub fn after(now: Instant, budget: Duration) -> Self {
        Self(now + budget.min(Self::FARTHEST))
    }

    /// The point in time itself, for timers.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Time left, zero when it has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether no time is left.
    pub fn has_passed(self, now: Instant) -> bool {
        self.remaining(now).is_zero()
    }

    /// The earlier of this deadline and `budget` after `now`: the bound of one stage.
    #[must_use]
    pub fn at_most(self, now: Instant, budget: Duration) -> Self {
        self.min(Self::after(now, budget))
    }

    /// This deadline, later by what is granted beyond it.
    #[must_use]
    pub fn extended_by(self, grace: Duration) -> Self {
        Self(self.0 + grace.min(Self::FARTHEST))
    }

    /// This deadline without what later stages need: the bound of a stage that must leave them their time. `now` when
    /// less is left than they need.
    #[must_use]
    pub fn leaving(self, now: Instant, reserve: Duration) -> Self {
        Self(now + self.remaining(now).saturating_sub(reserve))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_shrinks_to_zero_and_stays_there() {
        let now = Instant::now();
        let deadline = Deadline::after(now, Duration::from_secs(2));
        assert_eq!(deadline.remaining(now + Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(deadline.remaining(now + Duration::from_secs(3)), Duration::ZERO);
        assert!(deadline.has_passed(now + Duration::from_secs(2)));
    }

    #[test]
    fn a_stage_never_outlives_its_request() {
        let now = Instant::now();
        let request = Deadline::after(now, Duration::from_secs(2));
        assert_eq!(request.at_most(now, Duration::from_secs(5)), request);
        assert_eq!(
            request.at_most(now, Duration::from_secs(1)),
            Deadline::after(now, Duration::from_secs(1))
        );
    }

    #[test]
    fn a_stage_leaves_later_ones_their_time() {
        let now = Instant::now();
        let request = Deadline::after(now, Duration::from_secs(5));
        let stage = request.leaving(now, Duration::from_secs(2));
        assert_eq!(stage.remaining(now), Duration::from_secs(3));
        assert!(request.leaving(now, Duration::from_secs(5)).has_passed(now));
        assert!(request.leaving(now, Duration::MAX).has_passed(now));
        let late = now + Duration::from_secs(9);
        assert_eq!(request.leaving(late, Duration::from_secs(1)).remaining(late), Duration::ZERO);
    }

    #[test]
    fn a_huge_budget_does_not_overflow() {
        let now = Instant::now();
        assert!(!Deadline::after(now, Duration::MAX).has_passed(now));
    }
}
