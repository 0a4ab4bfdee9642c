//! What a test may do to the server's calls: count them, delay them, fail them.
//! Never looks into a call: it knows nothing but its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Code;

/// Which calls a knob turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calls {
    /// All of them, health checks included.
    Every,
    /// Those of one method: `Query`, or `Points/Delete` where two services have a method of that name.
    To(String),
}

impl From<&str> for Calls {
    fn from(method: &str) -> Self {
        Self::To(method.to_owned())
    }
}

impl Calls {
    fn include(&self, call: &str) -> bool {
        match self {
            Self::Every => true,
            Self::To(method) => names(method, call),
        }
    }
}

/// How a call is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// `UNAVAILABLE`: the store is down or restarting. `qdrant-client` repeats a read once by itself after this one
    /// and after [`Self::Internal`], so it takes two to fail a read.
    Unavailable,
    /// `RESOURCE_EXHAUSTED`: the store limits its callers.
    RateLimited,
    /// `DEADLINE_EXCEEDED`: the store gave up.
    Late,
    /// `INTERNAL`: the store has a fault.
    Internal,
    /// `INVALID_ARGUMENT`: the store refuses the request.
    Refused,
}

impl Failure {
    pub(crate) fn status(self) -> tonic::Status {
        let code = match self {
            Self::Unavailable => Code::Unavailable,
            Self::RateLimited => Code::ResourceExhausted,
            Self::Late => Code::DeadlineExceeded,
            Self::Internal => Code::Internal,
            Self::Refused => Code::InvalidArgument,
        };
        tonic::Status::new(code, "failed on purpose: a test asked for it")
    }
}

/// The knobs of one server. All methods take effect on the next call that arrives.
#[derive(Debug, Default)]
pub struct Knobs {
    settings: Mutex<Settings>,
}

#[derive(Debug, Default)]
struct Settings {
    counted: BTreeMap<String, u64>,
    under_way: BTreeMap<String, UnderWay>,
    delays: Vec<(Calls, Duration)>,
    next: Vec<(Calls, u64, Failure)>,
    shares: Vec<Share>,
}

/// How many calls of one name are being served.
#[derive(Debug, Default, Clone, Copy)]
struct UnderWay {
    now: u64,
    most: u64,
}

#[derive(Debug)]
struct Share {
    calls: Calls,
    per_call: f64,
    owed: f64,
    failure: Failure,
}

/// What happens to a call before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Treatment {
    pub(crate) delay: Duration,
    pub(crate) failure: Option<Failure>,
}

impl Knobs {
    /// How many calls of `method` arrived (`Query`, or `Points/Delete`), refused and failed ones included.
    pub fn calls(&self, method: &str) -> u64 {
        self.settings().counted.iter().filter(|(call, _)| names(method, call)).map(|(_, count)| count).sum()
    }

    /// How many calls of `method` were under way at once at most, delays on purpose included.
    pub fn most_at_once(&self, method: &str) -> u64 {
        let settings = self.settings();
        let of_method = settings.under_way.iter().filter(|(call, _)| names(method, call));
        of_method.map(|(_, under_way)| under_way.most).max().unwrap_or_default()
    }

    /// How many calls of any method arrived.
    pub fn all_calls(&self) -> u64 {
        self.settings().counted.values().sum()
    }

    /// Counts from zero again.
    pub fn forget_calls(&self) {
        let mut settings = self.settings();
        settings.counted.clear();
        settings.under_way.values_mut().for_each(|under_way| under_way.most = under_way.now);
    }

    /// Adds `delay` before each of these calls; several delays add up.
    pub fn delay(&self, calls: impl Into<Calls>, delay: Duration) {
        self.settings().delays.push((calls.into(), delay));
    }

    /// Fails the next `count` of these calls.
    pub fn fail_next(&self, calls: impl Into<Calls>, count: u64, failure: Failure) {
        self.settings().next.push((calls.into(), count, failure));
    }

    /// Fails a share of these calls, 0.0 to 1.0, evenly spread: with 0.25 every fourth.
    pub fn fail_share(&self, calls: impl Into<Calls>, share: f64, failure: Failure) {
        self.settings().shares.push(Share { calls: calls.into(), per_call: share, owed: 0.0, failure });
    }

