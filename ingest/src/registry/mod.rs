//! What the ingest remembers between commands, in SQLite or PostgreSQL: runs, documents, generations, what the gates
//! said of them, which workers share a build, publications, cached embeddings, leases.
//! Never says which generation is live: the vector store's alias alone does.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use lectern_boot::database::{CONNECT_BOUND, Database, SqlSection};
use sqlx::{Any, AnyPool, Transaction};

use crate::registry::error::RegistryError;

pub mod divisions;
pub mod documents;
pub mod embeddings;
pub mod error;
pub mod examinations;
pub mod generations;
pub mod leases;
pub mod publications;
pub mod runs;
pub mod tombstones;
pub mod written;

/// Longest wait for one statement or one small transaction; the sessions' own limits are below it and end first.
const WORK_BOUND: Duration = Duration::from_mins(1);

/// An open registry. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Registry {
    database: Database,
    pool: AnyPool,
}

impl Registry {
    /// One command writes one thing at a time, beside the renewals of its leases.
    const CONNECTIONS: u32 = 4;

    /// Connects, creates what is missing (the SQLite file, its directory, the tables) and applies pending migrations.
    pub async fn open(section: &SqlSection) -> Result<Self, RegistryError> {
        let database = section.database()?;
        database.prepare().await?;
        let connections = section.max_connections.get().min(Self::CONNECTIONS);
        let pool = database.pool(connections, CONNECT_BOUND)?;
        Ok(Self { database, pool })
    }

    /// The time of the database, which all programs that share it agree on.
    pub async fn now(&self) -> Result<Timestamp, RegistryError> {
        let clock = sqlx::query_scalar(self.database.dialect().clock());
        self.time("the clock", self.bounded(clock.fetch_one(&self.pool)).await?)
    }

    /// Closes all connections. A registry that is dropped instead closes them without waiting.
    pub async fn close(self) {
        // The bound only cuts the goodbye short: nothing is written by it.
        let _ = tokio::time::timeout(CONNECT_BOUND, self.pool.close()).await;
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, RegistryError> {
        Ok(self.database.within(WORK_BOUND, work).await?)
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.pool.begin_with(self.database.dialect().begin()).await
    }

    /// Reads a value through its one door; what does not fit through was not written by us.
    fn read<T, E>(&self, what: &str, parsed: Result<T, E>) -> Result<T, RegistryError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        parsed.map_err(|error| self.database.damaged(what, Some(error.into())).into())
    }

    fn time(&self, what: &str, millis: i64) -> Result<Timestamp, RegistryError> {
        self.read(what, Timestamp::from_millisecond(millis))
    }

    fn optional_time(&self, what: &str, millis: Option<i64>) -> Result<Option<Timestamp>, RegistryError> {
        millis.map(|millis| self.time(what, millis)).transpose()
    }

    fn count(&self, what: &str, number: i64) -> Result<u64, RegistryError> {
        self.read(what, u64::try_from(number))
    }
}

/// Numbers beyond what a BIGINT holds do not occur: a store would be full long before.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// PostgreSQL's TEXT cannot hold NUL; the text stays recognisable without it.
fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
