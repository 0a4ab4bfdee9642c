//! The latency gate: whether searches take much longer than in the live generation.
//! Never refuses for noise: a factor and some milliseconds must both be exceeded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::section::GatesSection;
use super::{Live, Verdict};

/// The slowest of many searches are noisy: they may be later by so many times the slack of the median.
const NOISE: u32 = 5;

/// How long searches took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: Duration,
    /// What all but one in twenty stay below.
    pub p95: Duration,
}

impl Latency {
    /// The median and the 95th percentile, `None` of nothing.
    pub fn of(mut searches: Vec<Duration>) -> Option<Self> {
        searches.sort_unstable();
        let at = |percent: usize| {
            searches.get((searches.len() * percent).div_ceil(100).saturating_sub(1)).copied()
        };
        Some(Self { p50: at(50)?, p95: at(95)? })
    }
}

/// Whether a generation is searched about as fast as the live one.
pub fn latency(candidate: Option<Latency>, live: &Live<Latency>, section: &GatesSection) -> Verdict {
    const GATE: &str = "latency";
    let Some(ours) = candidate else { return Verdict::new(GATE, true, "nothing was searched for") };
    let times =
        |latency: &Latency| format!("p50 {:.1} ms, p95 {:.1} ms", millis(latency.p50), millis(latency.p95));
    let (theirs, whose) = match live.known() {
        Ok(known) => known,
        Err(reason) => return Verdict::new(GATE, true, format!("{}; {reason}", times(&ours))),
    };
    let slack = section.latency_slack();
    let slower = exceeds(ours.p50, theirs.p50, slack, section.latency_factor)
        || exceeds(ours.p95, theirs.p95, slack * NOISE, section.latency_factor);
    let detail = format!(
        "{}, and {} of what is {whose}; {} times as long and {} ms more is too much",
        times(&ours),
        times(theirs),
        section.latency_factor,
        section.latency_slack_ms
    );
    Verdict::new(GATE, !slower, detail)
}

fn exceeds(ours: Duration, theirs: Duration, slack: Duration, factor: f64) -> bool {
    theirs.as_secs_f64() * factor < ours.as_secs_f64() && theirs + slack < ours
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(p50: u64, p95: u64) -> Latency {
        Latency { p50: Duration::from_millis(p50), p95: Duration::from_millis(p95) }
    }

    fn passes(ours: Latency, theirs: Latency) -> bool {
        latency(Some(ours), &Live::Now(theirs), &GatesSection::default()).passed
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(Latency::of(times), Some(ms(50, 95)));
        assert_eq!(Latency::of(vec![Duration::from_millis(7)]), Some(ms(7, 7)));
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn many_times_as_long_is_refused_only_when_it_is_also_much() {
        assert!(passes(ms(10, 12), ms(1, 2)));
        assert!(passes(ms(50, 60), ms(20, 30)));
        assert!(!passes(ms(90, 90), ms(20, 30)));
    }

    #[test]
    fn a_slow_tail_is_refused_too_but_not_for_one_hiccup() {
        assert!(passes(ms(2, 90), ms(2, 5)));
        assert!(!passes(ms(2, 500), ms(2, 5)));
    }

    #[test]
    fn without_a_live_one_the_times_are_told() {
        let verdict = latency(Some(ms(3, 4)), &Live::nothing(), &GatesSection::default());
        assert_eq!(verdict.detail, "p50 3.0 ms, p95 4.0 ms; nothing is live to compare with");
    }
}
