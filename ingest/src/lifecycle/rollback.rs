//! Moves an alias back, to a generation that was live before. Asks no gate: it went through them once.
//! Never moves it to a generation that was never live.

use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::lifecycle::lease::Lease;
use crate::lifecycle::publish::{Published, whole};
use crate::lifecycle::shelf::{Listed, Shelf, WasLive};
use crate::lifecycle::{Lifecycle, LifecycleError, PROGRAM, moved};
use crate::registry::publications::{Publication, PublicationKind};

impl Lifecycle {
    /// Points `alias` at `to`, or at the newest generation before the live one that was live at some time.
    pub async fn rollback(
        &self,
        alias: &AliasName,
        to: Option<&GenerationId>,
    ) -> Result<Published, LifecycleError> {
        let expected = self.store.live(alias).await?;
        let lease = self.reserve_alias(alias).await?;
        let moved = self.rollback_alone(&lease, expected.as_ref(), alias, to).await;
        lease.release().await;
        moved
    }

    async fn rollback_alone(
        &self,
        lease: &Lease,
        expected: Option<&GenerationId>,
        alias: &AliasName,
        to: Option<&GenerationId>,
    ) -> Result<Published, LifecycleError> {
        let listing = self.list(alias).await?;
        if listing.live.as_ref() != expected {
            return Err(moved(alias, expected, listing.live));
        }
        let to = target(&listing, to)?;
        if listing.is_live(&to) {
            return Ok(Published::AlreadyLive(to));
        }
        let to = self.without_erased(&to).await?;
        let publication = Publication {
            kind: PublicationKind::Rollback,
            from: listing.live.clone(),
            to,
            at: self.registry.now().await?,
            program: PROGRAM.to_owned(),
            forced: None,
            verdicts: Vec::new(),
            share: None,
            reason: None,
        };
        self.perform(lease, &listing, &publication).await?;
        Ok(Published::Moved { from: publication.from, to: publication.to, verdicts: publication.verdicts })
    }
}

/// Where a rollback goes.
fn target(shelf: &Shelf, named: Option<&GenerationId>) -> Result<GenerationId, LifecycleError> {
    if let Some(named) = named {
        let (listed, _) = whole(shelf, named)?;
        let never = listed.was_live() == WasLive::Never && !shelf.is_live(named);
        return if never { Err(LifecycleError::NeverLive(named.clone())) } else { Ok(named.clone()) };
    }
    let live = shelf.live.as_ref().ok_or_else(|| LifecycleError::NothingLive(shelf.alias.clone()))?;
    let before = before(shelf, live).map(|listed| listed.generation.clone());
    before.ok_or_else(|| LifecycleError::NothingBefore {
        alias: shelf.alias.clone(),
        candidates: shelf
            .others()
            .filter(|listed| listed.was_live() != WasLive::Never)
            .map(|listed| listed.generation.clone())
            .collect(),
    })
}

/// The newest complete generation older than `live` that was live at some time: where a rollback without a name goes,
/// and what pruning spares for it.
pub(super) fn before<'a>(shelf: &'a Shelf, live: &GenerationId) -> Option<&'a Listed> {
    shelf.others().rev().find(|listed| listed.generation < *live && listed.was_live() == WasLive::Yes)
}
