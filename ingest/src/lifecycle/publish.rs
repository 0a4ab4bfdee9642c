//! Moves an alias forward, to a generation that is whole and that the gates let through.
//! Never moves it back, and never past somebody else's move.

use lectern_schema::canary::{Canary, Share};
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::GenerationId;

use crate::lifecycle::gate::counts::{self, Measured};
use crate::lifecycle::gate::{Percent, Verdict};
use crate::lifecycle::lease::Lease;
use crate::lifecycle::shelf::{Condition, Listed, Shelf};
use crate::lifecycle::{Lifecycle, LifecycleError, PROGRAM, moved};
use crate::registry::examinations::Examination;
use crate::registry::publications::{Publication, PublicationKind};

/// An operator's reason for overruling a gate: not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

/// No reason was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("overruling a gate needs a reason: it is recorded with the publication")]
pub struct NoReason;

impl Reason {
    /// Takes any text that is not blank.
    pub fn parse(text: &str) -> Result<Self, NoReason> {
        let text = text.trim();
        if text.is_empty() { Err(NoReason) } else { Ok(Self(text.to_owned())) }
    }

    /// The reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A whole generation, and what it would replace.
#[derive(Debug, Clone, PartialEq)]
pub struct Contest {
    /// Manifest of the generation.
    pub candidate: Manifest,
    /// What is live.
    pub live: Option<GenerationId>,
    /// Manifest of what is live, `None` when nothing is, or nothing whole.
    pub live_manifest: Option<Manifest>,
    /// Whether the candidate is the canary: it was examined when it became that.
    pub is_canary: bool,
}

impl Contest {
    /// Whether publishing needs no look into the store: the candidate was examined when it became the canary, or is live,
    /// or older than what is.
    pub fn is_moot(&self) -> bool {
        self.is_canary || self.live.as_ref().is_some_and(|live| self.candidate.generation <= *live)
    }
}

/// What the gates said that look into the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examined {
    /// What the generation was compared with.
    pub live: Option<GenerationId>,
    /// What they said.
    pub verdicts: Vec<Verdict>,
}

/// On what terms a generation may go live.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Smallest share that must be left of the live generation.
    pub smallest: Percent,
    /// What was found in the store beforehand. It holds only as long as the same generation is live.
    pub examined: Option<Examined>,
    /// Why a refusal is overruled.
    pub force: Option<Reason>,
    /// Only this share of the traffic, as a canary: the alias does not move.
    pub share: Option<Share>,
}

/// What became of the alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It was moved.
    Moved {
        /// What it pointed at before.
        from: Option<GenerationId>,
        /// What it points at now.
        to: GenerationId,
        /// What the gates said.
        verdicts: Vec<Verdict>,
    },
    /// It pointed there already: nothing was changed.
    AlreadyLive(GenerationId),
    /// It was not moved: a canary serves a share beside what it points at.
    Sharing {
        /// What it points at.
        live: GenerationId,
        /// The canary.
        canary: Canary,
        /// What the gates said.
        verdicts: Vec<Verdict>,
    },
}

impl Lifecycle {
    /// A whole generation beside the one that it would replace.
    pub async fn contest(&self, generation: &GenerationId) -> Result<Contest, LifecycleError> {
        let listing = self.list(generation.alias()).await?;
        let (listed, _) = whole(&listing, generation)?;
        let unknown = || LifecycleError::Incomplete(generation.clone());
        Ok(Contest {
            is_canary: listing.canary_share(generation).is_some(),
            candidate: listed.manifest().cloned().ok_or_else(unknown)?,
            live_manifest: listing
                .live()
                .filter(|live| live.is_complete())
                .and_then(Listed::manifest)
                .cloned(),
            live: listing.live,
        })
    }

    /// What the gates say about a generation, compared with the live one. Moves nothing; what they say is recorded.
    pub async fn gate(
        &self,
        generation: &GenerationId,
        terms: &Terms,
    ) -> Result<Vec<Verdict>, LifecycleError> {
        let listing = self.list(generation.alias()).await?;
        let verdicts = judge(&listing, whole(&listing, generation)?, terms);
        self.record(&listing, generation, &verdicts, None).await?;
        Ok(verdicts)
    }

    async fn record(
        &self,
        listing: &Shelf,
        generation: &GenerationId,
        verdicts: &[Verdict],
        forced: Option<&Reason>,
    ) -> Result<(), LifecycleError> {
        let examination = Examination {
            generation: generation.clone(),
            live: listing.live.clone(),
            at: self.registry.now().await?,
            program: PROGRAM.to_owned(),
            forced: forced.map(|reason| reason.as_str().to_owned()),
            verdicts: verdicts.to_vec(),
        };
        Ok(self.registry.record_examination(&examination).await?)
    }

    /// Points the generation's alias at it, or makes it the alias's canary when the terms name a share. One publisher at a
    /// time; of two that began at once, the second is told that the alias has moved.
    pub async fn publish(
        &self,
        generation: &GenerationId,
        terms: &Terms,
    ) -> Result<Published, LifecycleError> {
        let expected = match &terms.examined {
            Some(examined) => examined.live.clone(),
            None => self.store.live(generation.alias()).await?,
        };
        let lease = self.reserve_alias(generation.alias()).await?;
        let published = self.publish_alone(&lease, expected.as_ref(), generation, terms).await;
        lease.release().await;
        published
    }

