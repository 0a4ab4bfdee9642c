//! What is counted and measured of the two generations of a trial, and what it amounts to.
//! Reads no clock. Holds no more than the last searches.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::canary::Ending;
use crate::timings::milliseconds;

/// How long the last searches took.
#[derive(Debug, Default)]
pub struct Latencies(VecDeque<Duration>);

impl Latencies {
    /// Searches that are remembered: enough for the 95th of a hundred to be steady, 16 KB.
    const KEPT: usize = 1_000;

    /// Remembers one more.
    pub fn push(&mut self, took: Duration) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// The median and the 95th of a hundred, `None` before the first search.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let of = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().map(milliseconds)
        };
        Some(Percentiles { p50: of(50)?, p95: of(95)? })
    }
}

/// Milliseconds that half of the searches, and 95 of a hundred, did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    p50: f64,
    p95: f64,
}

/// What one generation of a trial did.
#[derive(Debug, Default)]
pub struct Tally {
    requests: u64,
    not_found: u64,
    failed: u64,
    searches: Latencies,
}

impl Tally {
    /// A request ended.
    pub fn ended(&mut self, ending: Ending) {
        self.requests += 1;
        match ending {
            Ending::Found => {}
            Ending::NotFound => self.not_found += 1,
            Ending::Failed => self.failed += 1,
        }
    }

    /// The store was searched.
    pub fn searched(&mut self, took: Duration) {
        self.searches.push(took);
    }

    /// What it amounts to.
    pub fn figures(&self) -> Figures {
        Figures {
            requests: self.requests,
            not_found: self.not_found,
            failed: self.failed,
            search_ms: self.searches.percentiles(),
        }
    }
}

/// What one generation of a trial did, in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    requests: u64,
    not_found: u64,
    failed: u64,
    search_ms: Option<Percentiles>,
}

/// What the same searches found in both generations.
#[derive(Debug, Default)]
pub struct Pairs {
    compared: u32,
    failed: u32,
    overlap: f64,
    live: Latencies,
    canary: Latencies,
}

impl Pairs {
    /// The same search was made in both.
    pub fn compared(&mut self, overlap: f64, live: Duration, canary: Duration) {
        self.compared += 1;
        self.overlap += overlap;
        self.live.push(live);
        self.canary.push(canary);
    }

    /// The live generation could not be searched for the comparison.
    pub fn failed(&mut self) {
        self.failed += 1;
    }

    /// What it amounts to.
    pub fn figures(&self) -> PairFigures {
        let mean = (0 < self.compared).then(|| self.overlap / f64::from(self.compared));
        PairFigures {
            compared: self.compared,
            failed: self.failed,
            mean_overlap: mean.map(|mean| (mean * 10_000.0).round() / 10_000.0),
            live_ms: self.live.percentiles(),
            canary_ms: self.canary.percentiles(),
        }
    }
}

/// What the same searches found in both generations, in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairFigures {
    compared: u32,
    failed: u32,
    mean_overlap: Option<f64>,
    live_ms: Option<Percentiles>,
    canary_ms: Option<Percentiles>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl Iterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        millis.for_each(|millis| latencies.push(Duration::from_millis(millis)));
        latencies
    }

    #[test]
    fn percentiles_are_those_of_the_last_searches() {
        assert_eq!(of(0..0).percentiles(), None);
        assert_eq!(of(7..8).percentiles(), Some(Percentiles { p50: 7.0, p95: 7.0 }));
        assert_eq!(of((1..=100).rev()).percentiles(), Some(Percentiles { p50: 50.0, p95: 95.0 }));
        assert_eq!(of(1..=2_000).percentiles(), Some(Percentiles { p50: 1_500.0, p95: 1_950.0 }));
    }

    #[test]
    fn endings_are_counted_once_each() {
        let mut tally = Tally::default();
        for ending in [Ending::Found, Ending::Found, Ending::NotFound, Ending::Failed] {
            tally.ended(ending);
        }
        assert_eq!(tally.figures(), Figures { requests: 4, not_found: 1, failed: 1, search_ms: None });
    }

    #[test]
    fn the_overlap_is_the_mean_of_what_was_compared() {
        let mut pairs = Pairs::default();
        assert_eq!(pairs.figures().mean_overlap, None);
        for overlap in [1.0, 0.5] {
            pairs.compared(overlap, Duration::from_millis(1), Duration::from_millis(2));
        }
        pairs.failed();
        let figures = pairs.figures();
        assert_eq!((figures.compared, figures.failed, figures.mean_overlap), (2, 1, Some(0.75)));
    }
}
