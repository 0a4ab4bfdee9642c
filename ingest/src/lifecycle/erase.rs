//! Erases documents from every generation of an alias, and keeps them from coming back.
//! Never changes a generation that a server may have open where such a change is not safe: a successor takes its place.

use std::collections::BTreeSet;
use std::time::Duration;

use lectern_schema::canary::Canary;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::lifecycle::gate::Verdict;
use crate::lifecycle::lease::Lease;
use crate::lifecycle::prune::{Fate, Why};
use crate::lifecycle::selection::{FilterText, Selection};
use crate::lifecycle::shelf::{Listed, Shelf};
use crate::lifecycle::{Lifecycle, LifecycleError, PROGRAM};
use crate::registry::error::RegistryError;
use crate::registry::publications::{Publication, PublicationKind};
use crate::registry::tombstones::Tombstone;
use crate::store::StoreError;

/// Longest wait for servers to let the old generation go: they look at the alias every few seconds.
const LETTING_GO: Duration = Duration::from_secs(15);
/// How often it is tried.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Successors that may have been derived of one generation before something is wrong.
const MOST_NAMES: u32 = 1_000;
/// Names that are suggested in place of an unknown one.
const SUGGESTED: usize = 3;

/// What became of one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The generation that held the documents.
    pub generation: GenerationId,
    /// Whether it was live.
    pub live: bool,
    /// The generation that took its place; `None` when it was changed itself.
    pub successor: Option<GenerationId>,
    /// Chunks that were erased.
    pub chunks: u64,
    /// Who still has the old generation open, which `prune` deletes as soon as they let it go.
    pub still_open: Option<String>,
}

impl Lifecycle {
    /// Erases documents from all complete generations of `alias`, and remembers that they are erased: builds that are under
    /// way leave them out, as do later ones until they are allowed again. Tells which documents they are.
    pub async fn erase(
        &self,
        alias: &AliasName,
        selection: &Selection,
    ) -> Result<(Vec<DocumentId>, Vec<Erased>), LifecycleError> {
        let lease = self.reserve_alias(alias).await?;
        let erased = self.erase_alone(&lease, alias, selection).await;
        lease.release().await;
        erased
    }

    async fn erase_alone(
        &self,
        lease: &Lease,
        alias: &AliasName,
        selection: &Selection,
    ) -> Result<(Vec<DocumentId>, Vec<Erased>), LifecycleError> {
        self.refuse_unknown(alias, &selection.documents).await?;
        let tombstone = Tombstone { erased_at: self.registry.now().await?, reason: selection.reason.clone() };
        if let Some(filter) = &selection.filter {
            self.registry.bury_filter(alias, filter, &tombstone).await?;
        }
        let listing = self.list(alias).await?;
        let documents = &self.selected(&listing, selection).await?;
        // First of all: whatever happens after it, no publish and no rollback brings the documents back.
        self.registry.bury_documents(alias, documents, &tombstone).await?;
        let mut told = Vec::new();
        for listed in listing.generations.iter().rev() {
            let whole = listed.manifest().filter(|manifest| manifest.counts().is_some());
            let Some(manifest) = whole.filter(|_| !listed.is_condemned()) else { continue };
            if let Some(erased) = self.erase_from(lease, &listing, listed, manifest, documents).await? {
                told.push(erased);
            }
        }
        for erased in &mut told {
            if erased.successor.is_some() {
                erased.still_open = self.delete_patiently(&erased.generation).await?;
            }
        }
        Ok((documents.clone(), told))
    }

    /// The documents that are named, and those that a filter finds in any complete generation.
    async fn selected(
        &self,
        listing: &Shelf,
        selection: &Selection,
    ) -> Result<Vec<DocumentId>, LifecycleError> {
        let mut selected: BTreeSet<DocumentId> = selection.documents.iter().cloned().collect();
        if let Some(filter) = &selection.filter {
            for listed in listing.generations.iter().filter(|listed| listed.is_complete()) {
                selected.extend(self.passing(&listed.generation, filter).await?);
            }
        }
        Ok(selected.into_iter().collect())
    }

