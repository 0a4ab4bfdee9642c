//! Sessions in SQL: begun, looked up, erased, expired. One statement text serves SQLite and PostgreSQL.
//! Never reads a clock, and touches no table but its own.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lectern_boot::database::error::DatabaseError;
use lectern_boot::database::{Database, Dialect};
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::TenantId;
use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::Semaphore;

use crate::sessions::error::SessionError;
use crate::sessions::id::SessionId;

/// The tables of sessions and turns. Every call ends by its deadline, and within [`Self::PATIENCE`].
#[derive(Debug)]
pub struct SessionStore {
    database: Database,
    pub(super) pool: AnyPool,
    /// SQLite has one writer at a time, and those who collide sleep for up to 100 ms: within this process they queue.
    writers: Semaphore,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When the last question was asked.
    pub used_at: Timestamp,
    /// From when on it is no more.
    pub expires_at: Timestamp,
    /// Questions asked so far.
    pub turns: u64,
}

impl SessionStore {
    /// Longest that one statement or small transaction may take, a connection included: a database that needs longer is
    /// as good as down.
    pub const PATIENCE: Duration = Duration::from_secs(5);
    /// Longest wait for a connection.
    const CONNECTION_PATIENCE: Duration = Duration::from_secs(2);
    /// Sessions that one statement deletes: the lock is given up in between.
    const SWEPT_AT_ONCE: i64 = 500;

    /// Connects, creates what is missing (the SQLite file, its folder, the tables) and applies pending migrations.
    pub async fn open(database: Database, connections: u32) -> Result<Self, DatabaseError> {
        database.prepare().await?;
        let pool = database.pool(connections, Self::CONNECTION_PATIENCE)?;
        let writers = match database.dialect() {
            Dialect::Sqlite => 1,
            Dialect::Postgres => Semaphore::MAX_PERMITS,
        };
        Ok(Self { database, pool, writers: Semaphore::new(writers) })
    }

    /// The time of the database, which all replicas agree on.
    pub async fn now(&self, deadline: Deadline) -> Result<Timestamp, SessionError> {
        let clock = sqlx::query_scalar(self.database.dialect().clock());
        self.time("the clock", self.bounded(deadline, clock.fetch_one(&self.pool)).await?)
    }

    /// Begins a session.
    pub async fn create(&self, session: &Session, deadline: Deadline) -> Result<(), SessionError> {
        const CREATE: &str = "
            INSERT INTO sessions (session_id, tenant, created_at, used_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
        let creating = sqlx::query(CREATE)
            .bind(session.id.to_string())
            .bind(session.tenant.as_str())
            .bind(session.created_at.as_millisecond())
            .bind(session.used_at.as_millisecond())
            .bind(session.expires_at.as_millisecond());
        self.writing(deadline, creating.execute(&self.pool)).await.map(drop)
    }

    /// The session, if it is the tenant's and has not expired at `now`.
    pub async fn get(
        &self,
        id: SessionId,
        tenant: &TenantId,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Session, SessionError> {
        const GET: &str = "
            SELECT created_at, used_at, expires_at, turns FROM sessions
            WHERE session_id = $1 AND tenant = $2 AND expires_at > $3";
        let getting = sqlx::query_as::<_, (i64, i64, i64, i64)>(GET)
            .bind(id.to_string())
            .bind(tenant.as_str())
            .bind(now.as_millisecond());
        let found = self.bounded(deadline, getting.fetch_optional(&self.pool)).await?;
        let (created_at, used_at, expires_at, turns) = found.ok_or(SessionError::Unknown)?;
        Ok(Session {
            id,
            tenant: tenant.clone(),
            created_at: self.time("a session's beginning", created_at)?,
            used_at: self.time("a session's last use", used_at)?,
            expires_at: self.time("a session's end", expires_at)?,
            turns: self.count("a session's turns", turns)?,
        })
    }

    /// Erases a session of the tenant with all its turns, whatever is under way in it.
    pub async fn erase(
        &self,
        id: SessionId,
        tenant: &TenantId,
        deadline: Deadline,
    ) -> Result<(), SessionError> {
        const ERASE: &str = "DELETE FROM sessions WHERE session_id = $1 AND tenant = $2";
        let erasing = sqlx::query(ERASE).bind(id.to_string()).bind(tenant.as_str());
        let erased = self.writing(deadline, erasing.execute(&self.pool)).await?.rows_affected();
        if erased == 0 { Err(SessionError::Unknown) } else { Ok(()) }
    }

    /// Deletes the sessions that have expired at `now`, with their turns. Tells how many.
    pub async fn sweep(&self, now: Timestamp, deadline: Deadline) -> Result<u64, SessionError> {
        // The end is looked at once more: a session that was used since it was found stays.
        const SWEEP: &str = "
            DELETE FROM sessions
            WHERE session_id IN (SELECT session_id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
              AND expires_at <= $1";
        let mut swept = 0;
        loop {
            let sweeping = sqlx::query(SWEEP).bind(now.as_millisecond()).bind(Self::SWEPT_AT_ONCE);
            let rows = self.writing(deadline, sweeping.execute(&self.pool)).await?.rows_affected();
            swept += rows;
            if i64::try_from(rows).is_ok_and(|rows| rows < Self::SWEPT_AT_ONCE) {
                return Ok(swept);
            }
        }
    }

    /// Takes erased text out of what the database keeps beside its tables, where that is ours to do.
    pub async fn tidy(&self, deadline: Deadline) -> Result<(), SessionError> {
        let Some(tidy) = self.database.dialect().tidy() else { return Ok(()) };
        self.writing(deadline, sqlx::query(tidy).execute(&self.pool)).await.map(drop)
    }

    /// Closes all connections, within the bound of one.
    pub async fn close(&self) {
        // The bound only cuts the goodbye short: nothing is written by it.
        let _ = tokio::time::timeout(Self::CONNECTION_PATIENCE, self.pool.close()).await;
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.pool.begin_with(self.database.dialect().begin()).await
    }

    /// Runs what reads.
    pub(super) async fn bounded<T>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, SessionError> {
        let left = deadline.remaining(Instant::now());
        match self.database.within(left.min(Self::PATIENCE), work).await {
            Err(DatabaseError::Late { .. }) if left < Self::PATIENCE => {
                Err(SessionError::Late { stage: "waiting for the database" })
            }
            done => done.map_err(SessionError::from),
        }
    }

    /// Runs what writes.
    pub(super) async fn writing<T>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, SessionError> {
        let queued = async {
            let _place = self.writers.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
            work.await
        };
        self.bounded(deadline, queued).await
    }

    pub(super) fn damaged(&self, what: &str) -> SessionError {
        SessionError::from(self.database.damaged(what, None))
    }

    pub(super) fn time(&self, what: &str, millis: i64) -> Result<Timestamp, SessionError> {
        Timestamp::from_millisecond(millis).map_err(|_| self.damaged(what))
    }

    pub(super) fn count(&self, what: &str, number: i64) -> Result<u64, SessionError> {
        u64::try_from(number).map_err(|_| self.damaged(what))
    }
}

/// Numbers beyond what a BIGINT holds do not occur.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
