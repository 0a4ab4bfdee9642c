//! What the server's dependencies look like from here: calls, retries, breakers, queues, tokens. Taken from their own counts
//! whenever the metrics are read.
//! Never calls a dependency.

use std::sync::atomic::Ordering;

use lectern_models::llm::TokenCounts;
use lectern_resilience::breaker::BreakerState;
use lectern_resilience::upstream::Snapshot;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of all upstreams.
#[derive(Debug, Default)]
pub struct UpstreamMetrics {
    calls: Family<EventLabels, Counter>,
    open: Family<UpstreamLabels, Gauge>,
    running: Family<UpstreamLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
    tokens: Family<TokenLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    upstream: String,
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    kind: &'static str,
}

impl UpstreamMetrics {
    /// Makes the metrics known.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "upstream_calls",
            "Calls by upstream and what became of them: made, retried, failed, given_up, rejected by the breaker",
            self.calls.clone(),
        );
        registry.register(
            "upstream_breaker_open",
            "1 while the upstream is left alone or probed",
            self.open.clone(),
        );
        registry.register("upstream_running", "Calls under way by upstream", self.running.clone());
        registry.register(
            "upstream_waiting",
            "Calls that wait for their turn by upstream",
            self.waiting.clone(),
        );
        registry.register("tokens", "Tokens of the language models by kind", self.tokens.clone());
    }

    /// Takes over the counts of an upstream.
    pub fn take(&self, seen: &Snapshot) {
        let labels = UpstreamLabels { upstream: seen.name.clone() };
        let events = [
            ("made", seen.calls),
            ("retried", seen.retries),
            ("failed", seen.failures),
            ("given_up", seen.given_up),
            ("rejected", seen.rejected),
        ];
        for (event, count) in events {
            let labels = EventLabels { upstream: seen.name.clone(), event };
            self.calls.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
        }
        self.open.get_or_create(&labels).set(i64::from(seen.breaker != BreakerState::Closed));
        let set = |gauges: &Family<UpstreamLabels, Gauge>, value: usize| {
            gauges.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.running, seen.running);
        set(&self.waiting, seen.waiting);
    }

    /// Takes over the tokens of all answers so far.
    pub fn take_tokens(&self, seen: TokenCounts) {
        let kinds = [("prompt", seen.prompt), ("completion", seen.completion), ("given_up", seen.given_up)];
        for (kind, count) in kinds {
            self.tokens.get_or_create(&TokenLabels { kind }).inner().store(count, Ordering::Relaxed);
        }
    }
}