    pub(super) async fn publish_alone(
        &self,
        lease: &Lease,
        expected: Option<&GenerationId>,
        generation: &GenerationId,
        terms: &Terms,
    ) -> Result<Published, LifecycleError> {
        let generation = &self.without_erased(generation).await?;
        let listing = self.list(generation.alias()).await?;
        if listing.is_live(generation) {
            self.note_live(&listing).await?;
            self.forget_promoted(lease, &listing).await?;
            return Ok(Published::AlreadyLive(generation.clone()));
        }
        let is_successor = listing.live.as_ref().zip(expected).is_some_and(|(live, was)| live.succeeds(was));
        if listing.live.as_ref() != expected && !is_successor {
            return Err(moved(&listing.alias, expected, listing.live));
        }
        let candidate = whole(&listing, generation)?;
        if let Some(live) = listing.live.clone().filter(|live| generation < live) {
            return Err(LifecycleError::Older {
                generation: Box::new(generation.clone()),
                live: Box::new(live),
            });
        }
        let verdicts = judge(&listing, candidate, terms);
        let passed = pass(generation, &verdicts, terms.force.as_ref());
        let reason = passed.as_ref().ok().copied().flatten();
        self.record(&listing, generation, &verdicts, reason).await?;
        let forced = passed?;
        let promoted = listing.canary_share(generation).is_some();
        let publication = Publication {
            kind: if promoted { PublicationKind::Promote } else { PublicationKind::Publish },
            from: listing.live.clone(),
            to: generation.clone(),
            at: self.registry.now().await?,
            program: PROGRAM.to_owned(),
            forced: forced.map(|reason| reason.as_str().to_owned()),
            verdicts,
            share: terms.share,
            reason: None,
        };
        if let Some(share) = terms.share {
            return self.share(lease, &listing, share, publication).await;
        }
        self.perform(lease, &listing, &publication).await?;
        Ok(Published::Moved { from: publication.from, to: publication.to, verdicts: publication.verdicts })
    }

    /// Moves the alias and records it, and ends the canary: what it was compared with is live no more. What could not be found out later is recorded before: that the present one was live.
    pub(super) async fn perform(
        &self,
        lease: &Lease,
        listing: &Shelf,
        publication: &Publication,
    ) -> Result<(), LifecycleError> {
        self.note_live(listing).await?;
        self.note_complete(listing, &publication.to).await?;
        self.withdraw_bystander(lease, listing, publication).await?;
        self.swap(lease, publication.from.as_ref(), &publication.to).await?;
        tracing::info!(alias = %listing.alias, to = %publication.to, "alias moved");
        let recorded = self.registry.record_publication(publication).await;
        recorded.map_err(|source| LifecycleError::Unrecorded {
            to: Box::new(publication.to.clone()),
            source: Box::new(source),
        })?;
        self.forget_promoted(lease, &Shelf { live: Some(publication.to.clone()), ..listing.clone() }).await
    }

    /// Records that a generation is whole, which the store says.
    pub(super) async fn note_complete(
        &self,
        listing: &Shelf,
        generation: &GenerationId,
    ) -> Result<(), LifecycleError> {
        if let Some(manifest) = listing.find(generation).and_then(Listed::manifest) {
            self.registry.complete_generation(manifest).await?;
        }
        Ok(())
    }

    /// Records that the live generation is or was live. A crash between moving an alias and recording it may have lost that.
    pub(super) async fn note_live(&self, listing: &Shelf) -> Result<(), LifecycleError> {
        let Some(live) = listing.live() else { return Ok(()) };
        if let Some(manifest) = live.manifest() {
            self.registry.complete_generation(manifest).await?;
        }
        Ok(self.registry.note_live(&live.generation, listing.read_at).await?)
    }
}

/// A complete generation of the shelf, with its counts.
pub(super) fn whole<'a>(
    shelf: &'a Shelf,
    generation: &GenerationId,
) -> Result<(&'a Listed, Counts), LifecycleError> {
    let candidates = || shelf.others().map(|listed| listed.generation.clone()).collect();
    let unknown = || LifecycleError::Unknown { generation: generation.clone(), candidates: candidates() };
    let listed = shelf.find(generation).ok_or_else(unknown)?;
    match &listed.condition {
        Condition::Complete(..) if listed.is_condemned() && !shelf.is_live(generation) => Err(unknown()),
        Condition::Complete(counts, _) => Ok((listed, *counts)),
        Condition::Building(_) | Condition::Torn => Err(LifecycleError::Incomplete(generation.clone())),
        Condition::Missing => Err(unknown()),
    }
}

fn judge(shelf: &Shelf, (listed, counts): (&Listed, Counts), terms: &Terms) -> Vec<Verdict> {
    let measured = Measured {
        candidate: counts,
        recorded: listed.record.as_ref().and_then(|record| record.counts),
        live: shelf.live().and_then(Listed::counts),
    };
    let mut verdicts = counts::counts(&measured, terms.smallest);
    verdicts.extend(terms.examined.iter().flat_map(|examined| examined.verdicts.iter().cloned()));
    verdicts
}

/// Lets a generation pass when no gate refuses it, or when all that refuse can be overruled and a reason is given:
/// then returns the reason.
fn pass<'a>(
    generation: &GenerationId,
    verdicts: &[Verdict],
    force: Option<&'a Reason>,
) -> Result<Option<&'a Reason>, LifecycleError> {
    let mut refused = verdicts.iter().filter(|verdict| !verdict.passed).peekable();
    if refused.peek().is_none() {
        return Ok(None);
    }
    match force {
        Some(reason) if refused.all(|verdict| verdict.forcible) => Ok(Some(reason)),
        _ => Err(LifecycleError::Gated { generation: generation.clone(), verdicts: verdicts.to_vec() }),
    }
}
