//! Decides whether a call may proceed to an endpoint that may be down.
//! Reads no clock and does no I/O: every method takes "now".

use std::time::{Duration, Instant};

/// Opens after a number of failures in a row, and lets one probe through at a time once it has been open for a while.
///
/// In a row rather than by share: an endpoint that answers most calls must stay in use however many calls it gets, and
/// needs no window to be told from one that answers none. A run of ten at a failure rate of 30 % is one in 170,000.
#[derive(Debug)]
pub struct Breaker {
    failures: u32,
    open_for: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failed_in_a_row: u32,
    },
    Open {
        until: Instant,
    },
    /// One probe at a time; one that has not come back by then is not waited for.
    HalfOpen {
        probing_until: Option<Instant>,
    },
}

/// How a call was let through. It goes back to the breaker with the call's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// As one of many.
    Normal,
    /// As the one that finds out whether the endpoint is back.
    Probe,
}

/// The call must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// When the next probe may be made.
    pub retry_after: Duration,
}

/// What a breaker does, for metrics and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Lets all calls through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets one through at a time.
    HalfOpen,
}

impl BreakerState {
    /// For labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Breaker {
    /// A closed one. `failures` in a row open it, for `open_for`.
    pub fn new(failures: u32, open_for: Duration) -> Self {
        Self { failures, open_for, state: State::Closed { failed_in_a_row: 0 } }
    }

