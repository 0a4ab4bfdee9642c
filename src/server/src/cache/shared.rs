//! Answers shared between replicas, in Redis. Whatever goes wrong with it is a miss: it saves work, and answers nothing that
//! could not be answered without it.
//! Never holds an answer that something was missing from, and never a question in the clear: keys are hashes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_resilience::call::{Allowance, Fault, Verdict};
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::{Bounds, Snapshot, Upstream};
use lectern_schema::identifiers::GenerationId;
use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::answer::citation::Citation;
use crate::answer::event::{Answer, Source};
use crate::cache::answers::AnswerKey;
use crate::config::CacheSection;
use crate::timings::Timings;

/// The shared layer behind the answer cache. Clones are handles.
#[derive(Clone)]
pub struct SharedAnswers {
    connection: ConnectionManager,
    upstream: Upstream,
    wait: Duration,
    ttl: Duration,
}

/// Why the shared layer cannot be used: told at the start.
#[derive(Debug, thiserror::Error)]
pub enum BadShared {
    /// The address is not one of Redis.
    #[error("`cache.redis_url` cannot be used: give `redis://HOST:PORT/DATABASE` or `rediss://` for TLS")]
    Url(#[source] redis::RedisError),
}

#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error("redis failed")]
    Failed(#[from] redis::RedisError),
    #[error("what redis holds is not an answer")]
    Unreadable(#[from] serde_json::Error),
}

impl Fault for Missed {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Failed(_) => Verdict::Broken,
            Self::Unreadable(_) => Verdict::Final,
        }
    }
}

impl SharedAnswers {
    /// Part of the key: raised whenever [`Stored`] changes, so that replicas of two versions do not read each other's.
    const VERSION: u32 = 1;
    /// Calls at once: they take well under a millisecond, and wait for each other otherwise.
    const CONCURRENCY: usize = 256;
    /// Largest answer that is shared: beyond that the transfer costs more than it saves.
    const LARGEST: usize = 1024 * 1024;

    /// The layer that the section asks for, if it does. Connects with the first use.
    pub fn of(section: &CacheSection) -> Result<Option<Self>, BadShared> {
        section.redis_url.as_ref().map(|url| Self::new(url, section)).transpose()
    }

    fn new(url: &SecretString, section: &CacheSection) -> Result<Self, BadShared> {
        let (wait, ttl) = (section.redis_wait, section.answers_ttl);
        let client = redis::Client::open(url.expose_secret()).map_err(BadShared::Url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(wait))
            .set_response_timeout(Some(wait))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(BadShared::Url)?;
        // A miss costs less than another try.
        let once = RetrySection { attempts: NonZeroU32::MIN, ..RetrySection::default() };
        let upstream = Upstream::new("redis", &once, Bounds::concurrency(Self::CONCURRENCY));
        Ok(Self { connection, upstream, wait, ttl })
    }

    /// The answer that some replica has kept under `key`. Takes no longer than the configured wait.
    pub async fn get(&self, key: &AnswerKey) -> Option<Arc<Answer>> {
        let name = Self::name(key);
        let work = |_| {
            let (mut connection, name) = (self.connection.clone(), name.clone());
            async move {
                let stored: Option<Vec<u8>> = connection.get(name).await?;
                stored.map(|bytes| serde_json::from_slice::<Stored>(&bytes)).transpose().map_err(Missed::from)
            }
        };
        let found = self.upstream.call(self.allowance(), work).await;
        found.ok().flatten().map(|stored| Arc::new(stored.into()))
    }

    /// Keeps an answer for all replicas.
    pub async fn keep(&self, key: &AnswerKey, answer: &Answer) {
        let Some(bytes) = encode(answer) else { return };
        let (name, ttl) = (Self::name(key), u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        let work = |_| {
            let (mut connection, name, bytes) = (self.connection.clone(), name.clone(), bytes.clone());
            async move {
                let done: Result<(), _> = connection.pset_ex(name, bytes, ttl).await;
                done.map_err(Missed::from)
            }
        };
        if self.upstream.call(self.allowance(), work).await.is_err() {
            tracing::debug!("answer not shared");
        }
    }

    /// What Redis looks like from here.
    pub fn snapshot(&self) -> Snapshot {
        self.upstream.snapshot()
    }

    fn allowance(&self) -> Allowance {
        Allowance::until(Deadline::after(Instant::now(), self.wait))
    }

    fn name(key: &AnswerKey) -> String {
        format!("lectern:answer:{}:{}", Self::VERSION, key.hash())
    }
}

impl std::fmt::Debug for SharedAnswers {
    /// Leaves out the connection, whose address may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedAnswers").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// An answer as Redis holds it. What the first one who asked paid and waited is not part of it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    text: String,
    citations: Vec<Citation>,
    sources: Vec<Source>,
    generation: GenerationId,
    model: String,
}

fn encode(answer: &Answer) -> Option<Vec<u8>> {
    let stored = Stored {
        text: answer.text.clone(),
        citations: answer.citations.clone(),
        sources: answer.sources.as_ref().clone(),
        generation: answer.generation.clone(),
        model: answer.model.clone(),
    };
    let whole = answer.degraded.is_empty();
    whole
        .then(|| serde_json::to_vec(&stored).ok())
        .flatten()
        .filter(|bytes| bytes.len() <= SharedAnswers::LARGEST)
}

impl From<Stored> for Answer {
    fn from(stored: Stored) -> Self {
        let Stored { text, citations, sources, generation, model } = stored;
        Self {
            text,
            standalone: None,
            citations,
            sources: Arc::new(sources),
            generation,
            model,
            degraded: Vec::new(),
            usage: lectern_models::llm::Usage::default(),
            timings: Timings::default(),
        }
    }
}
