//! One worker's part of a generation that several workers write: the generation is found or begun, the part is written.
//! Never touches what falls into another worker's part, and never seals.

use std::time::Duration;

use lectern_boot::shutdown::Shutdown;
use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::causes::in_one_line;
use crate::extract::source::Sources;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::lease::Lease;
use crate::partition::{Assignment, Partition};
use crate::pipeline::Ingest;
use crate::pipeline::error::BuildError;
use crate::pipeline::report::Report;
use crate::registry::divisions::{Division, Turn};
use crate::registry::error::RegistryError;
use crate::registry::runs::{RunEnd, RunId, RunOutcome};
use crate::store::{StoreError, Stored};

/// Longest wait for another worker to create the generation: a few calls to the store, each of which has a bound.
const CREATION: Duration = Duration::from_mins(10);
/// How often it is looked whether it is there.
const LOOK: Duration = Duration::from_millis(200);
/// Names that may be taken, one a second, before something is wrong.
const MOST_NAMES: u32 = 100;

impl Division {
    /// What is left for a worker to do. Fails when it was started otherwise than those before it, or should not be started.
    pub fn turn_of(&self, assignment: &Assignment) -> Result<Turn, BuildError> {
        let generation = || self.generation.clone();
        if self.of != assignment.partition.of() {
            return Err(BuildError::OtherDivision { generation: generation(), of: self.of });
        }
        match self.turn(assignment.partition) {
            Turn::Over(RunOutcome::Failed) => Err(BuildError::Ended(generation())),
            // A named build's worker is started again by who does not know that it was done.
            Turn::Wait if assignment.job.is_none() => Err(BuildError::AlreadyWritten {
                generation: generation(),
                partition: assignment.partition,
                missing: self.missing(),
            }),
            turn => Ok(turn),
        }
    }
}

impl Ingest {
    /// Writes one part of the generation of a build. `allowed` are documents that were erased by command and may come back.
    /// `None` when somebody else was faster to write that part.
    pub async fn build_part(
        &self,
        assignment: &Assignment,
        sources: Sources,
        allowed: &[DocumentId],
        shutdown: &Shutdown,
    ) -> Result<Option<Report>, BuildError> {
        let lease = self.lifecycle.reserve_partition(assignment).await?;
        let run = self.registry.begin_run(&assignment.alias, self.registry.now().await?).await?;
        let built = tokio::select! {
            built = self.build_part_in(run, assignment, sources, allowed, &lease) => built,
            lost = lease.lost() => Err(lost.into()),
            () = shutdown.requested() => Err(BuildError::Stopped),
        };
        if let Err(error) = &built {
            self.note_failure(run, &assignment.alias, error).await;
        }
        lease.release().await;
        built
    }

    async fn build_part_in(
        &self,
        run: RunId,
        assignment: &Assignment,
        sources: Sources,
        allowed: &[DocumentId],
        lease: &Lease,
    ) -> Result<Option<Report>, BuildError> {
        let division = self.join(assignment).await?;
        let (generation, partition) = (&division.generation, assignment.partition);
        if division.turn_of(assignment)? != Turn::Write {
            self.report_part(run, &Report::default()).await?;
            return Ok(None);
        }
        let now = self.registry.now().await?;
        let begun = self.registry.begin_partition(generation, partition, run, now).await?;
        let begun = begun.ok_or_else(|| BuildError::Ended(generation.clone()))?;
        let whole = match begun.previous {
            // Nobody has written any of it: the store need not be looked through.
            None => None,
            Some(previous) => {
                self.registry.bury_run(previous, now).await?;
                Some(self.recover(generation, partition).await?)
            }
        };
        self.allow_again(&assignment.alias, allowed, partition).await?;
        let report = self.pour(run, generation, whole, sources, partition).await?;
        let report = Report { partition: Some(partition), ..report };
        lease.confirm().await?;
        let now = self.registry.now().await?;
        if !self.registry.finish_partition(generation, partition, run, &json!(report), now).await? {
            return Err(BuildError::Ended(generation.clone()));
        }
        self.report_part(run, &report).await?;
        Ok(Some(report))
    }

