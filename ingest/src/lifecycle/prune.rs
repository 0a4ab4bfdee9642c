//! Deletes generations that nobody needs any more.
//! Never deletes the live one, a canary, one that a server may still read, one that is being built, or the next rollback's target.

use std::time::Duration;

use jiff::Timestamp;
use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::lifecycle::lease::Lease;
use crate::lifecycle::rollback::before;
use crate::lifecycle::shelf::{Condition, Listed, Shelf, WasLive};
use crate::lifecycle::{Lifecycle, LifecycleError, process};
use crate::registry::error::RegistryError;
use crate::registry::generations::GenerationState;
use crate::registry::leases::LeaseName;
use crate::store::StoreError;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Number of generations kept, besides the live one, of those that were live: the newest.
    pub keep: usize,
    /// How long a generation is kept after it ceased to be live: requests that began on it must have ended.
    pub grace: Duration,
    /// How long a generation that never went live is kept, whole or not: its build may be resumed or it may be published.
    pub unpublished: Duration,
}

impl Default for Retention {
    /// Two to go back to; a minute for the requests, which are bounded by less; a day to resume or publish a build.
    fn default() -> Self {
        Self { keep: 2, grace: Duration::from_mins(1), unpublished: Duration::from_hours(24) }
    }
}

/// What becomes of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is deleted.
    Deleted,
    /// It stays.
    Kept(Why),
}

/// Why a generation stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The alias points at it.
    #[error("it is live")]
    Live,
    /// It serves a share beside the live one.
    #[error("it is the canary")]
    Canary,
    /// It is one of the newest that were live.
    #[error("it is among the newest {0} that were live")]
    Retained(usize),
    /// A rollback would go to it.
    #[error("a rollback would go to it")]
    RollbackTarget,
    /// It ceased to be live, or the canary, too short a time ago.
    #[error("it was served until less than {} s ago: a server may still read it", .0.as_secs())]
    Grace(Duration),
    /// It may still be resumed or published.
    #[error("it is younger than {} h and was never live: its build may be resumed, or it may be published", .0.as_secs() / 3_600)]
    Unpublished(Duration),
    /// Nothing is live: there is no telling what is needed.
    #[error("nothing is live: publish a generation first")]
    NothingLive,
    /// Somebody builds or reads it.
    #[error("it is in use by {0}")]
    InUse(String),
}

impl Lifecycle {
    /// Deletes the generations of `alias` that `retention` does not keep, and tells each one's fate, oldest first.
    /// A generation that is in use is kept and told; it is no error.
    pub async fn prune(
        &self,
        alias: &AliasName,
        retention: &Retention,
    ) -> Result<Vec<(GenerationId, Fate)>, LifecycleError> {
        let lease = self.reserve_alias(alias).await?;
        let pruned = self.prune_alone(alias, retention).await;
        lease.release().await;
        pruned
    }

    async fn prune_alone(
        &self,
        alias: &AliasName,
        retention: &Retention,
    ) -> Result<Vec<(GenerationId, Fate)>, LifecycleError> {
        self.settle_accounts(&self.list(alias).await?).await?;
        let listing = self.list(alias).await?;
        let mut told = Vec::new();
        for (listed, fate) in fates(&listing, retention) {
            let fate = match fate {
                Fate::Deleted => self.delete(&listed.generation).await?,
                kept @ Fate::Kept(_) => kept,
            };
            told.push((listed.generation.clone(), fate));
        }
        self.registry.forget_unused_embeddings().await?;
        Ok(told)
    }

    /// Records what a crash may have lost: that a generation is gone from the store, or live no more.
    async fn settle_accounts(&self, listing: &Shelf) -> Result<(), LifecycleError> {
        for record in self.registry.generations(&listing.alias).await? {
            let generation = &record.generation;
            let stored =
                listing.find(generation).is_some_and(|listed| listed.condition != Condition::Missing);
            if listing.is_live(generation) || record.state == GenerationState::Deleted && !stored {
                continue;
            }
            // A build of several workers is announced before it is there.
            if !stored && listing.division(generation).is_none() {
                self.registry.delete_generation(generation).await?;
            } else if stored && record.published_at.is_some() {
                self.registry.note_superseded(generation, listing.read_at).await?;
            }
        }
        Ok(())
    }

