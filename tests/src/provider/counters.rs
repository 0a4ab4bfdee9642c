//! Counts calls to the mock provider: begun, under way, finished, left by their caller.
//! Never counts a call twice: each has one guard.

use std::sync::{Arc, Mutex, PoisonError};

/// What happened to the calls of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls that came in.
    pub calls: usize,
    /// Calls that are being answered now.
    pub in_flight: usize,
    /// Most calls that were being answered at once.
    pub max_in_flight: usize,
    /// Calls whose caller went away before the answer was complete.
    pub cancelled: usize,
}

/// The counts of one endpoint, as they change.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Counts>);

impl Counters {
    pub(super) fn read(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call in; gives its number, from 1, and the guard that counts it out.
    pub(super) fn begin(self: &Arc<Self>) -> (usize, InFlight) {
        let number = self.change(|counts| {
            counts.calls += 1;
            counts.in_flight += 1;
            counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
            counts.calls
        });
        (number, InFlight { counters: Arc::clone(self), finished: false })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A call under way. Dropped before [`Self::finish`], its caller has gone.
#[derive(Debug)]
pub(super) struct InFlight {
    counters: Arc<Counters>,
    finished: bool,
}

impl InFlight {
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counters.change(|counts| {
            counts.in_flight -= 1;
            counts.cancelled += usize::from(!self.finished);
        });
    }
}
