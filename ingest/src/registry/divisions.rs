//! Builds that several workers assignment: which generation they write, in how many partitions, and which of these are done.
//! Never decides what a worker does next, and never knows whether one lives: its lease tells.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lectern_schema::fingerprint::Fingerprint;
use lectern_schema::identifiers::{AliasName, GenerationId};
use sqlx::{Any, Transaction};

use crate::partition::{Assignment, JobName, Partition};
use crate::registry::Registry;
use crate::registry::embeddings::EmbeddingDigest;
use crate::registry::error::RegistryError;
use crate::registry::leases::LeaseName;
use crate::registry::runs::{RunId, RunOutcome};

/// A build that several workers assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// What they write.
    pub generation: GenerationId,
    /// Which build it is; `None` for one without a name.
    pub job: Option<JobName>,
    /// In how many partitions.
    pub of: u32,
    /// Digest of what it is built with.
    pub fingerprint: String,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// Whether the generation can be written: it is in the store.
    pub is_created: bool,
    /// The partitions that are done, as long as the build has not ended.
    pub done: BTreeSet<Partition>,
    /// How it ended, `None` as long as it has not.
    pub outcome: Option<RunOutcome>,
}

/// What is left for the worker of one partition to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Write its partition.
    Write,
    /// Nothing: its partition is done, and others are not.
    Wait,
    /// Seal the generation: all partitions are done.
    Finish,
    /// Nothing: the build has ended this way.
    Over(RunOutcome),
}

impl Division {
    /// The partitions that are not done.
    pub fn missing(&self) -> Vec<Partition> {
        Partition::all(self.of).filter(|partition| !self.done.contains(partition)).collect()
    }

    /// What is left for the worker of `partition` to do.
    pub fn turn(&self, partition: Partition) -> Turn {
        match self.outcome {
            Some(outcome) => Turn::Over(outcome),
            None if self.missing().is_empty() => Turn::Finish,
            None if self.done.contains(&partition) => Turn::Wait,
            None => Turn::Write,
        }
    }

    /// Whether the workers of a job work on this build, unless a newer one has its name.
    fn is_of(&self, job: Option<&JobName>) -> bool {
        // A name is used once; without one there is always another build after the last.
        self.job.as_ref() == job && (self.job.is_some() || self.outcome.is_none())
    }
}

/// A partition that a worker has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunPartition {
    /// The run that began it before, and did not come to its end.
    pub previous: Option<RunId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    generation: String,
    job: String,
    partitions: i64,
    begun_at: i64,
    created: i64,
    outcome: Option<String>,
    fingerprint: String,
}

