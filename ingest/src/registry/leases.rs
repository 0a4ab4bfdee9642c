//! Leases in SQL: who may do alone what only one may do at a time, and until when.
//! Never renews by itself and never reads a clock: [`crate::lifecycle::lease`] does both.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use lectern_schema::identifiers::{AliasName, GenerationId};
use uuid::Uuid;

use crate::partition::{Assignment, JobName};
use crate::registry::Registry;
use crate::registry::error::RegistryError;

/// What a lease is on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseName(String);

impl LeaseName {
    /// Moving an alias, and deleting generations of it.
    pub fn of_alias(alias: &AliasName) -> Self {
        Self(format!("alias {alias}"))
    }

    /// Writing a generation, or deleting it.
    pub fn of_generation(generation: &GenerationId) -> Self {
        Self(format!("generation {generation}"))
    }

    /// Writing one partition of a build that several workers assignment.
    pub fn of_partition(assignment: &Assignment) -> Self {
        let job = assignment.job.as_ref().map_or("", JobName::as_str);
        Self(format!("{}{}", Self::of_partitions(&assignment.alias, job), assignment.partition))
    }

    /// What the names of all partitions of a build begin with, and no others; `job` is empty where the build has no name.
    pub(super) fn of_partitions(alias: &AliasName, job: &str) -> String {
        let job = if job.is_empty() { String::new() } else { format!(", job {job}") };
        format!("build of {alias}{job}, partition ")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One taking of a lease. A process that takes a lease twice has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseToken(Uuid);

/// Who has a lease, and until when if it is not renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// What the holder said of itself.
    pub holder: String,
    /// When the lease ends.
    pub until: Timestamp,
    /// Which taking of the lease it is.
    pub token: LeaseToken,
    /// The holder's process, as it signed; `None` when it did not.
    pub process: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    holder: String,
    expires_at: i64,
    token: String,
    process: Option<String>,
}

impl Registry {
    /// Takes a lease that nobody holds at `now`; `None` when somebody does.
    pub async fn take_lease(
        &self,
        name: &LeaseName,
        holder: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<LeaseToken>, RegistryError> {
        const TAKE: &str = "
            INSERT INTO leases (name, token, holder, expires_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (name) DO UPDATE
            SET token = excluded.token, holder = excluded.holder, expires_at = excluded.expires_at, process = NULL
            WHERE leases.expires_at <= $5";
        let token = LeaseToken(Uuid::now_v7());
        let taking = sqlx::query(TAKE)
            .bind(name.as_str())
            .bind(token.0.to_string())
            .bind(holder)
            .bind(end(now, length))
            .bind(now.as_millisecond());
        let rows = self.bounded(taking.execute(&self.pool)).await?.rows_affected();
        Ok((rows == 1).then_some(token))
    }

    /// Signs a lease with the process that holds it.
    pub async fn sign_lease(
        &self,
        name: &LeaseName,
        token: LeaseToken,
        process: &str,
    ) -> Result<(), RegistryError> {
        const SIGN: &str = "UPDATE leases SET process = $3 WHERE name = $1 AND token = $2";
        let signing = sqlx::query(SIGN).bind(name.as_str()).bind(token.0.to_string()).bind(process);
        self.bounded(signing.execute(&self.pool)).await.map(drop)
    }

    /// Prolongs a lease until `length` after `now`, even one that has run out, as long as nobody else has taken it.
    /// Tells whether it is still ours.
    pub async fn renew_lease(
        &self,
        name: &LeaseName,
        token: LeaseToken,
        now: Timestamp,
        length: Duration,
    ) -> Result<bool, RegistryError> {
        const RENEW: &str = "UPDATE leases SET expires_at = $3 WHERE name = $1 AND token = $2";
        let renewing =
            sqlx::query(RENEW).bind(name.as_str()).bind(token.0.to_string()).bind(end(now, length));
        Ok(self.bounded(renewing.execute(&self.pool)).await?.rows_affected() == 1)
    }

    /// Gives a lease back. One that somebody else has taken since stays theirs.
    pub async fn release_lease(&self, name: &LeaseName, token: LeaseToken) -> Result<(), RegistryError> {
        const RELEASE: &str = "DELETE FROM leases WHERE name = $1 AND token = $2";
        let releasing = sqlx::query(RELEASE).bind(name.as_str()).bind(token.0.to_string());
        self.bounded(releasing.execute(&self.pool)).await.map(drop)
    }

    /// Who holds a lease at `now`.
    pub async fn lease_holder(
        &self,
        name: &LeaseName,
        now: Timestamp,
    ) -> Result<Option<Holding>, RegistryError> {
        const HOLDER: &str = "
            SELECT holder, expires_at, token, process FROM leases WHERE name = $1 AND expires_at > $2";
        let asking = sqlx::query_as::<_, Row>(HOLDER).bind(name.as_str()).bind(now.as_millisecond());
        let found = self.bounded(asking.fetch_optional(&self.pool)).await?;
        found.map(|row| self.holding(row)).transpose()
    }

    fn holding(&self, row: Row) -> Result<Holding, RegistryError> {
        Ok(Holding {
            holder: row.holder,
            until: self.time("a lease's end", row.expires_at)?,
            token: LeaseToken(self.read("a lease's token", Uuid::parse_str(&row.token))?),
            process: row.process,
        })
    }
}

fn end(now: Timestamp, length: Duration) -> i64 {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_add(length)
}