    /// Lets a call through, or not.
    pub fn admit(&mut self, now: Instant) -> Result<Lane, Open> {
        self.check(now)?;
        match self.state {
            State::Closed { .. } => Ok(Lane::Normal),
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { probing_until: Some(now + self.open_for) };
                Ok(Lane::Probe)
            }
        }
    }

    /// What [`Self::admit`] would say, without taking the probe.
    pub fn check(&self, now: Instant) -> Result<(), Open> {
        match self.state {
            State::Open { until } | State::HalfOpen { probing_until: Some(until) } if now < until => {
                Err(Open { retry_after: until - now })
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => Ok(()),
        }
    }

    /// The endpoint did its work.
    pub fn succeeded(&mut self, lane: Lane) {
        match (lane, self.state) {
            (Lane::Probe, _) | (Lane::Normal, State::Closed { .. }) => {
                self.state = State::Closed { failed_in_a_row: 0 };
            }
            // It began before the breaker opened: that is no news.
            (Lane::Normal, State::Open { .. } | State::HalfOpen { .. }) => {}
        }
    }

    /// The endpoint did not do its work, or not in time.
    pub fn failed(&mut self, lane: Lane, now: Instant) {
        self.state = match (lane, self.state) {
            (Lane::Probe, State::Open { .. } | State::HalfOpen { .. }) => {
                State::Open { until: now + self.open_for }
            }
            // Another probe has closed it meanwhile: then this one counts as any other call.
            (_, State::Closed { failed_in_a_row }) if failed_in_a_row + 1 >= self.failures => {
                State::Open { until: now + self.open_for }
            }
            (_, State::Closed { failed_in_a_row }) => State::Closed { failed_in_a_row: failed_in_a_row + 1 },
            (Lane::Normal, later) => later,
        };
    }

    /// The endpoint is there, but did not do its work: it limits us, or refuses the request.
    pub fn answered(&mut self, lane: Lane) {
        if lane == Lane::Probe {
            self.state = State::Closed { failed_in_a_row: 0 };
        }
    }

    /// The caller went away before there was an outcome: the next one may probe.
    pub fn abandoned(&mut self, lane: Lane) {
        if lane == Lane::Probe && matches!(self.state, State::HalfOpen { .. }) {
            self.state = State::HalfOpen { probing_until: None };
        }
    }

    /// What it does at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);
    const SECOND: Duration = Duration::from_secs(1);

    /// A breaker that three failures have opened at `now`.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(3, OPEN_FOR);
        for _ in 0..3 {
            assert_eq!(breaker.admit(now), Ok(Lane::Normal));
            breaker.failed(Lane::Normal, now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_it_says_for_how_long() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        assert_eq!(breaker.admit(t0 + SECOND), Err(Open { retry_after: SECOND * 4 }));
        assert_eq!(breaker.state(t0 + SECOND), BreakerState::Open);
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let t0 = Instant::now();
        let mut breaker = Breaker::new(3, OPEN_FOR);
        for n in 0..30 {
            assert_eq!(breaker.admit(t0), Ok(Lane::Normal), "call {n}");
            if n % 3 == 2 { breaker.succeeded(Lane::Normal) } else { breaker.failed(Lane::Normal, t0) }
        }
    }

    #[test]
    fn limits_and_refusals_neither_open_it_nor_mend_it() {
        let t0 = Instant::now();
        let mut breaker = Breaker::new(2, OPEN_FOR);
        (0..9).for_each(|_| breaker.answered(Lane::Normal));
        breaker.failed(Lane::Normal, t0);
        breaker.answered(Lane::Normal);
        assert_eq!(breaker.admit(t0), Ok(Lane::Normal));
        breaker.failed(Lane::Normal, t0);
        assert!(breaker.admit(t0).is_err());
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_at_a_time() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        let later = t0 + OPEN_FOR;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(later), Ok(Lane::Probe));
        assert_eq!(breaker.admit(later), Err(Open { retry_after: OPEN_FOR }));
    }

    #[test]
    fn a_probe_that_succeeds_closes_it_and_one_that_fails_opens_it_again() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        let later = t0 + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(Lane::Probe));
        breaker.failed(Lane::Probe, later);
        assert_eq!(breaker.admit(later + SECOND), Err(Open { retry_after: SECOND * 4 }));
        assert_eq!(breaker.admit(later + OPEN_FOR), Ok(Lane::Probe));
        breaker.succeeded(Lane::Probe);
        assert_eq!(breaker.admit(later + OPEN_FOR), Ok(Lane::Normal));
    }

    #[test]
    fn a_probe_that_is_limited_or_refused_shows_that_the_endpoint_is_back() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        assert_eq!(breaker.admit(t0 + OPEN_FOR), Ok(Lane::Probe));
        breaker.answered(Lane::Probe);
        assert_eq!(breaker.admit(t0 + OPEN_FOR), Ok(Lane::Normal));
    }

    #[test]
    fn a_probe_whose_caller_went_away_gives_its_place_to_the_next() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        assert_eq!(breaker.admit(t0 + OPEN_FOR), Ok(Lane::Probe));
        breaker.abandoned(Lane::Probe);
        assert_eq!(breaker.admit(t0 + OPEN_FOR), Ok(Lane::Probe));
    }

    #[test]
    fn a_probe_that_hangs_holds_back_the_others_no_longer_than_an_open_breaker_does() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        let (first, second) = (t0 + OPEN_FOR, t0 + OPEN_FOR * 2);
        assert_eq!(breaker.admit(first), Ok(Lane::Probe));
        assert_eq!(breaker.admit(first + SECOND * 4), Err(Open { retry_after: SECOND }));
        assert_eq!(breaker.admit(second), Ok(Lane::Probe));
        breaker.succeeded(Lane::Probe);
        // What becomes of the one that hung is no news about an endpoint that works.
        breaker.failed(Lane::Probe, second);
        assert_eq!(breaker.admit(second), Ok(Lane::Normal));
        breaker.abandoned(Lane::Probe);
        assert_eq!(breaker.state(second), BreakerState::Closed);
    }

    #[test]
    fn outcomes_of_calls_from_before_it_opened_change_nothing() {
        let t0 = Instant::now();
        let mut breaker = opened(t0);
        breaker.failed(Lane::Normal, t0 + SECOND * 4);
        breaker.succeeded(Lane::Normal);
        breaker.abandoned(Lane::Normal);
        assert_eq!(breaker.admit(t0 + SECOND * 4), Err(Open { retry_after: SECOND }));
    }
}
