//! All generations of an alias, side by side as store and registry know them. The store is right where they differ.
//! Never changes either.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lectern_schema::canary::{Canary, Share};
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::lifecycle::{LifecycleError, process};
use crate::registry::Registry;
use crate::registry::divisions::Division;
use crate::registry::examinations::Examination;
use crate::registry::generations::{GenerationRecord, GenerationState};
use crate::registry::leases::LeaseName;
use crate::store::{Stored, WriteStore};

/// The generations of one alias.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelf {
    /// The alias.
    pub alias: AliasName,
    /// What it points at, as the store says.
    pub live: Option<GenerationId>,
    /// What serves a share beside it, as the store says.
    pub canary: Option<Canary>,
    /// Its generations, oldest first.
    pub generations: Vec<Listed>,
    /// The builds that several workers share and that have not ended.
    pub divisions: Vec<Division>,
    /// When it was read, by the registry's clock.
    pub read_at: Timestamp,
}

/// One generation as store and registry know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub generation: GenerationId,
    /// What the store says of it.
    pub condition: Condition,
    /// What the registry says of it, `None` when it never heard of it.
    pub record: Option<GenerationRecord>,
    /// Who builds or deletes it now, and is not known to have died.
    pub holder: Option<String>,
    /// What the gates said of it last, `None` when they were not asked.
    pub examination: Option<Examination>,
}

/// What the store says of a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All of it is there.
    Complete(Counts, Box<Manifest>),
    /// Its build runs, failed or was abandoned.
    Building(Box<Manifest>),
    /// It is there without a manifest that can be read.
    Torn,
    /// The registry remembers it, the store does not have it.
    Missing,
}

/// Whether a generation was live at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasLive {
    /// It was, and the registry knows.
    Yes,
    /// It was not.
    Never,
    /// The registry does not know the generation: it may have been.
    Unknown,
}

impl Listed {
    /// Its counts, when it is complete.
    pub fn counts(&self) -> Option<Counts> {
        match self.condition {
            Condition::Complete(counts, _) => Some(counts),
            _ => None,
        }
    }

    /// Its manifest, when the store has one that can be read.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.condition {
            Condition::Complete(_, manifest) | Condition::Building(manifest) => Some(manifest),
            Condition::Torn | Condition::Missing => None,
        }
    }

    /// Digest of what it was built with, as far as it is known.
    pub fn fingerprint(&self) -> Option<String> {
        let recorded = || self.record.as_ref().map(|record| record.fingerprint.clone());
        self.manifest().map(|manifest| manifest.fingerprint.digest()).or_else(recorded)
    }

    /// Time since it was named.
    pub fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.generation.named_at())).unwrap_or_default()
    }

    /// Whether it was live at some time.
    pub fn was_live(&self) -> WasLive {
        match &self.record {
            None => WasLive::Unknown,
            Some(record) if record.published_at.is_some() => WasLive::Yes,
            Some(_) => WasLive::Never,
        }
    }

    /// Whether it is still in the store although it must not be used any more: documents were erased, and a successor without
    /// them took its place.
    pub fn is_condemned(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.condemned_at.is_some())
    }

    /// Whether all of it is in the store.
    pub fn is_complete(&self) -> bool {
        self.counts().is_some()
    }
}

