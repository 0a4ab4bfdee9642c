//! The beginning of a build: a generation of one's own, taken over from a build that was interrupted or begun anew.
//! Never writes a chunk.

use jiff::Timestamp;
use lectern_schema::generation::{BuildState, Manifest};
use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::causes::in_one_line;
use crate::lifecycle::PROGRAM;
use crate::lifecycle::lease::Lease;
use crate::partition::Partition;
use crate::pipeline::Ingest;
use crate::pipeline::error::BuildError;
use crate::pipeline::resume::Whole;
use crate::store::StoreError;

/// Names that may be taken, one a second, before something is wrong.
const MOST_NAMES: u32 = 100;

/// A generation to be filled.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) manifest: Manifest,
    pub(super) lease: Lease,
    /// What an interrupted build has written already; `None` when the generation was begun anew.
    pub(super) whole: Option<Whole>,
}

impl Ingest {
    /// Goes on with a build of the same settings that died, if there is one, or begins another.
    pub(super) async fn begin(&self, alias: &AliasName) -> Result<Begun, BuildError> {
        let Some((manifest, lease)) = self.lifecycle.take_up(alias, &self.fingerprint()).await? else {
            return self.begin_anew(alias).await;
        };
        let generation = &manifest.generation;
        match self.recover(generation, Partition::whole()).await {
            Ok(whole) => {
                let now = self.registry.now().await?;
                self.registry.begin_generation(generation, &manifest.fingerprint, now).await?;
                tracing::info!(%generation, documents = whole.len(), "interrupted build is gone on with");
                Ok(Begun { manifest, lease, whole: Some(whole) })
            }
            Err(BuildError::Store(fault)) if !is_passing(&fault) => {
                tracing::warn!(%generation, error = %in_one_line(&fault), "interrupted build cannot be gone on with");
                self.lifecycle.discard(generation, lease).await?;
                self.begin_anew(alias).await
            }
            Err(error) => {
                lease.release().await;
                Err(error)
            }
        }
    }

    /// Names a generation, takes the lease on it, and creates it in the store.
    async fn begin_anew(&self, alias: &AliasName) -> Result<Begun, BuildError> {
        let now = self.registry.now().await?;
        let mut generation = self.name(alias, now).await?;
        for _ in 0..MOST_NAMES {
            let lease = self.lifecycle.reserve_build(&generation).await?;
            let manifest = self.manifest(&generation, now);
            // Before it is in the store: whatever is there was announced, so that no crash leaves what nobody knows.
            let is_new = self.registry.announce_generation(&generation, &manifest.fingerprint, now).await?;
            let created = if is_new {
                self.store.create(&manifest).await
            } else {
                // Another build was faster to announce it.
                Err(StoreError::Taken(generation.clone()))
            };
            match created {
                Ok(()) => {
                    self.registry.begin_generation(&generation, &manifest.fingerprint, now).await?;
                    return Ok(Begun { manifest, lease, whole: None });
                }
                Err(StoreError::Taken(_)) if is_new => self.registry.withdraw_generation(&generation).await?,
                Err(StoreError::Taken(_)) => {}
                Err(error) => return Err(error.into()),
            }
            lease.release().await;
            // Not the next name of the same second: a generation's successors stand before all later builds.
            generation = generation.later();
        }
        Err(StoreError::Taken(generation).into())
    }

    /// The name of this second, unless a generation or its successor stands there or later: publishing goes forward only.
    pub(super) async fn name(&self, alias: &AliasName, now: Timestamp) -> Result<GenerationId, BuildError> {
        let name = GenerationId::new(alias, now, 1);
        let known = self.registry.generations(alias).await?.into_iter().map(|record| record.generation);
        let stored = self.store.generations(alias).await?.into_iter().map(|stored| stored.generation);
        let newest = known.chain(stored).max();
        Ok(newest.filter(|newest| name <= *newest).map_or(name, |newest| newest.later()))
    }

    pub(super) fn manifest(&self, generation: &GenerationId, now: Timestamp) -> Manifest {
        Manifest {
            generation: generation.clone(),
            fingerprint: self.fingerprint(),
            state: BuildState::Building,
            written_at: now,
            written_by: PROGRAM.to_owned(),
        }
    }
}

/// Whether what failed may work at the next try with the same generation.
pub(super) fn is_passing(fault: &StoreError) -> bool {
    matches!(fault, StoreError::Unavailable(_) | StoreError::Held { .. })
}
