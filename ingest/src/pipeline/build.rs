//! Builds one staging generation: `sources -> chunks -> points -> written -> sealed`, each stage feeding the next.
//! Never moves an alias; whatever goes wrong leaves a generation that says of itself that it is not complete.

use std::time::Instant;

use lectern_boot::shutdown::Shutdown;
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ContentHash, GenerationId};
use tokio::sync::mpsc;

use crate::causes::in_one_line;
use crate::extract::source::Sources;
use crate::lifecycle::lease::Lease;
use crate::partition::Partition;
use crate::pipeline::Ingest;
use crate::pipeline::begin::Begun;
use crate::pipeline::error::BuildError;
use crate::pipeline::plan::Plan;
use crate::pipeline::report::{Report, StageTimes, millis};
use crate::pipeline::resume::{Sieve, Whole};
use crate::registry::runs::{RunCounts, RunEnd, RunId, RunOutcome};

/// Batches that may wait between two stages.
const WAITING_BATCHES: usize = 2;

/// A whole generation that nobody serves yet, and how it came to be.
#[derive(Debug)]
pub struct Built {
    /// The run that built it.
    pub run: RunId,
    /// Its manifest, complete.
    pub manifest: Manifest,
    /// What the run did.
    pub report: Report,
}

impl Ingest {
    /// Builds a staging generation of `alias` from `sources`, or goes on with one whose build was interrupted. The lease on
    /// it is the caller's to release, once what becomes of it is recorded: until then it is nobody's leftover.
    pub async fn build(
        &self,
        alias: &AliasName,
        sources: Sources,
        shutdown: &Shutdown,
    ) -> Result<(Built, Lease), BuildError> {
        let run = self.registry.begin_run(alias, self.registry.now().await?).await?;
        let built = self.build_in(run, alias, sources, shutdown).await;
        if let Err(error) = &built {
            self.note_failure(run, alias, error).await;
        }
        built
    }

    async fn build_in(
        &self,
        run: RunId,
        alias: &AliasName,
        sources: Sources,
        shutdown: &Shutdown,
    ) -> Result<(Built, Lease), BuildError> {
        let Begun { manifest, lease, whole } = self.begin(alias).await?;
        let filled = tokio::select! {
            filled = self.fill(run, &manifest, whole, sources) => filled,
            lost = lease.lost() => Err(lost.into()),
            () = shutdown.requested() => Err(BuildError::Stopped),
        };
        match filled {
            Ok((manifest, report)) => {
                if let Err(fault) = self.lifecycle.sweep_leftovers(alias).await {
                    tracing::warn!(%alias, error = %in_one_line(&fault), "leftovers not deleted");
                }
                Ok((Built { run, manifest, report }, lease))
            }
            Err(error) => {
                let noted = self.registry.fail_generation(&manifest.generation).await;
                lease.release().await;
                // The failure itself is what the user must hear of.
                if let Err(fault) = noted {
                    let generation = &manifest.generation;
                    tracing::warn!(%generation, error = %in_one_line(&fault), "failed build not recorded");
                }
                Err(error)
            }
        }
    }

    async fn fill(
        &self,
        run: RunId,
        manifest: &Manifest,
        whole: Option<Whole>,
        sources: Sources,
    ) -> Result<(Manifest, Report), BuildError> {
        let begun = Instant::now();
        let generation = &manifest.generation;
        let report = self.pour(run, generation, whole, sources, Partition::whole()).await?;
        self.erase_again(generation).await?;
        let sealing = Instant::now();
        let (sealed, counts, content) = self.seal(manifest).await?;
        let times = StageTimes {
            seal_ms: millis(sealing.elapsed()),
            total_ms: millis(begun.elapsed()),
            ..report.times
        };
        let report = Report {
            documents: counts.documents,
            chunks: counts.chunks,
            reused: counts.chunks.saturating_sub(report.embedded),
            content: Some(content),
            times,
            ..report
        };
        Ok((sealed, report))
    }

