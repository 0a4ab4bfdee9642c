//! Ingest runs: begun when, ended how, with what counts and report.
//! Never knows whether a run that has not ended is still alive: its generation's lease tells.

use std::fmt;

use jiff::Timestamp;
use lectern_schema::identifiers::{AliasName, GenerationId};
use uuid::Uuid;

use crate::registry::error::RegistryError;
use crate::registry::{Registry, stored};

/// Names a run. Later runs have greater names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// It has not ended, or was killed.
    Running,
    /// Its generation went live.
    Published,
    /// Its generation is complete and waits to be published.
    Built,
    /// A gate refused its generation.
    Refused,
    /// It gave up with an error.
    Failed,
}

impl RunOutcome {
    /// The outcome as the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Published => "published",
            Self::Built => "built",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Published, Self::Built, Self::Refused, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCounts {
    /// Documents ingested.
    pub documents: u64,
    /// Documents skipped.
    pub skipped: u64,
    /// Chunks written.
    pub chunks: u64,
    /// Chunks whose vector was computed.
    pub embedded: u64,
    /// Chunks whose vector came from the cache.
    pub reused: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it did.
    pub counts: RunCounts,
    /// The report that the user saw.
    pub report: serde_json::Value,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// The generation that it built, if it came that far.
    pub generation: Option<GenerationId>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it did.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it did.
    pub counts: RunCounts,
    /// Its report as JSON, if it ended.
    pub report: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    run_id: String,
    generation: Option<String>,
    outcome: String,
    started_at: i64,
    finished_at: Option<i64>,
    documents: i64,
    skipped: i64,
    chunks: i64,
    embedded: i64,
    reused: i64,
    report: Option<String>,
}

impl Registry {
    /// Remembers that a run for `alias` begins.
    pub async fn begin_run(&self, alias: &AliasName, now: Timestamp) -> Result<RunId, RegistryError> {
        const BEGIN: &str =
            "INSERT INTO runs (run_id, alias, outcome, started_at) VALUES ($1, $2, 'running', $3)";
        let id = RunId(Uuid::now_v7());
        let beginning =
            sqlx::query(BEGIN).bind(id.to_string()).bind(alias.as_str()).bind(now.as_millisecond());
        self.bounded(beginning.execute(&self.pool)).await?;
        Ok(id)
    }

    /// Remembers which generation a run builds.
    pub async fn run_builds(&self, id: RunId, generation: &GenerationId) -> Result<(), RegistryError> {
        const BUILDS: &str = "UPDATE runs SET generation = $2 WHERE run_id = $1";
        let naming = sqlx::query(BUILDS).bind(id.to_string()).bind(generation.as_str());
        self.bounded(naming.execute(&self.pool)).await.map(drop)
    }

    /// Remembers how a run ended.
    pub async fn finish_run(&self, id: RunId, end: &RunEnd, now: Timestamp) -> Result<(), RegistryError> {
        const FINISH: &str = "
            UPDATE runs
            SET outcome = $2, finished_at = $3, report = $4,
                documents = $5, skipped = $6, chunks = $7, embedded = $8, reused = $9
            WHERE run_id = $1";
        let finishing = sqlx::query(FINISH)
            .bind(id.to_string())
            .bind(end.outcome.as_str())
            .bind(now.as_millisecond())
            .bind(end.report.to_string())
            .bind(stored(end.counts.documents))
            .bind(stored(end.counts.skipped))
            .bind(stored(end.counts.chunks))
            .bind(stored(end.counts.embedded))
            .bind(stored(end.counts.reused));
        self.bounded(finishing.execute(&self.pool)).await.map(drop)
    }

    /// The generations that runs for `alias` have begun and not reported on: each run is under way, or its process died.
    pub async fn unreported_generations(
        &self,
        alias: &AliasName,
    ) -> Result<Vec<GenerationId>, RegistryError> {
        const UNREPORTED: &str = "
            SELECT generation FROM runs
            WHERE alias = $1 AND outcome = 'running' AND generation IS NOT NULL";
        let asking = sqlx::query_scalar::<_, String>(UNREPORTED).bind(alias.as_str());
        let names = self.bounded(asking.fetch_all(&self.pool)).await?;
        names.iter().map(|name| self.read("a run's generation", GenerationId::parse(name))).collect()
    }

    /// Remembers that the runs which built `generation` have died, except those that reported their end.
    pub async fn bury_runs(&self, generation: &GenerationId, now: Timestamp) -> Result<(), RegistryError> {
        const BURY: &str = "
            UPDATE runs SET outcome = 'failed', finished_at = $2, report = $3
            WHERE generation = $1 AND outcome = 'running'";
        let burying = sqlx::query(BURY).bind(generation.as_str()).bind(now.as_millisecond()).bind(died());
        self.bounded(burying.execute(&self.pool)).await.map(drop)
    }

    /// Remembers that one run has died, unless it reported its end.
    pub async fn bury_run(&self, id: RunId, now: Timestamp) -> Result<(), RegistryError> {
        const BURY: &str = "
            UPDATE runs SET outcome = 'failed', finished_at = $2, report = $3
            WHERE run_id = $1 AND outcome = 'running'";
        let burying = sqlx::query(BURY).bind(id.to_string()).bind(now.as_millisecond()).bind(died());
        self.bounded(burying.execute(&self.pool)).await.map(drop)
    }

    /// The last `limit` runs for `alias`, newest first.
    pub async fn runs(&self, alias: &AliasName, limit: u32) -> Result<Vec<Run>, RegistryError> {
        const NEWEST: &str = "
            SELECT run_id, generation, outcome, started_at, finished_at,
                   documents, skipped, chunks, embedded, reused, report
            FROM runs WHERE alias = $1
            ORDER BY started_at DESC, run_id DESC LIMIT $2";
        let asking = sqlx::query_as::<_, Row>(NEWEST).bind(alias.as_str()).bind(i64::from(limit));
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        rows.into_iter().map(|row| self.run(row)).collect()
    }

    pub(super) fn read_run_id(&self, name: &str) -> Result<RunId, RegistryError> {
        Ok(RunId(self.read("a run's name", Uuid::parse_str(name))?))
    }

    fn run(&self, row: Row) -> Result<Run, RegistryError> {
        let unknown = || RegistryError::from(self.database.damaged("a run's outcome", None));
        let generation = row.generation.as_deref().map(GenerationId::parse).transpose();
        Ok(Run {
            id: self.read_run_id(&row.run_id)?,
            generation: self.read("a run's generation", generation)?,
            started_at: self.time("a run's beginning", row.started_at)?,
            finished_at: self.optional_time("a run's end", row.finished_at)?,
            outcome: RunOutcome::parse(&row.outcome).ok_or_else(unknown)?,
            counts: RunCounts {
                documents: self.count("a run's documents", row.documents)?,
                skipped: self.count("a run's skipped documents", row.skipped)?,
                chunks: self.count("a run's chunks", row.chunks)?,
                embedded: self.count("a run's embedded chunks", row.embedded)?,
                reused: self.count("a run's reused chunks", row.reused)?,
            },
            report: row.report,
        })
    }
}

/// The report of a run whose process wrote none.
fn died() -> String {
    serde_json::json!({ "error": "the process ended before the run did" }).to_string()
}