    async fn passing(
        &self,
        generation: &GenerationId,
        filter: &FilterText,
    ) -> Result<Vec<DocumentId>, LifecycleError> {
        let found = self.store.documents(generation, Some(filter.filter())).await?;
        Ok(found.into_keys().collect())
    }

    /// The documents of a generation that were erased after its build began: by name, or by a filter that they pass.
    pub(crate) async fn erased_since(
        &self,
        generation: &GenerationId,
    ) -> Result<Vec<DocumentId>, LifecycleError> {
        for (filter, tombstone) in self.registry.filters_erased_since(generation).await? {
            let passing = self.passing(generation, &filter).await?;
            self.registry.bury_documents(generation.alias(), &passing, &tombstone).await?;
        }
        Ok(self.registry.erased_but_written(generation).await?)
    }

    /// A name that was never seen is more likely mistyped than a document to be kept away.
    async fn refuse_unknown(
        &self,
        alias: &AliasName,
        documents: &[DocumentId],
    ) -> Result<(), LifecycleError> {
        let tombstones = self.registry.tombstones(alias).await?;
        let mut known: Vec<DocumentId> = tombstones.into_keys().collect();
        known.extend(self.registry.documents(alias).await?.into_iter().map(|record| record.document_id));
        for record in self.registry.generations(alias).await? {
            let written = self.registry.written(&record.generation).await?;
            known.extend(written.into_iter().map(|written| written.document_id));
        }
        known.sort();
        known.dedup();
        let unknown = documents.iter().find(|document| known.binary_search(document).is_err());
        let Some(document) = unknown.cloned() else { return Ok(()) };
        Err(LifecycleError::UnknownDocument { candidates: nearest(&document, known), document })
    }

    /// Erases documents from one complete generation, if it holds any of them.
    async fn erase_from(
        &self,
        lease: &Lease,
        listing: &Shelf,
        listed: &Listed,
        manifest: &Manifest,
        documents: &[DocumentId],
    ) -> Result<Option<Erased>, LifecycleError> {
        let generation = &listed.generation;
        let written = self.registry.written(generation).await?;
        let holds = |document: &DocumentId| written.iter().any(|written| written.document_id == *document);
        // A generation of which nothing is recorded was built by an older version: it may hold anything.
        if !written.is_empty() && !documents.iter().any(holds) {
            return Ok(None);
        }
        let live = listing.is_live(generation);
        let left = self.derive(manifest, documents).await?;
        let chunks = |manifest: &Manifest| manifest.counts().unwrap_or_default().chunks;
        let successor = Some(left.generation.clone()).filter(|successor| successor != generation);
        if let Some(successor) = &successor {
            if live {
                self.replace_live(lease, generation, successor, documents.len()).await?;
            } else if let Some(share) = listing.canary_share(generation) {
                let canary = Canary { generation: successor.clone(), share };
                self.swap_canary(lease, listing, Some(&canary)).await?;
            }
            self.registry.condemn_generation(generation, listing.read_at).await?;
        }
        Ok(Some(Erased {
            generation: generation.clone(),
            live,
            successor,
            chunks: chunks(manifest).saturating_sub(chunks(&left)),
            still_open: None,
        }))
    }

    /// The generation itself, or its successor, without the documents and recorded as such.
    async fn derive(
        &self,
        manifest: &Manifest,
        documents: &[DocumentId],
    ) -> Result<Manifest, LifecycleError> {
        let mut successor = manifest.generation.next();
        for _ in 0..MOST_NAMES {
            let left = match self.store.erase(manifest, documents, &successor).await {
                Err(StoreError::Taken(_)) => {
                    successor = successor.next();
                    continue;
                }
                left => left?,
            };
            if left.generation == manifest.generation {
                self.registry.complete_generation(&left).await?;
            } else {
                self.registry.derive_generation(&manifest.generation, &left).await?;
            }
            self.registry.forget_written(&left.generation, documents).await?;
            let content = self.registry.content_digest(&left.generation).await?;
            self.registry.set_content(&left.generation, &content).await?;
            return Ok(left);
        }
        Err(StoreError::Taken(successor).into())
    }