    /// Writes the part of a generation that `sources` are, which leaves nothing else in that part.
    pub(super) async fn pour(
        &self,
        run: RunId,
        generation: &GenerationId,
        whole: Option<Whole>,
        sources: Sources,
        partition: Partition,
    ) -> Result<Report, BuildError> {
        let begun = Instant::now();
        let is_resumed = whole.is_some();
        self.registry.run_builds(run, generation).await?;
        let plan = Plan::new(self.registry.documents_in(generation.alias(), partition).await?);
        let documents = sources.documents.len();
        self.progress.begin(documents);

        let reader = self.reader()?;
        let erased = self.registry.tombstones(generation.alias()).await?;
        let sieve = Sieve::new(whole.unwrap_or_default(), erased, &self.progress);
        let (to_sift, read) = mpsc::channel(WAITING_BATCHES);
        let (to_embed, sifted) = mpsc::channel(1);
        let (to_write, embedded) = mpsc::channel(WAITING_BATCHES);
        let (read, sifted, embed, mut written) = tokio::try_join!(
            reader.run(sources.documents, &self.progress, to_sift),
            sieve.run(read, to_embed),
            self.vectors.run(sifted, to_write),
            self.write(run, generation, plan, embedded),
        )?;
        // A part may be empty.
        if partition.is_whole() && written.documents == 0 {
            return Err(BuildError::NothingReadable(documents));
        }
        self.erase_from_staging(generation, &sifted.vanished).await?;
        self.registry.forget_documents_unseen_by(generation.alias(), run, partition).await?;
        written.skipped.extend(sources.skipped);
        Ok(Report {
            generation: Some(generation.clone()),
            documents: written.documents,
            chunks: written.chunks,
            reused: written.chunks.saturating_sub(written.embedded),
            embedded: written.embedded,
            tokens_embedded: written.tokens,
            cost: self.settings.cost(written.tokens),
            resumed: is_resumed.then_some(sifted.kept),
            changes: written.plan.finish(),
            skipped: written.skipped,
            unsupported: sources.unsupported,
            times: StageTimes {
                read_ms: millis(read),
                embed_ms: millis(embed),
                write_ms: millis(written.took),
                seal_ms: 0,
                total_ms: millis(begun.elapsed()),
            },
            ..Report::default()
        })
    }

    /// Erases what was erased by command while the generation was built.
    pub(super) async fn erase_again(&self, generation: &GenerationId) -> Result<(), BuildError> {
        let erased = self.lifecycle.erased_since(generation).await?;
        self.erase_from_staging(generation, &erased).await
    }

    /// Makes the generation whole, if the store holds what the registry has recorded.
    pub(super) async fn seal(
        &self,
        manifest: &Manifest,
    ) -> Result<(Manifest, Counts, ContentHash), BuildError> {
        let generation = &manifest.generation;
        self.progress.seal();
        let counts = self.registry.written_counts(generation).await?;
        let content = self.registry.content_digest(generation).await?;
        let sealed = self.store.seal(manifest, counts).await?;
        self.registry.complete_generation(&sealed).await?;
        self.registry.set_content(generation, &content).await?;
        Ok((sealed, counts, content))
    }

    /// What cannot be noted is in the log: the failure itself is what the user must hear of.
    pub(super) async fn note_failure(&self, run: RunId, alias: &AliasName, error: &BuildError) {
        let report = serde_json::json!({ "error": in_one_line(error) });
        let noting = async {
            let now = self.registry.now().await?;
            let end = RunEnd { outcome: RunOutcome::Failed, counts: RunCounts::default(), report };
            self.registry.finish_run(run, &end, now).await
        };
        if let Err(error) = noting.await {
            tracing::warn!(%alias, error = %in_one_line(&error), "failed run could not be recorded");
        }
    }
}
