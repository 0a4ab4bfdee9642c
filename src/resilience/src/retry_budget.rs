//! Decides whether a failed call may be made again, so that retries never make an outage worse.
//! Reads no clock and makes no call.

use std::time::{Duration, Instant};

use crate::trailing::Trailing;

/// Pays retries from the calls of a trailing window: a share of them while most succeed, a small share of the failed ones
/// once they do not.
///
/// A dependency counts as failing when half of the window's calls failed, or when its last calls did, one after the other: the window is
/// still full of good calls when an outage begins. Beside the shares there are a few savings, for the first failures
/// after a quiet time, where a share of nothing is nothing; they are filled up only while retries stay below their share,
/// so that a dependency that fails for long does not live on them.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    failing_percent: u64,
    window: Trailing<Slot>,
    savings: u32,
    failed_in_a_row: u32,
}

/// What happened in a slot of the window.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    /// First calls.
    calls: u64,
    /// Of them, those that failed.
    calls_failed: u64,
    /// Calls made again.
    retries: u64,
    /// Calls of either kind that ended.
    ended: u64,
    /// Of them, those that failed.
    failed: u64,
}

/// Which call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Try {
    /// The first one.
    First,
    /// One that was made again.
    Again,
}

impl RetryBudget {
    /// Slots of the window: a tenth of it leaves at once.
    const SLOTS: u64 = 10;
    /// Savings at the start: a lonely first call can be made again as often as the default allows.
    const FIRST_SAVINGS: u32 = 5;
    /// Most savings.
    const MOST_SAVINGS: u32 = 10;
    /// Failures in a row that are an outage: at a failure rate of 30 % one run in 170,000 is that long.
    const RUN: u32 = 10;
    /// Fewest calls whose half says something.
    const SAMPLE: u64 = 20;

    /// Allows `percent` extra calls, and `failing_percent` while the dependency fails.
    pub fn new(now: Instant, percent: u32, failing_percent: u32, window: Duration) -> Self {
        let slots = u32::try_from(Self::SLOTS).unwrap_or(1);
        Self {
            percent: percent.into(),
            failing_percent: failing_percent.into(),
            window: Trailing::new(now, window / slots, Self::SLOTS),
            savings: Self::FIRST_SAVINGS,
            failed_in_a_row: 0,
        }
    }

    /// A first call begins.
    pub fn called(&mut self, now: Instant) {
        self.window.current(now).1.calls += 1;
    }

    /// A call succeeded.
    pub fn succeeded(&mut self, now: Instant) {
        self.window.current(now).1.ended += 1;
        self.failed_in_a_row = 0;
        let seen = self.seen(now);
        if !self.is_failing(&seen) && within(seen.retries, self.percent, seen.calls) {
            self.savings = (self.savings + 1).min(Self::MOST_SAVINGS);
        }
    }

    /// A call failed in a way that another try could mend.
    pub fn failed(&mut self, tried: Try, now: Instant) {
        let slot = self.window.current(now).1;
        slot.ended += 1;
        slot.failed += 1;
        slot.calls_failed += u64::from(tried == Try::First);
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
    }

    /// Takes one retry out of the budget; `false` when there is none left.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        let seen = self.seen(now);
        let failing = self.is_failing(&seen);
        let granted = if failing {
            within(seen.retries, self.failing_percent, seen.calls_failed)
        } else {
            within(seen.retries, self.percent, seen.calls) || self.save_less()
        };
        self.window.current(now).1.retries += u64::from(granted);
        granted
    }

    fn save_less(&mut self) -> bool {
        let left = self.savings.checked_sub(1);
        self.savings = left.unwrap_or_default();
        left.is_some()
    }

    fn seen(&mut self, now: Instant) -> Slot {
        self.window.iter(now).fold(Slot::default(), |sum, (_, slot)| Slot {
            calls: sum.calls + slot.calls,
            calls_failed: sum.calls_failed + slot.calls_failed,
            retries: sum.retries + slot.retries,
            ended: sum.ended + slot.ended,
            failed: sum.failed + slot.failed,
        })
    }

    fn is_failing(&self, seen: &Slot) -> bool {
        let half_failed = seen.ended >= Self::SAMPLE && seen.failed * 2 >= seen.ended;
        half_failed || self.failed_in_a_row >= Self::RUN
    }
}

