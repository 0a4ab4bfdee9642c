//! The `gates` section of the configuration: how much is looked at, and what is good enough.
//! Never reads it from anywhere: `boot` does.

use std::time::Duration;

use serde::Deserialize;

/// How careful the gates are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatesSection {
    /// Chunks whose vectors and texts are looked at.
    pub sample: usize,
    /// Most of them that are embedded again.
    pub reembed: usize,
    /// Least cosine between a stored vector and that of its text.
    pub least_cosine: f64,
    /// Mean cosine between the vectors of different texts from which they count as all alike.
    pub most_alike: f64,
    /// Average loss of nDCG@10 or recall@10 that passes even when it is no accident.
    pub golden_margin: f64,
    /// Average loss that is refused even when it may be an accident.
    pub golden_most_loss: f64,
    /// Least recall@10 where there is no live generation to compare with.
    pub golden_least_recall: f64,
    /// Searches whose time is measured.
    pub latency_queries: usize,
    /// How many times as long as in the live generation a search may take.
    pub latency_factor: f64,
    /// Milliseconds that a search may always take longer.
    pub latency_slack_ms: u64,
}

impl GatesSection {
    /// Most chunks of a sample: more is an export.
    const LARGEST_SAMPLE: usize = 10_000;

    /// Time that a search may always take longer.
    pub(crate) fn latency_slack(&self) -> Duration {
        Duration::from_millis(self.latency_slack_ms)
    }

    /// What is wrong with the section, by key.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let shares = [
            ("least_cosine", self.least_cosine),
            ("most_alike", self.most_alike),
            ("golden_margin", self.golden_margin),
            ("golden_most_loss", self.golden_most_loss),
            ("golden_least_recall", self.golden_least_recall),
        ];
        let mut found: Vec<(&'static str, String)> = shares
            .into_iter()
            .filter(|(_, share)| !(0.0..=1.0).contains(share))
            .map(|(key, _)| (key, "must be from 0 to 1".to_owned()))
            .collect();
        if !(1..=Self::LARGEST_SAMPLE).contains(&self.sample) {
            found.push(("sample", format!("must be from 1 to {}", Self::LARGEST_SAMPLE)));
        }
        if !(1.0 <= self.latency_factor && self.latency_factor.is_finite()) {
            found.push(("latency_factor", "must be at least 1".to_owned()));
        }
        found
    }
}

impl Default for GatesSection {
    fn default() -> Self {
        Self {
            // Finds a fault of 1 chunk in 50 in 199 of 200 cases.
            sample: 256,
            // A wrong model shows in every one; a share of wrong vectors is found by comparing with known ones.
            reembed: 32,
            // The same text by the same model differs by less than 0.001, whatever the batch; another prefix by more than 0.02.
            least_cosine: 0.99,
            // Models that crowd all texts into a corner stay below 0.9.
            most_alike: 0.98,
            golden_margin: 0.02,
            golden_most_loss: 0.15,
            golden_least_recall: 0.5,
            latency_queries: 32,
            latency_factor: 3.0,
            latency_slack_ms: 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_fault_and_all_faults_are_found() {
        assert_eq!(GatesSection::default().faults(), []);
        let section = GatesSection {
            sample: 1_000_000,
            least_cosine: 1.5,
            golden_margin: f64::NAN,
            latency_factor: 0.5,
            ..GatesSection::default()
        };
        let keys: Vec<&str> = section.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["least_cosine", "golden_margin", "sample", "latency_factor"]);
    }
}