    async fn report_part(&self, run: RunId, report: &Report) -> Result<(), BuildError> {
        let end = RunEnd { outcome: RunOutcome::Built, counts: report.run_counts(), report: json!(report) };
        Ok(self.registry.finish_run(run, &end, self.registry.now().await?).await?)
    }

    /// Lets those of the documents come back that fall into the part. A worker that is started again finds them allowed.
    async fn allow_again(
        &self,
        alias: &AliasName,
        allowed: &[DocumentId],
        partition: Partition,
    ) -> Result<(), BuildError> {
        for document in allowed.iter().filter(|document| partition.owns(document)) {
            match self.lifecycle.allow(alias, std::slice::from_ref(document)).await {
                Err(error @ LifecycleError::NotErased { .. }) => {
                    tracing::warn!(error = %in_one_line(&error), "nothing to be allowed again");
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// The build that the worker works on, whose generation is in the store; begins it when there is none.
    async fn join(&self, assignment: &Assignment) -> Result<Division, BuildError> {
        let give_up = Instant::now() + CREATION;
        loop {
            let Some(division) = self.registry.division(&assignment.alias, assignment.job.as_ref()).await?
            else {
                self.open(assignment).await?;
                continue;
            };
            let turn = division.turn_of(assignment)?;
            if division.fingerprint != self.fingerprint().digest() {
                return Err(BuildError::OtherSettings(division.generation));
            }
            if turn != Turn::Write {
                return Ok(division);
            }
            if division.is_created {
                return self.still_there(division).await;
            }
            match self.create_shared(&division).await {
                Err(BuildError::Registry(RegistryError::Held { .. })) if Instant::now() < give_up => {
                    sleep(LOOK).await;
                }
                created => created?,
            }
        }
    }

    /// Names the generation of a new build, which is known from then on: no crash leaves a collection that nobody knows.
    async fn open(&self, assignment: &Assignment) -> Result<(), BuildError> {
        let now = self.registry.now().await?;
        let mut generation = self.name(&assignment.alias, now).await?;
        for _ in 0..MOST_NAMES {
            if self.registry.open_division(assignment, &generation, &self.fingerprint(), now).await? {
                return Ok(());
            }
            if self.registry.division(&assignment.alias, assignment.job.as_ref()).await?.is_some() {
                return Ok(());
            }
            generation = generation.later();
        }
        Err(StoreError::Taken(generation).into())
    }

    /// Creates the generation of a build, one worker at a time; fails with `Held` while another one does.
    async fn create_shared(&self, division: &Division) -> Result<(), BuildError> {
        let lease = self.lifecycle.reserve_now(&division.generation).await?;
        let created = self.create_alone(division).await;
        lease.release().await;
        created
    }

    async fn create_alone(&self, division: &Division) -> Result<(), BuildError> {
        let generation = &division.generation;
        // The same whichever worker makes it.
        let manifest = self.manifest(generation, division.begun_at);
        let known = self.registry.divisions(generation.alias()).await?;
        if known.iter().any(|known| known.generation == *generation && known.is_created) {
            return Ok(());
        }
        if let Some(found) = self.stored(generation).await? {
            if found.manifest.as_ref() != Some(&manifest) {
                return Ok(self.registry.withdraw_division(generation).await?);
            }
            // Whoever created it died before its indexes were there. Nobody has written into it: it was not announced.
            self.store.delete(generation).await?;
        }
        match self.store.create(&manifest).await {
            Ok(()) => Ok(self.registry.division_created(generation).await?),
            // The store was still creating it for somebody who died: the next look finds it.
            Err(StoreError::Taken(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A build whose generation somebody deleted from the store has ended.
    async fn still_there(&self, division: Division) -> Result<Division, BuildError> {
        let generation = &division.generation;
        if self.stored(generation).await?.is_some() {
            return Ok(division);
        }
        self.registry.end_division(generation, RunOutcome::Failed, self.registry.now().await?).await?;
        Err(BuildError::Ended(division.generation))
    }

    /// A generation as the store knows it.
    pub(super) async fn stored(&self, generation: &GenerationId) -> Result<Option<Stored>, BuildError> {
        let stored = self.store.generations(generation.alias()).await?;
        Ok(stored.into_iter().find(|stored| stored.generation == *generation))
    }
}
