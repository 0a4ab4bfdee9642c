//! The server's configuration: its own sections, and those of the crates that it is made of.
//! Reads no environment and no file: that is `boot`'s part.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use lectern_boot::config::{Faults, Loader};
use lectern_boot::database::SqlSection;
use lectern_boot::telemetry::TelemetrySection;
use lectern_models::config::{EmbedderSection, LlmSection};
use lectern_resilience::config::RetrySection;
use lectern_search::config::StoreSection;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::sessions::config::SessionSection;

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
    /// Database of the sessions.
    pub sql: SqlSection,
    /// Conversations.
    pub session: SessionSection,
    /// Logs.
    pub telemetry: TelemetrySection,
}

impl Config {
    /// Sections that only `lectern-ingest` reads.
    const FOREIGN: &[&str] = &["ingest", "gates"];

    /// Reads defaults, the file and the environment. Reports all faults together.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let mut loader = Loader::from_environment(file);
        let config = Self {
            http: loader.section("http"),
            store: loader.section("store"),
            embedder: loader.section("embedder"),
            llm: loader.section("llm"),
            retry: loader.checked("retry", RetrySection::faults),
            cache: loader.checked("cache", CacheSection::faults),
            limits: loader.section("limits"),
            sql: loader.checked("sql", SqlSection::faults),
            session: loader.section("session"),
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
    /// Connections of one worker at most; the system holds back more.
    pub connections: NonZeroUsize,
    /// How long a client may leave its answer unread after its deadline before the connection is ended.
    #[serde(rename = "slow_reader_ms", deserialize_with = "milliseconds")]
    pub slow_reader: Duration,
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
            // A connection costs some 20 KB: 10,000 of them fit a replica of 512 MiB.
            connections: NonZeroUsize::MIN.saturating_add(10_000 - 1),
            slow_reader: Duration::from_secs(10),
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
    /// How old an answer is when it is still served but made anew in the background, for the next one who asks.
    #[serde(rename = "answers_fresh_ms", deserialize_with = "milliseconds")]
    pub answers_fresh: Duration,
    /// Redis, as a second layer that replicas share: `redis://HOST:PORT/DATABASE`, `rediss://` for TLS.
    pub redis_url: Option<SecretString>,
    /// Longest wait for Redis; then it is a miss.
    #[serde(rename = "redis_wait_ms", deserialize_with = "milliseconds")]
    pub redis_wait: Duration,
    /// From which cosine on a question is answered with the answer to an earlier one. None: never.
    pub semantic_threshold: Option<f32>,
    /// Room for questions that may resemble others, in bytes.
    pub semantic_bytes: u64,
    /// Room for what was found, in bytes; 0 keeps nothing.
    pub retrievals_bytes: u64,
    /// How long a retrieval is kept at most.
    #[serde(rename = "retrievals_ttl_ms", deserialize_with = "milliseconds")]
    pub retrievals_ttl: Duration,
    /// Room for the vectors of questions, in bytes; 0 keeps none.
    pub vectors_bytes: u64,
}

impl CacheSection {
    /// What cannot be meant: keys, and reasons that read on after them.
    fn faults(&self) -> Vec<(&'static str, String)> {
        let unusable = self.semantic_threshold.filter(|threshold| !(0.5..=1.0).contains(threshold));
        let fault =
            |_| ("semantic_threshold", "must be from 0.5 to 1: below, questions are not alike".to_owned());
        unusable.map(fault).into_iter().collect()
    }
}

impl Default for CacheSection {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            answers_bytes: 64 * MIB,
            answers_ttl: Duration::from_hours(1),
            answers_fresh: Duration::from_mins(10),
            redis_url: None,
            redis_wait: Duration::from_millis(50),
            semantic_threshold: None,
            semantic_bytes: 16 * MIB,
            retrievals_bytes: 32 * MIB,
            retrievals_ttl: Duration::from_mins(5),
            vectors_bytes: 16 * MIB,
        }
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
    /// Answers that are made at once.
    pub concurrency: NonZeroUsize,
    /// Asks that may wait for a place.
    pub queue: usize,
    /// Searches under way at once.
    pub search_concurrency: NonZeroUsize,
    /// Searches that may wait for a place.
    pub search_queue: usize,
    /// How long requests are turned away before the server says that it is not ready.
    #[serde(rename = "unready_after_ms", deserialize_with = "milliseconds")]
    pub unready_after: Duration,
    /// Tokens of evidence in a prompt.
    pub evidence_tokens: u32,
    /// Tokens of an answer.
    pub answer_tokens: u32,
    /// Whether the evidence is quoted, and the answer declared degraded, when the language model is down; else 503.
    pub quote_when_llm_is_down: bool,
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
            search_concurrency: NonZeroUsize::MIN.saturating_add(127),
            search_queue: 1_024,
            unready_after: Duration::from_secs(5),
            evidence_tokens: 3_000,
            answer_tokens: 1_024,
            quote_when_llm_is_down: false,
            alias_refresh: Duration::from_millis(200),
        }
    }
}

pub(crate) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    NonZeroU64::deserialize(deserializer).map(|ms| Duration::from_millis(ms.get()))
}
