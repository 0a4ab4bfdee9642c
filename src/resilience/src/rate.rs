//! Keeps calls below a provider's ceilings per minute, before the provider does it.
//! Reads no clock and does not wait: it says how long to.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::trailing::Trailing;

/// The ceilings of one endpoint, and what was spent of them.
///
/// Spending is summed over the trailing minute, not poured through a leaky bucket: a bucket of a minute's size lets nearly
/// twice its rate through within some minute, and a smaller one refuses bursts that the provider allows.
#[derive(Debug)]
pub struct Rate {
    requests: Option<Ceiling>,
    tokens: Option<Ceiling>,
    held_until: Option<Instant>,
}

/// Requests and tokens per minute; none where there is no ceiling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Most requests in a minute.
    pub requests: Option<NonZeroU64>,
    /// Most tokens in a minute, prompt and answer together.
    pub tokens: Option<NonZeroU64>,
}

/// What a call was allowed to spend. It is handed back with what the call really spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    tokens: u64,
    /// The slot that they were taken from.
    slot: u64,
}

/// The call must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl Rate {
    /// Longest time for which a provider's word holds calls back: a mistaken header must not take it out of service.
    pub const LONGEST_HOLD: Duration = Duration::from_mins(1);

    /// Nothing is spent yet.
    pub fn new(now: Instant, ceilings: Ceilings) -> Self {
        let ceiling = |most: Option<NonZeroU64>| most.map(|most| Ceiling::new(now, most.get()));
        Self { requests: ceiling(ceilings.requests), tokens: ceiling(ceilings.tokens), held_until: None }
    }

    /// Takes one request and the estimated tokens out of what is left of the minute.
    pub fn reserve(&mut self, now: Instant, tokens: u64) -> Result<Reserved, Wait> {
        let held = self.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let requests = self.requests.as_mut().map_or(Duration::ZERO, |ceiling| ceiling.free_in(now, 1));
        let of_tokens = self.tokens.as_mut().map_or(Duration::ZERO, |ceiling| ceiling.free_in(now, tokens));
        let wait = held.max(requests).max(of_tokens);
        if !wait.is_zero() {
            return Err(Wait(wait));
        }
        if let Some(requests) = &mut self.requests {
            requests.spend(now, 1);
        }
        let slot = self.tokens.as_mut().map_or(0, |ceiling| ceiling.spend(now, tokens));
        Ok(Reserved { tokens, slot })
    }

    /// Corrects an estimate. What was spent beyond it is owed: later calls wait for it.
    pub fn settle(&mut self, now: Instant, reserved: Reserved, spent: u64) {
        let Some(tokens) = &mut self.tokens else { return };
        if let Some(more) = spent.checked_sub(reserved.tokens) {
            tokens.spend(now, more);
        } else if let Some(slot) = tokens.spent.slot(reserved.slot) {
            *slot = slot.saturating_sub(reserved.tokens - spent);
        }
    }

    /// The provider asked for a pause: nobody runs into its limit again before that.
    pub fn hold(&mut self, now: Instant, pause: Duration) {
        let until = now + pause.min(Self::LONGEST_HOLD);
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }
}

/// One ceiling, and what was spent in each second.
#[derive(Debug)]
struct Ceiling {
    most: u64,
    spent: Trailing<u64>,
}

impl Ceiling {
    /// A second leaves when all of it is a minute ago, so that no minute ever holds more than the ceiling.
    const SECONDS: u64 = 61;

    fn new(now: Instant, most: u64) -> Self {
        Self { most, spent: Trailing::new(now, Duration::from_secs(1), Self::SECONDS) }
    }

