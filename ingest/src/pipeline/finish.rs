//! The end of a build that several workers share: one of them seals what all have written, and adds up their reports.
//! Never seals before all partitions are done.

use std::collections::HashSet;
use std::time::Instant;

use lectern_boot::shutdown::Shutdown;
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::ContentHash;

use crate::causes::in_one_line;
use crate::extract::Skipped;
use crate::lifecycle::lease::Lease;
use crate::pipeline::Ingest;
use crate::pipeline::begin::is_passing;
use crate::pipeline::build::Built;
use crate::pipeline::error::BuildError;
use crate::pipeline::report::{Changes, Report, StageTimes, millis};
use crate::registry::divisions::Division;
use crate::registry::error::RegistryError;
use crate::registry::runs::{RunId, RunOutcome};
use crate::store::StoreError;

/// Who finishes a build.
#[derive(Debug)]
pub enum Finish {
    /// This worker: the generation is whole. What becomes of it is recorded under the lease, which is the caller's to release.
    Ours(Box<(Built, Lease)>),
    /// Another worker, who is at it or done with it.
    Others,
}

impl Ingest {
    /// Seals the generation of a build whose partitions are all done, unless another worker does or did. Goes on where one
    /// died.
    pub async fn finish_division(
        &self,
        division: &Division,
        shutdown: &Shutdown,
    ) -> Result<Finish, BuildError> {
        let generation = &division.generation;
        if division.fingerprint != self.fingerprint().digest() {
            return Err(BuildError::OtherSettings(generation.clone()));
        }
        let lease = match self.lifecycle.reserve_build(generation).await {
            Err(RegistryError::Held { .. }) => return Ok(Finish::Others),
            taken => taken?,
        };
        let divisions = self.registry.divisions(generation.alias()).await?;
        let found = divisions.into_iter().find(|found| found.generation == *generation);
        let Some(division) = found.filter(|found| found.outcome.is_none()) else {
            lease.release().await;
            return Ok(Finish::Others);
        };
        let run = self.registry.begin_run(generation.alias(), self.registry.now().await?).await?;
        let finished = tokio::select! {
            finished = self.finish(run, &division) => finished,
            lost = lease.lost() => Err(lost.into()),
            () = shutdown.requested() => Err(BuildError::Stopped),
        };
        match finished {
            Ok(built) => Ok(Finish::Ours(Box::new((built, lease)))),
            Err(error) => {
                self.note_failure(run, generation.alias(), &error).await;
                if is_final(&error) {
                    self.give_up(&division).await;
                }
                lease.release().await;
                Err(error)
            }
        }
    }

    async fn finish(&self, run: RunId, division: &Division) -> Result<Built, BuildError> {
        let generation = &division.generation;
        self.registry.run_builds(run, generation).await?;
        let stored = self.stored(generation).await?;
        let manifest = stored.and_then(|stored| stored.manifest);
        let manifest = manifest.ok_or_else(|| StoreError::Missing(generation.clone()))?;
        let reports = self.reports(division).await?;
        let sealing = Instant::now();
        let sum = total(&reports);
        let (manifest, counts, content) = if let Some(counts) = manifest.counts() {
            self.note_sealed(manifest, counts).await?
        } else {
            self.erase_again(generation).await?;
            if self.registry.written_counts(generation).await?.documents == 0 {
                return Err(BuildError::NothingReadable(sum.skipped.len()));
            }
            self.seal(&manifest).await?
        };
        if let Err(fault) = self.lifecycle.sweep_leftovers(generation.alias()).await {
            tracing::warn!(alias = %generation.alias(), error = %in_one_line(&fault), "leftovers not deleted");
        }
        let took = self.registry.now().await?.duration_since(division.begun_at);
        let report = Report {
            generation: Some(generation.clone()),
            partitions: Some(division.of),
            documents: counts.documents,
            chunks: counts.chunks,
            reused: counts.chunks.saturating_sub(sum.embedded),
            content: Some(content),
            times: StageTimes {
                seal_ms: millis(sealing.elapsed()),
                total_ms: millis(took.try_into().unwrap_or_default()),
                ..sum.times
            },
            ..sum
        };
        Ok(Built { run, manifest, report })
    }

    /// Records what a worker that died may not have: that the generation is whole, and what it holds.
    async fn note_sealed(
        &self,
        manifest: Manifest,
        counts: Counts,
    ) -> Result<(Manifest, Counts, ContentHash), BuildError> {
        let generation = &manifest.generation;
        self.registry.complete_generation(&manifest).await?;
        let content = self.registry.content_digest(generation).await?;
        self.registry.set_content(generation, &content).await?;
        Ok((manifest, counts, content))
    }

    async fn reports(&self, division: &Division) -> Result<Vec<Report>, BuildError> {
        let reports = self.registry.partition_reports(&division.generation).await?;
        // Only a worker of another version can have written one that does not fit; what it says of itself is in its run.
        Ok(reports.iter().map(|report| serde_json::from_str(report).unwrap_or_default()).collect())
    }

    /// Ends a build that no further try can finish. The failure itself is what the user must hear of.
    async fn give_up(&self, division: &Division) {
        let generation = &division.generation;
        let ending = async {
            self.registry.fail_generation(generation).await?;
            let now = self.registry.now().await?;
            self.registry.end_division(generation, RunOutcome::Failed, now).await
        };
        if let Err(fault) = ending.await {
            tracing::warn!(%generation, error = %in_one_line(&fault), "failed build not recorded");
        }
    }
}

fn is_final(error: &BuildError) -> bool {
    match error {
        BuildError::Store(fault) => !is_passing(fault),
        BuildError::NothingReadable(_) => true,
        _ => false,
    }
}

/// The sum of what workers did. What each of them came across, such as a sitemap that cannot be read, counts once.
fn total(reports: &[Report]) -> Report {
    let (mut sum, mut told) = (Report::default(), HashSet::new());
    for report in reports {
        sum.embedded += report.embedded;
        sum.tokens_embedded += report.tokens_embedded;
        if let Some(cost) = report.cost {
            *sum.cost.get_or_insert_default() += cost;
        }
        if let Some(resumed) = report.resumed {
            *sum.resumed.get_or_insert_default() += resumed;
        }
        sum.changes = added(sum.changes, report.changes);
        let new: Vec<Skipped> =
            report.skipped.iter().filter(|skipped| !told.contains(*skipped)).cloned().collect();
        told.extend(new.iter().cloned());
        sum.skipped.extend(new);
        for (extension, count) in &report.unsupported {
            *sum.unsupported.entry(extension.clone()).or_default() += count;
        }
        sum.times.read_ms += report.times.read_ms;
        sum.times.embed_ms += report.times.embed_ms;
        sum.times.write_ms += report.times.write_ms;
    }
    sum
}

fn added(a: Changes, b: Changes) -> Changes {
    Changes {
        new: a.new + b.new,
        changed: a.changed + b.changed,
        unchanged: a.unchanged + b.unchanged,
        gone: a.gone + b.gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_workers_skipped_counts_once_and_all_else_is_added_up() {
        let (page, map) = (Skipped::new("a", "is empty"), Skipped::new("map.xml", "is no sitemap"));
        let one = Report {
            embedded: 2,
            resumed: Some(3),
            skipped: vec![page.clone(), page.clone(), map.clone()],
            ..Report::default()
        };
        let other = Report { embedded: 5, skipped: vec![map.clone()], ..Report::default() };
        let sum = total(&[one, other]);
        assert_eq!((sum.embedded, sum.resumed), (7, Some(3)));
        assert_eq!(sum.skipped, [page.clone(), page, map]);
    }
}
