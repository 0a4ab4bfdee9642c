//! What is counted and measured by the role of the generation that served: live, or canary.
//! Never by generation: names of generations are without number, and the gauge of generations tells who has which role.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::SECONDS;
use crate::canary::{Ending, Role};

/// Upper bounds of the overlap of two generations, tenths.
const TENTHS: [f64; 11] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Metrics of live generations and canaries.
#[derive(Debug)]
pub struct RoleMetrics {
    requests: Family<EndingLabels, Counter>,
    search_seconds: Family<RoleLabels, Histogram>,
    comparisons: Family<ComparisonLabels, Counter>,
    overlap: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndingLabels {
    role: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabels {
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ComparisonLabels {
    outcome: &'static str,
}

impl Default for RoleMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            search_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            comparisons: Family::default(),
            overlap: Histogram::new(TENTHS),
        }
    }
}

impl RoleMetrics {
    /// Makes them known to Prometheus.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "role_requests",
            "Searches and asks by role of the generation, live or canary, and outcome: found, not_found, failed",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "role_search",
            "Time of searches in the store by role of the generation",
            Unit::Seconds,
            self.search_seconds.clone(),
        );
        registry.register(
            "canary_comparisons",
            "Searches of a canary made once more in the live generation, by outcome: compared, failed",
            self.comparisons.clone(),
        );
        registry.register(
            "canary_overlap",
            "Share of documents that canary and live generation find in common",
            self.overlap.clone(),
        );
    }

    /// A request ended.
    pub fn ended(&self, role: Role, ending: Ending) {
        self.requests.get_or_create(&EndingLabels { role: role.name(), outcome: ending.name() }).inc();
    }

    /// The store was searched.
    pub fn searched(&self, role: Role, took: Duration) {
        self.search_seconds.get_or_create(&RoleLabels { role: role.name() }).observe(took.as_secs_f64());
    }

    /// A search was compared, `None` when the live generation could not be searched for it.
    pub fn compared(&self, overlap: Option<f64>) {
        let outcome = if overlap.is_some() { "compared" } else { "failed" };
        self.comparisons.get_or_create(&ComparisonLabels { outcome }).inc();
        if let Some(overlap) = overlap {
            self.overlap.observe(overlap);
        }
    }
}