impl Registry {
    /// Names the generation of a new build, unless its name is taken or a build of the same job is under way.
    pub async fn open_division(
        &self,
        assignment: &Assignment,
        generation: &GenerationId,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<bool, RegistryError> {
        const OPEN: &str = "
            INSERT INTO divisions (generation, alias, job, partitions, begun_at, joined_at)
            VALUES ($1, $2, $3, $4, $5, $5)
            ON CONFLICT DO NOTHING";
        const ANNOUNCE: &str = "
            INSERT INTO generations (generation, alias, state, fingerprint, embedding, begun_at)
            VALUES ($1, $2, 'staging', $3, $4, $5)
            ON CONFLICT (generation) DO NOTHING";
        self.bounded(async {
            let mut transaction = self.begin().await?;
            let opening = sqlx::query(OPEN)
                .bind(generation.as_str())
                .bind(assignment.alias.as_str())
                .bind(stored_job(assignment.job.as_ref()))
                .bind(i64::from(assignment.partition.of()))
                .bind(now.as_millisecond());
            let mut opened = opening.execute(&mut *transaction).await?.rows_affected();
            if opened == 1 {
                let announcing = sqlx::query(ANNOUNCE)
                    .bind(generation.as_str())
                    .bind(assignment.alias.as_str())
                    .bind(fingerprint.digest())
                    .bind(EmbeddingDigest::of(&fingerprint.encoding.embedding).as_str().to_owned())
                    .bind(now.as_millisecond());
                opened = announcing.execute(&mut *transaction).await?.rows_affected();
            }
            // What is not committed is undone.
            if opened == 1 {
                transaction.commit().await?;
            }
            Ok(opened == 1)
        })
        .await
    }

    /// Takes back a build whose generation's name was taken in the store before it could be created.
    pub async fn withdraw_division(&self, generation: &GenerationId) -> Result<(), RegistryError> {
        const WITHDRAW: &str = "DELETE FROM divisions WHERE generation = $1 AND created = 0";
        let withdrawing = sqlx::query(WITHDRAW).bind(generation.as_str());
        if self.bounded(withdrawing.execute(&self.pool)).await?.rows_affected() == 1 {
            self.withdraw_generation(generation).await?;
        }
        Ok(())
    }

    /// Remembers that the generation is in the store, ready to be written.
    pub async fn division_created(&self, generation: &GenerationId) -> Result<(), RegistryError> {
        const CREATED: &str = "UPDATE divisions SET created = 1 WHERE generation = $1";
        let noting = sqlx::query(CREATED).bind(generation.as_str());
        self.bounded(noting.execute(&self.pool)).await.map(drop)
    }

    /// The build that the workers of `job` work on now or, where the job has a name, have worked on.
    pub async fn division(
        &self,
        alias: &AliasName,
        job: Option<&JobName>,
    ) -> Result<Option<Division>, RegistryError> {
        Ok(self.divisions(alias).await?.into_iter().rfind(|division| division.is_of(job)))
    }

    /// All builds of several workers for `alias`, oldest first.
    pub async fn divisions(&self, alias: &AliasName) -> Result<Vec<Division>, RegistryError> {
        const OF_ALIAS: &str = "
            SELECT divisions.generation, divisions.job, divisions.partitions, divisions.begun_at,
                   divisions.created, divisions.outcome, generations.fingerprint
            FROM divisions JOIN generations ON generations.generation = divisions.generation
            WHERE divisions.alias = $1";
        const DONE: &str = "
            SELECT partitions.generation, partitions.number
            FROM partitions JOIN divisions ON divisions.generation = partitions.generation
            WHERE divisions.alias = $1 AND divisions.outcome IS NULL AND partitions.done_at IS NOT NULL";
        let asking = sqlx::query_as::<_, Row>(OF_ALIAS).bind(alias.as_str());
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        let mut divisions =
            rows.into_iter().map(|row| self.read_division(&row)).collect::<Result<Vec<_>, _>>()?;
        let asking = sqlx::query_as::<_, (String, i64)>(DONE).bind(alias.as_str());
        for (generation, number) in self.bounded(asking.fetch_all(&self.pool)).await? {
            let of = divisions.iter_mut().find(|division| division.generation.as_str() == generation);
            let Some(division) = of else { continue };
            division.done.insert(self.read_partition(number, division.of)?);
        }
        divisions.sort_by(|a, b| a.generation.cmp(&b.generation));
        Ok(divisions)
    }

    /// Remembers that `run` writes this partition. `None` when the build has ended, or was given up: nobody joins it any more.
    pub async fn begin_partition(
        &self,
        generation: &GenerationId,
        partition: Partition,
        run: RunId,
        now: Timestamp,
    ) -> Result<Option<BegunPartition>, RegistryError> {
        // Waits for whoever gives the build up, and makes them wait: see `give_up_division`.
        const JOIN: &str = "UPDATE divisions SET joined_at = $2 WHERE generation = $1 AND outcome IS NULL";
        const PREVIOUS: &str = "SELECT run_id FROM partitions WHERE generation = $1 AND number = $2";
        const BEGIN: &str = "
            INSERT INTO partitions (generation, number, run_id) VALUES ($1, $2, $3)
            ON CONFLICT (generation, number) DO UPDATE SET run_id = excluded.run_id";
        let begun = self
            .bounded(async {
                let mut transaction = self.begin().await?;
                let joining = sqlx::query(JOIN).bind(generation.as_str()).bind(now.as_millisecond());
                if joining.execute(&mut *transaction).await?.rows_affected() == 0 {
                    return Ok(None);
                }
                let number = i64::from(partition.index());
                let asking = sqlx::query_scalar::<_, String>(PREVIOUS).bind(generation.as_str()).bind(number);
                let previous = asking.fetch_optional(&mut *transaction).await?;
                let beginning =
                    sqlx::query(BEGIN).bind(generation.as_str()).bind(number).bind(run.to_string());
                beginning.execute(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(Some(previous))
            })
            .await?;
        let Some(previous) = begun else { return Ok(None) };
        let previous = previous.map(|name| self.read_run_id(&name)).transpose()?;
        Ok(Some(BegunPartition { previous }))
    }

    /// Remembers that `run` is done with its partition. `false` when another run has begun it since, or the build has ended.
    pub async fn finish_partition(
        &self,
        generation: &GenerationId,
        partition: Partition,
        run: RunId,
        report: &serde_json::Value,
        now: Timestamp,
    ) -> Result<bool, RegistryError> {
        const FINISH: &str = "
            UPDATE partitions SET done_at = $4, report = $5
            WHERE generation = $1 AND number = $2 AND run_id = $3";
        let finishing = sqlx::query(FINISH)
            .bind(generation.as_str())
            .bind(i64::from(partition.index()))
            .bind(run.to_string())
            .bind(now.as_millisecond())
            .bind(report.to_string());
        Ok(self.bounded(finishing.execute(&self.pool)).await?.rows_affected() == 1)
    }

    /// What the workers of a build reported, in the order of their partitions.
    pub async fn partition_reports(&self, generation: &GenerationId) -> Result<Vec<String>, RegistryError> {
        const REPORTS: &str = "
            SELECT report FROM partitions WHERE generation = $1 AND report IS NOT NULL ORDER BY number";
        let asking = sqlx::query_scalar::<_, String>(REPORTS).bind(generation.as_str());
        self.bounded(asking.fetch_all(&self.pool)).await
    }

    /// Remembers how a build ended, and that those of its runs have died which never said how they ended.
    pub async fn end_division(
        &self,
        generation: &GenerationId,
        outcome: RunOutcome,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        // First: as long as the build is under way, its generation is nobody's leftover.
        self.bury_runs(generation, now).await?;
        self.bounded(async {
            let mut transaction = self.begin().await?;
            end(&mut transaction, generation, outcome).await?;
            transaction.commit().await
        })
        .await
    }

    /// Ends a build that is not whole because its generation is about to be deleted, unless a worker writes it: then tells
    /// which. `has_died` says whether the process that signed a lease is known to be gone. Does nothing for a generation
    /// that one process builds, or built.
    ///
    /// A worker first takes its lease and then joins the build, by a write to its row; who gives a build up writes to that
    /// row first and then looks at the leases. So either the one sees the lease, or the other that the build has ended.
    pub async fn give_up_division(
        &self,
        generation: &GenerationId,
        now: Timestamp,
        has_died: fn(&str) -> bool,
    ) -> Result<Option<String>, RegistryError> {
        const JOB: &str = "SELECT job FROM divisions WHERE generation = $1";
        self.bounded(async {
            let mut transaction = self.begin().await?;
            if end(&mut transaction, generation, RunOutcome::Failed).await? == 0 {
                return Ok(None);
            }
            let asking = sqlx::query_scalar::<_, String>(JOB).bind(generation.as_str());
            let job = asking.fetch_one(&mut *transaction).await?;
            let prefix = LeaseName::of_partitions(generation.alias(), &job);
            let living = sqlx::query_as::<_, (String, Option<String>)>(LIVING)
                .bind(&prefix)
                .bind(now.as_millisecond())
                .fetch_all(&mut *transaction)
                .await?;
            let living = living.into_iter().find(|(_, process)| !process.as_deref().is_some_and(has_died));
            match living {
                Some((holder, _)) => transaction.rollback().await.map(|()| Some(holder)),
                None => transaction.commit().await.map(|()| None),
            }
        })
        .await
    }

    /// Who writes partitions of a build now, and is not known to have died.
    pub async fn partition_holder(
        &self,
        division: &Division,
        alias: &AliasName,
        now: Timestamp,
        has_died: fn(&str) -> bool,
    ) -> Result<Option<String>, RegistryError> {
        let prefix = LeaseName::of_partitions(alias, stored_job(division.job.as_ref()));
        let asking =
            sqlx::query_as::<_, (String, Option<String>)>(LIVING).bind(prefix).bind(now.as_millisecond());
        let found = self.bounded(asking.fetch_all(&self.pool)).await?;
        let living = found.into_iter().find(|(_, process)| !process.as_deref().is_some_and(has_died));
        Ok(living.map(|(holder, _)| holder))
    }

    fn read_division(&self, row: &Row) -> Result<Division, RegistryError> {
        let damaged = |what| RegistryError::from(self.database.damaged(what, None));
        let outcome = row.outcome.as_deref().map(|outcome| {
            RunOutcome::parse(outcome).ok_or_else(|| damaged("the outcome of a build of several workers"))
        });
        let job = Some(row.job.as_str()).filter(|job| !job.is_empty()).map(JobName::parse).transpose();
        Ok(Division {
            generation: self.read("a generation's name", GenerationId::parse(&row.generation))?,
            job: self.read("a job's name", job)?,
            of: self.read("a number of partitions", u32::try_from(row.partitions))?,
            fingerprint: row.fingerprint.clone(),
            begun_at: self.time("a build's beginning", row.begun_at)?,
            is_created: row.created != 0,
            done: BTreeSet::new(),
            outcome: outcome.transpose()?,
        })
    }

    fn read_partition(&self, number: i64, of: u32) -> Result<Partition, RegistryError> {
        let index = self.read("a partition's number", u32::try_from(number))?;
        let damaged = || RegistryError::from(self.database.damaged("a partition's number", None));
        Partition::new(index, of).ok_or_else(damaged)
    }
}

/// Leases of one build's partitions that have not ended.
const LIVING: &str = "
    SELECT holder, process FROM leases
    WHERE SUBSTR(name, 1, LENGTH($1)) = $1 AND expires_at > $2
    ORDER BY name";

/// Ends a build that has not ended. Its reports are in the runs that wrote them.
async fn end(
    transaction: &mut Transaction<'static, Any>,
    generation: &GenerationId,
    outcome: RunOutcome,
) -> Result<u64, sqlx::Error> {
    const END: &str = "UPDATE divisions SET outcome = $2 WHERE generation = $1 AND outcome IS NULL";
    const FORGET: &str = "DELETE FROM partitions WHERE generation = $1";
    let ending = sqlx::query(END).bind(generation.as_str()).bind(outcome.as_str());
    let ended = ending.execute(&mut **transaction).await?.rows_affected();
    if ended == 1 {
        sqlx::query(FORGET).bind(generation.as_str()).execute(&mut **transaction).await?;
    }
    Ok(ended)
}

fn stored_job(job: Option<&JobName>) -> &str {
    job.map_or("", JobName::as_str)
}
