//! The canary of an alias: begun beside the live generation, promoted or withdrawn.
//! Never moves the alias itself, and never leaves a canary beside a generation that it was not compared with.

use jiff::Timestamp;
use lectern_schema::canary::{Canary, Share};
use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::lifecycle::lease::Lease;
use crate::lifecycle::publish::{Published, Terms};
use crate::lifecycle::shelf::Shelf;
use crate::lifecycle::{Lifecycle, LifecycleError, PROGRAM};
use crate::registry::publications::{Publication, PublicationKind};

/// A canary that was ended without going live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// What it was.
    pub canary: Canary,
    /// What all traffic goes to.
    pub live: GenerationId,
}

impl Lifecycle {
    /// Makes the generation that the gates let through the canary, or gives the canary another share. One at a time.
    pub(super) async fn share(
        &self,
        lease: &Lease,
        listing: &Shelf,
        share: Share,
        publication: Publication,
    ) -> Result<Published, LifecycleError> {
        let nothing_live = || LifecycleError::NothingLive(listing.alias.clone());
        let live = listing.live.clone().ok_or_else(nothing_live)?;
        let canary = Canary { generation: publication.to.clone(), share };
        let present = listing.canary.as_ref();
        if let Some(other) =
            present.filter(|other| other.generation != canary.generation && other.generation != live)
        {
            return Err(LifecycleError::CanaryRuns(other.generation.clone()));
        }
        self.note_live(listing).await?;
        self.note_complete(listing, &canary.generation).await?;
        self.swap_canary(lease, listing, Some(&canary)).await?;
        tracing::info!(alias = %listing.alias, generation = %canary.generation, percent = share.percent(), "canary begun");
        let begun = Publication { kind: PublicationKind::Canary, ..publication };
        self.registry.record_publication(&begun).await?;
        Ok(Published::Sharing { live, canary, verdicts: begun.verdicts })
    }

    /// Points `alias` at its canary, as publishing it does.
    pub async fn promote(&self, alias: &AliasName, terms: &Terms) -> Result<Published, LifecycleError> {
        let expected = self.store.live(alias).await?;
        let lease = self.reserve_alias(alias).await?;
        let promoted = self.promote_alone(&lease, expected.as_ref(), alias, terms).await;
        lease.release().await;
        promoted
    }

    async fn promote_alone(
        &self,
        lease: &Lease,
        expected: Option<&GenerationId>,
        alias: &AliasName,
        terms: &Terms,
    ) -> Result<Published, LifecycleError> {
        let canary = self.store.canary(alias).await?;
        let canary = canary.ok_or_else(|| LifecycleError::NoCanary(alias.clone()))?;
        self.publish_alone(lease, expected, &canary.generation, terms).await
    }

    /// Ends the canary of `alias`: all traffic goes to the live generation. What was the canary stays as it is.
    pub async fn withdraw(
        &self,
        alias: &AliasName,
        reason: Option<String>,
    ) -> Result<Withdrawn, LifecycleError> {
        let lease = self.reserve_alias(alias).await?;
        let withdrawn = self.withdraw_alone(&lease, alias, reason).await;
        lease.release().await;
        withdrawn
    }

    async fn withdraw_alone(
        &self,
        lease: &Lease,
        alias: &AliasName,
        reason: Option<String>,
    ) -> Result<Withdrawn, LifecycleError> {
        let listing = self.list(alias).await?;
        let live = listing.live.clone().ok_or_else(|| LifecycleError::NothingLive(alias.clone()))?;
        // What a promotion left behind is no canary any more: the live generation is not withdrawn.
        self.forget_promoted(lease, &listing).await?;
        let canary = listing.canary.clone().filter(|canary| canary.generation != live);
        let canary = canary.ok_or_else(|| LifecycleError::NoCanary(alias.clone()))?;
        let withdrawal = withdrawal(&canary, &live, self.registry.now().await?, reason);
        self.end_canary(lease, &listing, &withdrawal).await?;
        Ok(Withdrawn { canary, live })
    }

    /// Ends, before the alias moves, a canary that it does not move to. After the move, and a crash between the two, an older
    /// generation would be left to serve a share beside a newer one.
    pub(super) async fn withdraw_bystander(
        &self,
        lease: &Lease,
        listing: &Shelf,
        publication: &Publication,
    ) -> Result<(), LifecycleError> {
        let bystander = listing.canary.as_ref().filter(|canary| canary.generation != publication.to);
        let Some((canary, live)) = bystander.zip(listing.live.as_ref()) else { return Ok(()) };
        let reason = format!("the alias moved to {}", publication.to);
        self.end_canary(lease, listing, &withdrawal(canary, live, publication.at, Some(reason))).await
    }

    /// Takes the pointer away from a canary that is live now. After the move: those whom it served are not thrown back in
    /// between, and what a crash leaves is a canary that is live, which is none.
    pub(super) async fn forget_promoted(&self, lease: &Lease, listing: &Shelf) -> Result<(), LifecycleError> {
        let promoted = listing.canary.as_ref().filter(|canary| listing.is_live(&canary.generation));
        if promoted.is_some() { self.swap_canary(lease, listing, None).await } else { Ok(()) }
    }

    async fn end_canary(
        &self,
        lease: &Lease,
        listing: &Shelf,
        withdrawal: &Publication,
    ) -> Result<(), LifecycleError> {
        self.swap_canary(lease, listing, None).await?;
        tracing::info!(alias = %listing.alias, "canary withdrawn");
        Ok(self.registry.record_publication(withdrawal).await?)
    }

    /// Points the canary of an alias elsewhere, if the lease is still ours and the canary still what it was.
    pub(super) async fn swap_canary(
        &self,
        lease: &Lease,
        listing: &Shelf,
        to: Option<&Canary>,
    ) -> Result<(), LifecycleError> {
        lease.confirm().await?;
        Ok(self.store.swap_canary(&listing.alias, listing.canary.as_ref(), to).await?)
    }
}

fn withdrawal(canary: &Canary, live: &GenerationId, at: Timestamp, reason: Option<String>) -> Publication {
    Publication {
        kind: PublicationKind::Withdraw,
        from: Some(canary.generation.clone()),
        to: live.clone(),
        at,
        program: PROGRAM.to_owned(),
        forced: None,
        verdicts: Vec::new(),
        share: Some(canary.share),
        reason,
    }
}
