//! The `retry` section of the configuration.
//! Never says which calls it is applied to.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};

use crate::backoff::Backoff;
use crate::breaker::Breaker;
use crate::retry_budget::RetryBudget;

/// How calls to providers and stores are retried, and when an endpoint is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetrySection {
    /// Most calls for one piece of work, the first one included.
    pub attempts: NonZeroU32,
    /// Longest first wait; doubles with each retry, and every wait is drawn from nothing to that.
    #[serde(rename = "base_ms", deserialize_with = "milliseconds")]
    pub base: Duration,
    /// Longest of all waits that we choose ourselves; a provider may name a longer one.
    #[serde(rename = "cap_ms", deserialize_with = "milliseconds")]
    pub cap: Duration,
    /// Most extra calls, in percent of the calls of the window.
    pub percent: u32,
    /// The same while half of the calls fail, in percent of those that failed.
    pub failing_percent: u32,
    /// The trailing window that both are counted in.
    #[serde(rename = "window_ms", deserialize_with = "milliseconds")]
    pub window: Duration,
    /// Failures in a row after which an endpoint is left alone.
    pub breaker_failures: NonZeroU32,
    /// For how long, before one call finds out whether it is back.
    #[serde(rename = "breaker_open_ms", deserialize_with = "milliseconds")]
    pub breaker_open: Duration,
}

impl Default for RetrySection {
    fn default() -> Self {
        Self {
            // At a failure rate of 30 % six calls leave 0.07 % unanswered, five 0.24 %: too near to the 0.5 % that clients may
            // see, where a few hundred questions decide by chance.
            attempts: NonZeroU32::MIN.saturating_add(5),
            base: Duration::from_millis(100),
            cap: Duration::from_secs(2),
            percent: 50,
            failing_percent: 10,
            window: Duration::from_secs(10),
            breaker_failures: NonZeroU32::MIN.saturating_add(9),
            breaker_open: Duration::from_secs(5),
        }
    }
}

impl RetrySection {
    /// What does not fit together: keys, and reasons that read on after them.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.cap < self.base {
            found.push(("cap_ms", "must be at least `retry.base_ms`".to_owned()));
        }
        if self.percent > 100 {
            found.push(("percent", "must be at most 100".to_owned()));
        }
        if self.failing_percent > self.percent {
            found.push(("failing_percent", "must be at most `retry.percent`".to_owned()));
        }
        found
    }

    /// The waits between tries.
    pub fn backoff(&self) -> Backoff {
        Backoff { base: self.base, cap: self.cap, attempts: self.attempts.get() }
    }

    pub(crate) fn budget(&self, now: Instant) -> RetryBudget {
        RetryBudget::new(now, self.percent, self.failing_percent, self.window)
    }

    pub(crate) fn breaker(&self) -> Breaker {
        Breaker::new(self.breaker_failures.get(), self.breaker_open)
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    NonZeroU64::deserialize(deserializer).map(|ms| Duration::from_millis(ms.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_fault_and_all_faults_are_found() {
        assert_eq!(RetrySection::default().faults(), []);
        let section = RetrySection {
            cap: Duration::from_millis(1),
            percent: 200,
            failing_percent: 300,
            ..RetrySection::default()
        };
        let keys: Vec<&str> = section.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["cap_ms", "percent", "failing_percent"]);
    }
}