    /// How long until `amount` can be spent. More than the ceiling can be spent when nothing else was: it would never be.
    fn free_in(&mut self, now: Instant, amount: u64) -> Duration {
        let spent: u64 = self.spent.iter(now).map(|(_, spent)| *spent).sum();
        let mut over = spent.saturating_add(amount.min(self.most)).saturating_sub(self.most);
        if over == 0 {
            return Duration::ZERO;
        }
        let mut last = 0;
        for (number, spent) in self.spent.iter(now) {
            last = number;
            over = over.saturating_sub(*spent);
            if over == 0 {
                break;
            }
        }
        self.spent.leaves_in(last, now)
    }

    fn spend(&mut self, now: Instant, amount: u64) -> u64 {
        let (number, slot) = self.spent.current(now);
        *slot = slot.saturating_add(amount);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(now: Instant, requests: u64, tokens: u64) -> Rate {
        Rate::new(now, Ceilings { requests: NonZeroU64::new(requests), tokens: NonZeroU64::new(tokens) })
    }

    #[test]
    fn no_minute_holds_more_requests_than_the_ceiling() {
        let t0 = Instant::now();
        let mut rate = rate(t0, 30, 0);
        let step = Duration::from_millis(130);
        let sent: Vec<Duration> =
            (0..2_000).map(|n| step * n).filter(|at| rate.reserve(t0 + *at, 5).is_ok()).collect();
        assert!(sent.len() > 110, "{}", sent.len());
        for (n, begin) in sent.iter().enumerate() {
            let within = sent[n..].iter().filter(|at| **at < *begin + SECOND * 60).count();
            assert!(within <= 30, "{within} from {begin:?} on");
        }
    }

    #[test]
    fn the_wait_is_long_enough_and_no_longer() {
        let t0 = Instant::now();
        let mut rate = rate(t0, 2, 0);
        assert!(rate.reserve(t0, 0).is_ok());
        assert!(rate.reserve(t0 + SECOND * 10, 0).is_ok());
        let Err(Wait(wait)) = rate.reserve(t0 + SECOND * 20, 0) else { panic!("third of two") };
        assert_eq!(wait, SECOND * 41);
        let free = t0 + SECOND * 61;
        assert!(rate.reserve(t0 + SECOND * 60, 0).is_err());
        assert!(rate.reserve(free, 0).is_ok());
    }

    #[test]
    fn an_estimate_that_was_too_high_is_given_back() {
        let t0 = Instant::now();
        let mut rate = rate(t0, 0, 100);
        let reserved = rate.reserve(t0, 80).unwrap();
        assert!(rate.reserve(t0, 80).is_err());
        rate.settle(t0 + SECOND, reserved, 20);
        assert!(rate.reserve(t0 + SECOND, 80).is_ok());
    }

    #[test]
    fn an_estimate_that_was_too_low_is_owed() {
        let t0 = Instant::now();
        let mut rate = rate(t0, 0, 100);
        let reserved = rate.reserve(t0, 10).unwrap();
        rate.settle(t0, reserved, 300);
        assert_eq!(rate.reserve(t0, 1), Err(Wait(SECOND * 61)));
        assert!(rate.reserve(t0 + SECOND * 61, 1).is_ok());
    }

    #[test]
    fn a_call_larger_than_the_ceiling_goes_alone() {
        let t0 = Instant::now();
        let mut rate = rate(t0, 0, 100);
        assert!(rate.reserve(t0, 500).is_ok());
        assert!(rate.reserve(t0 + SECOND * 30, 1).is_err());
        assert!(rate.reserve(t0 + SECOND * 61, 500).is_ok());
    }

    #[test]
    fn a_pause_holds_everybody_back_but_not_for_ever() {
        let t0 = Instant::now();
        let mut rate = rate(t0, 0, 0);
        rate.hold(t0, SECOND * 3);
        rate.hold(t0, SECOND);
        assert_eq!(rate.reserve(t0 + SECOND, 0), Err(Wait(SECOND * 2)));
        assert!(rate.reserve(t0 + SECOND * 3, 0).is_ok());
        rate.hold(t0, Duration::MAX);
        assert!(rate.reserve(t0 + Rate::LONGEST_HOLD, 0).is_ok());
    }
}