    async fn replace_live(
        &self,
        lease: &Lease,
        from: &GenerationId,
        to: &GenerationId,
        documents: usize,
    ) -> Result<(), LifecycleError> {
        self.swap(lease, Some(from), to).await?;
        let verdict = Verdict {
            gate: "erasure".to_owned(),
            passed: true,
            detail: format!("the same without {documents} erased documents"),
            forcible: false,
        };
        let publication = Publication {
            kind: PublicationKind::Publish,
            from: Some(from.clone()),
            to: to.clone(),
            at: self.registry.now().await?,
            program: PROGRAM.to_owned(),
            forced: None,
            verdicts: vec![verdict],
            share: None,
            reason: None,
        };
        Ok(self.registry.record_publication(&publication).await?)
    }

    /// Deletes a generation as soon as its readers let it go, within a bound; tells who does not.
    async fn delete_patiently(&self, generation: &GenerationId) -> Result<Option<String>, LifecycleError> {
        let give_up = Instant::now() + LETTING_GO;
        loop {
            match self.delete(generation).await? {
                Fate::Kept(Why::InUse(holder)) if give_up <= Instant::now() => return Ok(Some(holder)),
                Fate::Kept(Why::InUse(_)) => sleep(TRY_AGAIN).await,
                _ => return Ok(None),
            }
        }
    }

    /// The generation to publish or to go back to in place of this one: without documents that were erased after its build
    /// began. Called under the alias's lease.
    pub(super) async fn without_erased(
        &self,
        generation: &GenerationId,
    ) -> Result<GenerationId, LifecycleError> {
        let stored = self.store.generations(generation.alias()).await?;
        let found = stored.into_iter().find(|stored| stored.generation == *generation);
        let Some(manifest) = found.and_then(|found| found.manifest).filter(|it| it.counts().is_some()) else {
            return Ok(generation.clone());
        };
        let erased = self.erased_since(generation).await?;
        if erased.is_empty() {
            return Ok(generation.clone());
        }
        let left = self.derive(&manifest, &erased).await?;
        if left.generation != *generation {
            self.registry.condemn_generation(generation, self.registry.now().await?).await?;
            self.delete(generation).await?;
        }
        Ok(left.generation)
    }

    /// Allows documents again that were erased, for the builds to come.
    pub async fn allow(&self, alias: &AliasName, documents: &[DocumentId]) -> Result<(), LifecycleError> {
        let tombstones = self.registry.tombstones(alias).await?;
        if let Some(document) = documents.iter().find(|document| !tombstones.contains_key(*document)) {
            let candidates = nearest(document, tombstones.keys().cloned().collect());
            return Err(LifecycleError::NotErased { document: document.clone(), candidates });
        }
        self.registry.allow_documents(alias, documents).await.map(drop).map_err(RegistryError::into)
    }
}

/// The known names that are most like an unknown one.
fn nearest(document: &DocumentId, known: Vec<DocumentId>) -> Vec<DocumentId> {
    let likeness = |name: &DocumentId| strsim::jaro_winkler(document.as_str(), name.as_str());
    let mut ranked: Vec<(f64, DocumentId)> = known.into_iter().map(|name| (likeness(&name), name)).collect();
    ranked.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    ranked.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_answered_with_those_most_like_it() {
        let id = |name: &str| DocumentId::parse(name).unwrap();
        let known = vec![id("docs/pump.md"), id("docs/valve.md"), id("docs/pumps.md"), id("x"), id("y")];
        let near = nearest(&id("docs/pumpp.md"), known);
        assert_eq!(near.len(), SUGGESTED);
        assert!(near.iter().take(2).all(|name| name.as_str().contains("pump")), "{near:?}");
    }
}
