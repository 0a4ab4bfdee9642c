//! The server's configuration: its own sections, and those of the crates that it is made of.
//! Reads no environment and no file: that is `boot`'s part.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use lectern_boot::config::{Faults, Loader};
use lectern_boot::telemetry::TelemetrySection;
use lectern_models::config::{EmbedderSection, LlmSection};
use lectern_resilience::config::RetrySection;
use lectern_search::config::StoreSection;
use serde::{Deserialize, Deserializer};

/// Everything that the server can be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners.
    pub http: HttpSection,
    /// Vector store.
    pub store: StoreSection,
    /// Embedding model.
    pub embedder: EmbedderSection,
    /// Language model.
    pub llm: LlmSection,
    /// Retries and breakers of calls to models and stores.
    pub retry: RetrySection,
    /// Answer cache.
    pub cache: CacheSection,
    /// Deadlines, concurrency, sizes.
    pub limits: LimitsSection,
    /// Logs.
    pub telemetry: TelemetrySection,
}

impl Config {
    /// Sections that only `lectern-ingest` reads.
    const FOREIGN: &[&str] = &["sql", "ingest"];

    /// Reads defaults, the file and the environment. Reports all faults together.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let mut loader = Loader::from_environment(file);
        let config = Self {
            http: loader.section("http"),
            store: loader.section("store"),
            embedder: loader.section("embedder"),
            llm: loader.section("llm"),
            retry: loader.checked("retry", RetrySection::faults),
            cache: loader.section("cache"),
            limits: loader.section("limits"),
            telemetry: loader.section("telemetry"),
        };
        loader.ignore(Self::FOREIGN);
        loader.finish()?;
        Ok(config)
    }
}

/// The `http` section: where the server listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Public API. Port 0 picks a free one.
    pub bind: SocketAddr,
    /// Health, metrics and what operators alone may reach. Port 0 picks a free one.
    pub admin_bind: SocketAddr,
    /// Threads that serve connections.
    pub workers: NonZeroUsize,
    /// Largest request body in bytes.
    pub max_body_bytes: NonZeroUsize,
    /// How long requests and streams may go on once the server has been told to stop.
    #[serde(rename = "shutdown_ms", deserialize_with = "milliseconds")]
    pub shutdown: Duration,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            bind: (Ipv4Addr::LOCALHOST, 8080).into(),
            admin_bind: (Ipv4Addr::LOCALHOST, 9090).into(),
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            max_body_bytes: NonZeroUsize::MIN.saturating_add(256 * 1024 - 1),
            shutdown: Duration::from_secs(15),
        }
    }
}

/// The `cache` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSection {
    /// Room for whole answers, in bytes; 0 keeps none.
    pub answers_bytes: u64,
    /// How long an answer is kept at most. A new generation makes it unreachable before that.
    #[serde(rename = "answers_ttl_ms", deserialize_with = "milliseconds")]
    pub answers_ttl: Duration,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self { answers_bytes: 64 * 1024 * 1024, answers_ttl: Duration::from_hours(1) }
    }
}

/// The `limits` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Deadline of a request that names none.
    #[serde(rename = "deadline_ms", deserialize_with = "milliseconds")]
    pub deadline: Duration,
    /// Longest deadline that a request may ask for.
    #[serde(rename = "deadline_max_ms", deserialize_with = "milliseconds")]
    pub deadline_max: Duration,
    /// Searches and answers under way at once.
    pub concurrency: NonZeroUsize,
    /// Requests that may wait for a place.
    pub queue: usize,
    /// Tokens of evidence in a prompt.
    pub evidence_tokens: u32,
    /// Tokens of an answer.
    pub answer_tokens: u32,
    /// How often the server looks where its aliases point.
    #[serde(rename = "alias_refresh_ms", deserialize_with = "milliseconds")]
    pub alias_refresh: Duration,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            deadline_max: Duration::from_mins(2),
            concurrency: NonZeroUsize::MIN.saturating_add(255),
            queue: 1_024,
            evidence_tokens: 3_000,
            answer_tokens: 1_024,
            alias_refresh: Duration::from_millis(200),
        }
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    NonZeroU64::deserialize(deserializer).map(|ms| Duration::from_millis(ms.get()))
}
