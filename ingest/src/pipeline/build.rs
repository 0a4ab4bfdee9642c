//! Builds one staging generation: `sources -> chunks -> points -> written -> sealed`, each stage feeding the next.
//! Never moves an alias; whatever goes wrong leaves a generation that says of itself that it is not complete.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lectern_boot::shutdown::Shutdown;
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{AliasName, GenerationId};
use tokio::sync::mpsc;

use crate::causes::in_one_line;
use crate::extract::Skipped;
use crate::extract::source::Sources;
use crate::lifecycle::PROGRAM;
use crate::lifecycle::lease::Lease;
use crate::pipeline::Ingest;
use crate::pipeline::embed::Embedded;
use crate::pipeline::error::BuildError;
use crate::pipeline::plan::Plan;
use crate::pipeline::progress::count;
use crate::pipeline::report::{Report, StageTimes, millis};
use crate::registry::documents::{DocumentRecord, DocumentState};
use crate::registry::runs::{RunCounts, RunEnd, RunId, RunOutcome};
use crate::store::StoreError;

/// Batches that may wait between two stages.
const WAITING_BATCHES: usize = 2;
/// Generations of one alias that may be named in the same second before something is wrong.
const MOST_NAMES: u32 = 100;

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

/// What was written.
#[derive(Debug, Default)]
struct Written {
    counts: Counts,
    embedded: u64,
    skipped: Vec<Skipped>,
    plan: Plan,
    took: Duration,
}

impl Ingest {
    /// Builds a staging generation of `alias` from `sources`.
    pub async fn build(
        &self,
        alias: &AliasName,
        sources: Sources,
        shutdown: &Shutdown,
    ) -> Result<Built, BuildError> {
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
    ) -> Result<Built, BuildError> {
        let (manifest, lease) = self.begin(alias).await?;
        let filled = tokio::select! {
            filled = self.fill(run, &manifest, sources) => filled,
            lost = lease.lost() => Err(lost.into()),
            () = shutdown.requested() => Err(BuildError::Stopped),
        };
        let noted = match &filled {
            Ok((manifest, _)) => self.registry.complete_generation(manifest).await,
            Err(_) => self.registry.fail_generation(&manifest.generation).await,
        };
        lease.release().await;
        let (manifest, report) = filled?;
        noted?;
        Ok(Built { run, manifest, report })
    }

    /// Names a generation, takes the lease on it, and creates it in the store.
    async fn begin(&self, alias: &AliasName) -> Result<(Manifest, Lease), BuildError> {
        let now = self.registry.now().await?;
        let mut generation = GenerationId::new(alias, now, 1);
        for _ in 0..MOST_NAMES {
            let lease = self.lifecycle.reserve_build(&generation).await?;
            let manifest = self.manifest(&generation, now);
            match self.store.create(&manifest).await {
                Ok(()) => {
                    self.registry.begin_generation(&generation, &manifest.fingerprint, now).await?;
                    return Ok((manifest, lease));
                }
                Err(StoreError::Taken(_)) => lease.release().await,
                Err(error) => return Err(error.into()),
            }
            generation = generation.next();
        }
        Err(StoreError::Taken(generation).into())
    }

    fn manifest(&self, generation: &GenerationId, now: Timestamp) -> Manifest {
        Manifest {
            generation: generation.clone(),
            fingerprint: self.fingerprint(),
            state: BuildState::Building,
            written_at: now,
            written_by: PROGRAM.to_owned(),
        }
    }

    async fn fill(
        &self,
        run: RunId,
        manifest: &Manifest,
        sources: Sources,
    ) -> Result<(Manifest, Report), BuildError> {
        let begun = Instant::now();
        let alias = manifest.generation.alias();
        self.registry.run_builds(run, &manifest.generation).await?;
        let plan = Plan::new(self.registry.documents(alias).await?);
        let documents = sources.documents.len();
        self.progress.begin(documents);

        let reader = self.reader()?;
        let (to_embed, batches) = mpsc::channel(WAITING_BATCHES);
        let (to_write, embedded) = mpsc::channel(WAITING_BATCHES);
        let (read, embed, written) = tokio::try_join!(
            reader.run(sources.documents, &self.progress, to_embed),
            self.vectors.run(batches, to_write),
            self.write(run, &manifest.generation, plan, embedded),
        )?;
        if written.counts.chunks == 0 {
            return Err(BuildError::NothingReadable(documents));
        }
        self.registry.forget_documents_unseen_by(alias, run).await?;

        self.progress.seal();
        let sealing = Instant::now();
        let sealed = self.store.seal(manifest, written.counts).await?;
        let times = StageTimes {
            read_ms: millis(read),
            embed_ms: millis(embed),
            write_ms: millis(written.took),
            seal_ms: millis(sealing.elapsed()),
            total_ms: millis(begun.elapsed()),
        };
        let report = report(&sealed.generation, written, sources.skipped, sources.unsupported, times);
        Ok((sealed, report))
    }

    /// The last stage: points into the store, and what became of their documents into the registry.
    async fn write(
        &self,
        run: RunId,
        generation: &GenerationId,
        plan: Plan,
        mut embedded: mpsc::Receiver<Embedded>,
    ) -> Result<Written, BuildError> {
        let mut written = Written { plan, ..Written::default() };
        while let Some(batch) = embedded.recv().await {
            let begun = Instant::now();
            let chunks = batch.points.len();
            if chunks > 0 {
                self.store.upsert(generation, batch.points).await?;
            }
            self.registry.record_documents(generation.alias(), run, &batch.documents).await?;
            written.counts.chunks += count(chunks);
            written.embedded += count(batch.computed);
            for document in batch.documents {
                written.note(document);
            }
            written.skipped.extend(batch.skipped);
            self.progress.written(chunks);
            written.took += begun.elapsed();
        }
        Ok(written)
    }

    /// What cannot be noted is in the log: the failure itself is what the user must hear of.
    async fn note_failure(&self, run: RunId, alias: &AliasName, error: &BuildError) {
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

impl Written {
    fn note(&mut self, document: DocumentRecord) {
        match document.state {
            DocumentState::Ingested { .. } => {
                self.counts.documents += 1;
                if let Some(content) = &document.content_hash {
                    self.plan.see(&document.document_id, content);
                }
            }
            DocumentState::Skipped { reason } => {
                self.skipped.push(Skipped::new(document.document_id.to_string(), &reason));
            }
        }
    }
}

fn report(
    generation: &GenerationId,
    written: Written,
    mut skipped: Vec<Skipped>,
    unsupported: BTreeMap<String, u64>,
    times: StageTimes,
) -> Report {
    skipped.extend(written.skipped);
    Report {
        generation: Some(generation.clone()),
        documents: written.counts.documents,
        chunks: written.counts.chunks,
        reused: written.counts.chunks.saturating_sub(written.embedded),
        embedded: written.embedded,
        changes: written.plan.finish(),
        skipped,
        unsupported,
        times,
    }
}