    /// Ends all delays and failures; the counts stay.
    pub fn heal(&self) {
        let mut settings = self.settings();
        settings.delays.clear();
        settings.next.clear();
        settings.shares.clear();
    }

    /// Counts a call (`Points/Query`) and says what is to be done to it.
    pub(crate) fn arrive(&self, call: &str) -> Treatment {
        let mut settings = self.settings();
        *settings.counted.entry(call.to_owned()).or_default() += 1;
        let delay =
            settings.delays.iter().filter(|(calls, _)| calls.include(call)).map(|(_, delay)| *delay).sum();
        Treatment { delay, failure: settings.failure_of(call) }
    }

    /// Counts a call as under way until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>, call: &str) -> Begun {
        let mut settings = self.settings();
        let under_way = settings.under_way.entry(call.to_owned()).or_default();
        under_way.now += 1;
        under_way.most = under_way.most.max(under_way.now);
        drop(settings);
        Begun { knobs: Arc::clone(self), call: call.to_owned() }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Begun {
    knobs: Arc<Knobs>,
    call: String,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(under_way) = self.knobs.settings().under_way.get_mut(&self.call) {
            under_way.now -= 1;
        }
    }
}

impl Settings {
    fn failure_of(&mut self, call: &str) -> Option<Failure> {
        for (calls, left, failure) in &mut self.next {
            if 0 < *left && calls.include(call) {
                *left -= 1;
                return Some(*failure);
            }
        }
        let mut due = None;
        for share in self.shares.iter_mut().filter(|share| share.calls.include(call)) {
            share.owed += share.per_call;
            if 1.0 <= share.owed {
                share.owed -= 1.0;
                due = due.or(Some(share.failure));
            }
        }
        due
    }
}

fn names(method: &str, call: &str) -> bool {
    call == method || call.rsplit_once('/').is_some_and(|(_, last)| last == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(knobs: &Knobs, call: &str, times: usize) -> Vec<bool> {
        (0..times).map(|_| knobs.arrive(call).failure.is_some()).collect()
    }

    #[test]
    fn a_share_of_failures_is_spread_evenly() {
        let knobs = Knobs::default();
        knobs.fail_share(Calls::Every, 0.5, Failure::Internal);
        assert_eq!(failures(&knobs, "Points/Query", 4), [false, true, false, true]);
    }

    #[test]
    fn the_next_failures_end_by_themselves_and_spare_other_methods() {
        let knobs = Knobs::default();
        knobs.fail_next("Query", 1, Failure::Unavailable);
        assert_eq!(failures(&knobs, "Points/Count", 1), [false]);
        assert_eq!(failures(&knobs, "Points/Query", 2), [true, false]);
    }

    #[test]
    fn a_method_is_counted_by_its_name_or_by_its_service_and_name() {
        let knobs = Knobs::default();
        knobs.arrive("Points/Delete");
        knobs.arrive("Collections/Delete");
        assert_eq!((knobs.calls("Delete"), knobs.calls("Points/Delete"), knobs.all_calls()), (2, 1, 2));
    }

    #[test]
    fn the_most_calls_at_once_are_those_that_were_under_way_together() {
        let knobs = Arc::new(Knobs::default());
        for _ in 0..3 {
            drop(knobs.begin("Points/Query"));
        }
        assert_eq!(knobs.most_at_once("Query"), 1);
        let _both = [knobs.begin("Points/Query"), knobs.begin("Points/Query")];
        assert_eq!((knobs.most_at_once("Query"), knobs.most_at_once("Count")), (2, 0));
    }

    #[test]
    fn healing_ends_delays_and_failures_but_keeps_the_counts() {
        let knobs = Knobs::default();
        knobs.delay("Query", Duration::from_secs(1));
        knobs.fail_share("Query", 1.0, Failure::Late);
        assert_eq!(knobs.arrive("Points/Query").delay, Duration::from_secs(1));
        knobs.heal();
        assert_eq!(knobs.arrive("Points/Query"), Treatment { delay: Duration::ZERO, failure: None });
        assert_eq!(knobs.calls("Query"), 2);
    }
}