    /// Deletes one generation under its own lease, so that no build can resume it meanwhile, and no worker join it.
    pub(super) async fn delete(&self, generation: &GenerationId) -> Result<Fate, LifecycleError> {
        let name = LeaseName::of_generation(generation);
        let lease = match Lease::take_now(&self.registry, name, &self.holder).await {
            Ok(lease) => lease,
            Err(RegistryError::Held { holder, .. }) => return Ok(Fate::Kept(Why::InUse(holder))),
            Err(error) => return Err(error.into()),
        };
        let now = self.registry.now().await?;
        if let Some(worker) = self.registry.give_up_division(generation, now, process::has_died).await? {
            lease.release().await;
            return Ok(Fate::Kept(Why::InUse(worker)));
        }
        let deleted = match self.store.delete(generation).await {
            // Somebody else was faster, or a crash came between deleting and recording it.
            Ok(()) | Err(StoreError::Missing(_)) => {
                self.registry.delete_generation(generation).await.map(|()| Fate::Deleted).map_err(Into::into)
            }
            Err(StoreError::Held { holder, .. }) => Ok(Fate::Kept(Why::InUse(holder))),
            Err(error) => Err(error.into()),
        };
        lease.release().await;
        deleted
    }
}

/// What becomes of each generation in the store, oldest first, as far as store and registry can tell.
fn fates<'a>(shelf: &'a Shelf, retention: &Retention) -> Vec<(&'a Listed, Fate)> {
    let retained: Vec<&GenerationId> = shelf
        .others()
        .rev()
        .filter(|listed| listed.was_live() != WasLive::Never)
        .take(retention.keep)
        .map(|listed| &listed.generation)
        .collect();
    let present = shelf.generations.iter().filter(|listed| listed.condition != Condition::Missing);
    let fate = |listed: &'a Listed| {
        let why = reason_to_keep(shelf, listed, &retained, retention);
        (listed, why.map_or(Fate::Deleted, Fate::Kept))
    };
    present.map(fate).collect()
}

fn reason_to_keep(
    shelf: &Shelf,
    listed: &Listed,
    retained: &[&GenerationId],
    retention: &Retention,
) -> Option<Why> {
    let generation = &listed.generation;
    if shelf.is_live(generation) {
        return Some(Why::Live);
    }
    if shelf.canary_share(generation).is_some() {
        return Some(Why::Canary);
    }
    if listed.is_condemned() {
        return None;
    }
    // A complete generation that the registry never heard of may have been live: it is not a mere leftover.
    if !listed.is_complete() || listed.was_live() == WasLive::Never {
        let young = listed.age(shelf.read_at) < retention.unpublished;
        let why = young.then_some(Why::Unpublished(retention.unpublished));
        return why.or_else(|| in_grace(listed, shelf.read_at, retention.grace));
    }
    let Some(live) = &shelf.live else { return Some(Why::NothingLive) };
    if retained.contains(&generation) {
        return Some(Why::Retained(retention.keep));
    }
    let is_target = before(shelf, live).is_some_and(|target| target.generation == *generation);
    if is_target && 0 < retention.keep {
        return Some(Why::RollbackTarget);
    }
    in_grace(listed, shelf.read_at, retention.grace)
}

fn in_grace(listed: &Listed, now: Timestamp, grace: Duration) -> Option<Why> {
    let superseded = listed.record.as_ref().and_then(|record| record.superseded_at);
    let since = superseded.and_then(|superseded| Duration::try_from(now.duration_since(superseded)).ok());
    // Superseded "in the future" means that clocks differ: too early to delete.
    let early = superseded.is_some() && since.is_none_or(|since| since < grace);
    early.then_some(Why::Grace(grace))
}