/// Whether one retry more stays below the share.
fn within(retries: u64, percent: u64, calls: u64) -> bool {
    (retries + 1) * 100 < percent * calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;
    use fastrand::Rng;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    const WINDOW: Duration = Duration::from_secs(10);

    /// What a provider did with a number of questions.
    struct Outcome {
        calls_per_question: f64,
        percent_unanswered: f64,
    }

    /// A load of questions on a provider that fails by chance, in simulated time.
    struct Load {
        questions: u32,
        every: Duration,
        failing: f64,
        /// Questions before them that all succeed.
        healthy: u32,
        seed: u64,
    }

    impl Load {
        /// Each event is a moment, a question and how often it was tried; a call takes up to 100 ms.
        fn run(&self) -> Outcome {
            let (t0, mut random) = (Instant::now(), Rng::with_seed(self.seed));
            let backoff =
                Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(2), attempts: 6 };
            let mut budget = RetryBudget::new(t0, 50, 10, WINDOW);
            let mut waits: Vec<_> = (0..self.healthy + self.questions)
                .map(|n| backoff.waits(Rng::with_seed(self.seed + u64::from(n))))
                .collect();
            let begins = (0_u32..).map(|n| t0 + self.every * n).zip(0..waits.len());
            let mut events: BinaryHeap<_> =
                begins.map(|(at, n)| Reverse((at, n, false, Try::First))).collect();
            let (mut calls, mut unanswered) = (0, 0);
            while let Some(Reverse((at, n, ends, tried))) = events.pop() {
                let counted = n >= usize::try_from(self.healthy).unwrap();
                if !ends {
                    if tried == Try::First {
                        budget.called(at);
                    }
                    calls += u32::from(counted);
                    events.push(Reverse((at + Duration::from_millis(random.u64(1..100)), n, true, tried)));
                } else if !counted || random.f64() >= self.failing {
                    budget.succeeded(at);
                } else {
                    budget.failed(tried, at);
                    match waits[n].next().filter(|_| budget.withdraw(at)) {
                        Some(wait) => events.push(Reverse((at + wait, n, false, Try::Again))),
                        None => unanswered += 1,
                    }
                }
            }
            let questions = f64::from(self.questions);
            Outcome {
                calls_per_question: f64::from(calls) / questions,
                percent_unanswered: f64::from(unanswered) * 100.0 / questions,
            }
        }
    }

    #[test]
    fn a_total_outage_costs_less_than_a_tenth_more_calls() {
        for (questions, every) in [(100, 0), (300, 0), (300, 5), (300, 50), (300, 200), (300, 1_000)] {
            for healthy in [0, 500] {
                // The good calls must have ended before the outage begins: at once, they overlap it.
                if healthy > 0 && every < 50 {
                    continue;
                }
                let every = Duration::from_millis(every);
                let outcome = Load { questions, every, failing: 1.0, healthy, seed: 7 }.run();
                let calls = outcome.calls_per_question;
                assert!((1.0..1.1).contains(&calls), "{calls} at {every:?} after {healthy}");
            }
        }
    }

    #[test]
    fn thirty_percent_of_failures_are_hidden_from_nearly_everyone() {
        let (mut calls, mut unanswered) = (0.0, 0.0);
        for seed in 0..10 {
            let every = Duration::from_millis(20);
            let outcome = Load { questions: 2_000, every, failing: 0.3, healthy: 0, seed }.run();
            calls += outcome.calls_per_question / 10.0;
            unanswered += outcome.percent_unanswered / 10.0;
        }
        assert!(unanswered < 0.5, "{unanswered} % unanswered");
        assert!(calls < 1.45, "{calls} calls per question");
    }

    #[test]
    fn retries_stay_within_half_of_the_calls() {
        for seed in 0..5 {
            let every = Duration::from_millis(10);
            let outcome = Load { questions: 2_000, every, failing: 0.45, healthy: 0, seed }.run();
            assert!(outcome.calls_per_question < 1.51, "{}", outcome.calls_per_question);
        }
    }

    #[test]
    fn a_lonely_first_call_is_made_again() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now, 50, 10, WINDOW);
        budget.called(now);
        budget.failed(Try::First, now);
        for _ in 0..5 {
            assert!(budget.withdraw(now));
            budget.failed(Try::Again, now);
        }
        assert!(!budget.withdraw(now));
    }

    #[test]
    fn savings_come_back_with_success() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now, 50, 10, WINDOW);
        while budget.withdraw(now) {}
        let later = now + WINDOW * 2;
        for _ in 0..3 {
            budget.called(later);
            budget.succeeded(later);
        }
        assert!(budget.withdraw(later));
    }

    #[test]
    fn a_budget_of_nothing_makes_no_call_again_once_its_savings_are_used() {
        let now = Instant::now();
        let mut budget = RetryBudget::new(now, 0, 0, WINDOW);
        (0..1_000).for_each(|_| budget.called(now));
        assert_eq!((0..100).filter(|_| budget.withdraw(now)).count(), 5);
    }
}
