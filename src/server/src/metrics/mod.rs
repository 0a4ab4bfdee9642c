//! What the server counts and measures, as Prometheus reads it.
//! Label values are bounded: routes, stages, outcomes, aliases that exist.

use std::time::Duration;

use lectern_schema::identifiers::{AliasName, GenerationId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::{Load, Work};
use crate::answer::event::Answer;
use crate::canary::Role;
use crate::metrics::roles::RoleMetrics;
use crate::metrics::upstreams::UpstreamMetrics;
use crate::timings::Timings;

pub mod roles;
pub mod upstreams;

/// Upper bounds in seconds: from a cache hit to the longest deadline.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// All metrics of the server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram>,
    stage_seconds: Family<StageLabels, Histogram>,
    answers: Family<CacheLabels, Counter>,
    lookups: Family<LookupLabels, Counter>,
    degraded: Family<DegradedLabels, Counter>,
    /// Of the dependencies.
    pub upstreams: UpstreamMetrics,
    /// Of live generations and canaries.
    pub roles: RoleMetrics,
    running: Family<WorkLabels, Gauge>,
    waiting: Family<WorkLabels, Gauge>,
    calls: Family<CallLabels, Counter>,
    in_flight: Gauge,
    generation: Family<GenerationLabels, Gauge>,
    refused: Family<AliasLabels, Counter>,
    flagged: Family<KindLabels, Counter>,
    citations: Family<VerdictLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    cache: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DegradedLabels {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkLabels {
    work: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    dependency: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AliasLabels {
    alias: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenerationLabels {
    alias: String,
    generation: String,
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

/// What the server calls while it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// The vector store.
    Store,
    /// The embedding model.
    Embedder,
    /// The language model.
    Llm,
}

impl Dependency {
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Embedder => "embedder",
            Self::Llm => "llm",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("lectern"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            stage_seconds: Family::new_with_constructor(seconds),
            answers: Family::default(),
            lookups: Family::default(),
            degraded: Family::default(),
            upstreams: UpstreamMetrics::default(),
            roles: RoleMetrics::default(),
            running: Family::default(),
            waiting: Family::default(),
            calls: Family::default(),
            in_flight: Gauge::default(),
            generation: Family::default(),
            refused: Family::default(),
            flagged: Family::default(),
            citations: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        self.upstreams.register(registry);
        self.roles.register(registry);
        registry.register("requests", "Requests by route and status", self.requests.clone());
        registry.register_with_unit(
            "request",
            "Time from request to response head",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register_with_unit("stage", "Time by stage", Unit::Seconds, self.stage_seconds.clone());
        registry.register(
            "answers",
            "Answers by what the cache did: hit, joined, miss",
            self.answers.clone(),
        );
        registry.register("cache_lookups", "Lookups by cache and outcome: hit, miss", self.lookups.clone());
        registry.register("degraded", "Responses by what was skipped or replaced", self.degraded.clone());
        registry.register(
            "work_running",
            "Requests that have a place, by class of work",
            self.running.clone(),
        );
        registry.register(
            "work_waiting",
            "Requests that wait for a place, by class of work",
            self.waiting.clone(),
        );
        registry.register("calls", "Calls by dependency and outcome", self.calls.clone());
        registry.register("requests_in_flight", "Requests under way", self.in_flight.clone());
        registry.register(
            "generation",
            "1 for the generations that each alias serves, by role: live, canary",
            self.generation.clone(),
        );
        registry.register(
            "generations_refused",
            "Generations that could not be served",
            self.refused.clone(),
        );
        registry.register(
            "flagged_evidence",
            "Pieces of evidence that read like instructions, by kind",
            self.flagged.clone(),
        );
        registry.register("citations", "Citations of cited sentences, by verdict", self.citations.clone());
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only when a metric's own encoder does, and none of ours can.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A request began. It is under way until the guard is dropped.
    pub fn request_began(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request was responded to.
    pub fn request_ended(&self, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
        self.request_seconds
            .get_or_create(&RouteLabels { route: route.to_owned() })
            .observe(took.as_secs_f64());
    }

    /// Work was done for a request.
    pub fn stages(&self, timings: &Timings) {
        for (stage, took) in timings.stages() {
            let labels = StageLabels { stage: stage.name() };
            self.stage_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// An answer was taken from the cache, from work under way, or made.
    pub fn answered(&self, outcome: &'static str) {
        self.answers.get_or_create(&CacheLabels { outcome }).inc();
    }

    /// A cache was asked.
    pub fn looked_up(&self, cache: &'static str, found: bool) {
        let outcome = if found { "hit" } else { "miss" };
        self.lookups.get_or_create(&LookupLabels { cache, outcome }).inc();
    }

    /// A response did without something, or with something in its place.
    pub fn degraded(&self, what: &[&'static str]) {
        for what in what {
            self.degraded.get_or_create(&DegradedLabels { what }).inc();
        }
    }

    /// How full a class of work is.
    pub fn load(&self, work: Work, load: Load) {
        let labels = WorkLabels { work: work.name() };
        let set = |gauges: &Family<WorkLabels, Gauge>, value: usize| {
            gauges.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.running, load.running);
        set(&self.waiting, load.waiting);
    }

    /// An answer was made: what its evidence and its citations were found to be.
    pub fn checked(&self, answer: &Answer) {
        for kind in answer.sources.iter().flat_map(|source| &source.suspicions) {
            self.flagged.get_or_create(&KindLabels { kind: kind.name() }).inc();
        }
        for citation in &answer.citations {
            self.citations.get_or_create(&VerdictLabels { verdict: citation.verdict.name() }).inc();
        }
    }

    /// A dependency was called.
    pub fn called(&self, dependency: Dependency, succeeded: bool) {
        let outcome = if succeeded { "ok" } else { "failed" };
        self.calls.get_or_create(&CallLabels { dependency: dependency.name(), outcome }).inc();
    }

    /// In this role, an alias is served from `now` from now on, no longer from `before`.
    pub fn generation_served(
        &self,
        (alias, role): (&AliasName, Role),
        before: Option<&GenerationId>,
        now: Option<&GenerationId>,
    ) {
        let labels = |id: &GenerationId| GenerationLabels {
            alias: alias.to_string(),
            generation: id.to_string(),
            role: role.name(),
        };
        if let Some(before) = before {
            self.generation.remove(&labels(before));
        }
        if let Some(now) = now {
            self.generation.get_or_create(&labels(now)).set(1);
        }
    }

    /// A generation cannot be served.
    pub fn generation_refused(&self, alias: &AliasName) {
        self.refused.get_or_create(&AliasLabels { alias: alias.to_string() }).inc();
    }
}

/// A request under way.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_for_prometheus() {
        let metrics = Metrics::default();
        metrics.request_ended("/v1/search", 200, Duration::from_millis(3));
        metrics.called(Dependency::Store, true);
        let text = metrics.render();
        assert!(text.contains(r#"lectern_requests_total{route="/v1/search",status="200"} 1"#), "{text}");
        assert!(text.contains(r#"lectern_calls_total{dependency="store",outcome="ok"} 1"#), "{text}");
        assert!(text.contains("lectern_request_seconds_bucket"), "{text}");
    }

    #[test]
    fn an_alias_shows_one_generation_in_a_role() {
        let metrics = Metrics::default();
        let alias = AliasName::default();
        let first = GenerationId::parse("docs@20261121T101500Z").unwrap();
        let shown = || metrics.render().matches("lectern_generation{").count();
        metrics.generation_served((&alias, Role::Live), None, Some(&first));
        metrics.generation_served((&alias, Role::Live), Some(&first), Some(&first.next()));
        assert_eq!(shown(), 1);
        metrics.generation_served((&alias, Role::Canary), None, Some(&first));
        assert_eq!(shown(), 2);
        metrics.generation_served((&alias, Role::Canary), Some(&first), None);
        assert_eq!(shown(), 1);
    }
}
