//! What builds left behind whose processes died: one is gone on with, all others are deleted.
//! Never touches what a living process builds, what several workers build that need not live at the same time, what is live, or what waits to be published.

use jiff::Timestamp;
use lectern_schema::fingerprint::Fingerprint;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::lifecycle::lease::Lease;
use crate::lifecycle::prune::Fate;
use crate::lifecycle::shelf::{Condition, Listed, Shelf, WasLive};
use crate::lifecycle::{Lifecycle, LifecycleError};
use crate::registry::error::RegistryError;
use crate::registry::generations::GenerationState;
use crate::registry::leases::LeaseName;

impl Lifecycle {
    /// Takes over the newest build of `alias` that died, if it used the same `fingerprint`, and deletes what else dead
    /// builds left behind. Waits for leases of processes of which it cannot be seen whether they live.
    pub(crate) async fn take_up(
        &self,
        alias: &AliasName,
        fingerprint: &Fingerprint,
    ) -> Result<Option<(Manifest, Lease)>, LifecycleError> {
        let listing = self.list(alias).await?;
        for record in self.registry.generations(alias).await? {
            let begun = matches!(record.state, GenerationState::Staging | GenerationState::Failed);
            let is_shared = listing.division(&record.generation).is_some();
            if begun && !is_shared && listing.find(&record.generation).is_none() {
                self.sweep_up(&record.generation, listing.read_at).await?;
            }
        }
        let unreported = self.registry.unreported_generations(alias).await?;
        let mut taken: Option<(Manifest, Lease)> = None;
        for listed in listing.generations.iter().rev() {
            if !is_leftover(&listing, listed, &unreported) {
                continue;
            }
            let usable = listed
                .manifest()
                .is_some_and(|manifest| manifest.counts().is_none() && manifest.fingerprint == *fingerprint);
            if usable && taken.is_none() {
                taken = self.take_over(&listed.generation, listing.read_at).await?;
            } else {
                self.sweep_up(&listed.generation, listing.read_at).await?;
            }
        }
        Ok(taken)
    }

    /// Deletes what dead builds left behind and nobody holds. For the end of a build: a store may still have been creating
    /// what a killed process had asked for when the build began and looked.
    pub(crate) async fn sweep_leftovers(&self, alias: &AliasName) -> Result<(), LifecycleError> {
        let listing = self.list(alias).await?;
        let unreported = self.registry.unreported_generations(alias).await?;
        for listed in &listing.generations {
            if listed.holder.is_none() && is_leftover(&listing, listed, &unreported) {
                self.sweep_up(&listed.generation, listing.read_at).await?;
            }
        }
        Ok(())
    }

    /// Deletes a generation whose build was taken over, because it cannot be gone on with.
    pub(crate) async fn discard(
        &self,
        generation: &GenerationId,
        lease: Lease,
    ) -> Result<(), LifecycleError> {
        lease.release().await;
        self.delete(generation).await.map(drop)
    }

    /// The lease of a build that has died, with the build's manifest as it is now; `None` when somebody else has it.
    async fn take_over(
        &self,
        generation: &GenerationId,
        now: Timestamp,
    ) -> Result<Option<(Manifest, Lease)>, LifecycleError> {
        let lease = match self.reserve_build(generation).await {
            Ok(lease) => lease,
            Err(RegistryError::Held { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stored = self.store.generations(generation.alias()).await?;
        let found = stored.into_iter().find(|stored| stored.generation == *generation);
        match found.and_then(|found| found.manifest) {
            Some(manifest) if manifest.counts().is_none() => {
                self.registry.bury_runs(generation, now).await?;
                Ok(Some((manifest, lease)))
            }
            _ => {
                lease.release().await;
                Ok(None)
            }
        }
    }

    /// Deletes a leftover, unless somebody moves its alias now, or has moved it there meanwhile: the next build looks again.
    async fn sweep_up(&self, generation: &GenerationId, now: Timestamp) -> Result<(), LifecycleError> {
        let alias = LeaseName::of_alias(generation.alias());
        let lease = match Lease::take_now(&self.registry, alias, &self.holder).await {
            Err(RegistryError::Held { .. }) => return Ok(()),
            taken => taken?,
        };
        let swept = self.sweep_unserved(generation, now).await;
        lease.release().await;
        swept
    }

    async fn sweep_unserved(&self, generation: &GenerationId, now: Timestamp) -> Result<(), LifecycleError> {
        if self.list(generation.alias()).await?.is_served(generation) {
            return Ok(());
        }
        let fate = self.delete(generation).await?;
        tracing::info!(%generation, ?fate, "leftover of a dead build");
        if fate == Fate::Deleted {
            self.registry.bury_runs(generation, now).await?;
        }
        Ok(())
    }
}

/// Whether nobody needs the generation unless its builder lives, which its lease tells.
fn is_leftover(listing: &Shelf, listed: &Listed, unreported: &[GenerationId]) -> bool {
    let state = listed.record.as_ref().map(|record| record.state);
    match &listed.condition {
        _ if listing.is_served(&listed.generation) => false,
        // Its workers need not live at the same time: the next one may not have been started yet.
        _ if listing.division(&listed.generation).is_some() => false,
        // Builds that our registry does not know have their leases elsewhere.
        Condition::Building(_) => listed.record.is_some(),
        // Without a manifest that this version can read, it is a leftover only if our registry saw it begin and not end.
        Condition::Torn => matches!(state, Some(GenerationState::Staging | GenerationState::Failed)),
        // Sealed, but its run never said so: it is not known whether it was to be published.
        Condition::Complete(..) => {
            let unpublished = listed.was_live() == WasLive::Never;
            listed.is_condemned() || unpublished && unreported.contains(&listed.generation)
        }
        Condition::Missing => false,
    }
}