impl Shelf {
    /// Reads store and registry.
    pub async fn read(
        store: &dyn WriteStore,
        registry: &Registry,
        alias: &AliasName,
    ) -> Result<Self, LifecycleError> {
        // The alias first: a generation published in between is then at worst listed as not live yet.
        let live = store.live(alias).await?;
        let canary = store.canary(alias).await?;
        let stored = store.generations(alias).await?;
        let records = registry.generations(alias).await?;
        let mut divisions = registry.divisions(alias).await?;
        divisions.retain(|division| division.outcome.is_none());
        let mut examinations = registry.last_examinations(alias).await?;
        let read_at = registry.now().await?;
        let mut generations = merge(stored, records, live.as_ref());
        for listed in &mut generations {
            let name = LeaseName::of_generation(&listed.generation);
            listed.examination = examinations.remove(&listed.generation);
            let holding = registry.lease_holder(&name, read_at).await?;
            let living = holding.filter(|holding| !holding.process.as_deref().is_some_and(process::has_died));
            listed.holder = living.map(|holding| holding.holder);
            let division = divisions.iter().find(|division| division.generation == listed.generation);
            if let (None, Some(division)) = (&listed.holder, division) {
                listed.holder =
                    registry.partition_holder(division, alias, read_at, process::has_died).await?;
            }
        }
        Ok(Self { alias: alias.clone(), live, canary, generations, divisions, read_at })
    }

    /// The generation of this name.
    pub fn find(&self, generation: &GenerationId) -> Option<&Listed> {
        self.generations.iter().find(|listed| listed.generation == *generation)
    }

    /// The build that several workers share and that writes the generation, if there is one.
    pub fn division(&self, generation: &GenerationId) -> Option<&Division> {
        self.divisions.iter().find(|division| division.generation == *generation)
    }

    /// The live generation.
    pub fn live(&self) -> Option<&Listed> {
        self.live.as_ref().and_then(|live| self.find(live))
    }

    /// Whether it is the live generation.
    pub fn is_live(&self, generation: &GenerationId) -> bool {
        self.live.as_ref() == Some(generation)
    }

    /// The share of the traffic that the generation serves as a canary. The live one is none, although a promotion that
    /// died half-way may have left it marked as one.
    pub fn canary_share(&self, generation: &GenerationId) -> Option<Share> {
        let canary = self.canary.as_ref().filter(|canary| canary.generation == *generation);
        canary.filter(|_| !self.is_live(generation)).map(|canary| canary.share)
    }

    /// Whether servers answer from the generation, be it only a share of the traffic.
    pub fn is_served(&self, generation: &GenerationId) -> bool {
        self.is_live(generation) || self.canary_share(generation).is_some()
    }

    /// Complete generations that are not live, oldest first.
    pub fn others(&self) -> impl DoubleEndedIterator<Item = &Listed> {
        let usable = |listed: &&Listed| {
            listed.is_complete() && !listed.is_condemned() && !self.is_live(&listed.generation)
        };
        self.generations.iter().filter(usable)
    }
}

/// Deleted generations and ones whose build never reached the store are left out; the live one never is.
fn merge(stored: Vec<Stored>, records: Vec<GenerationRecord>, live: Option<&GenerationId>) -> Vec<Listed> {
    let missing = |generation: GenerationId, record| Listed {
        generation,
        condition: Condition::Missing,
        record,
        holder: None,
        examination: None,
    };
    let mut merged: BTreeMap<GenerationId, Listed> = records
        .into_iter()
        .map(|record| (record.generation.clone(), missing(record.generation.clone(), Some(record))))
        .collect();
    for Stored { generation, manifest } in stored {
        let listed = merged.entry(generation.clone()).or_insert_with(|| missing(generation, None));
        listed.condition = manifest.map_or(Condition::Torn, condition);
    }
    if let Some(live) = live {
        merged.entry(live.clone()).or_insert_with(|| missing(live.clone(), None));
    }
    merged.into_values().filter(|listed| is_of_interest(listed, live)).collect()
}

fn condition(manifest: Manifest) -> Condition {
    match manifest.counts() {
        Some(counts) => Condition::Complete(counts, Box::new(manifest)),
        None => Condition::Building(Box::new(manifest)),
    }
}

fn is_of_interest(listed: &Listed, live: Option<&GenerationId>) -> bool {
    let remembered_complete =
        listed.record.as_ref().is_some_and(|record| record.state == GenerationState::Complete);
    listed.condition != Condition::Missing || remembered_complete || live == Some(&listed.generation)
}
