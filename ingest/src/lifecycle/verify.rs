//! Compares store and registry: what is missing, torn, or unknown, and what to do about it.
//! Never repairs.

use lectern_schema::identifiers::{AliasName, GenerationId};

use crate::lifecycle::shelf::{Condition, Listed, Shelf};
use crate::lifecycle::{Lifecycle, LifecycleError};
use crate::partition::Partition;
use crate::registry::divisions::Division;
use crate::registry::generations::GenerationState;

/// A difference between what should be and what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// Servers cannot answer.
    #[error(
        "`{0}` is live but not in the store: roll back to another generation, or build and publish a new one"
    )]
    LiveMissing(GenerationId),
    /// Servers refuse it.
    #[error("`{0}` is live but not whole: roll back to another generation, or build and publish a new one")]
    LiveTorn(GenerationId),
    /// It cannot be rolled back to.
    #[error("`{0}` is in the registry but not in the store: `lectern-ingest prune` forgets it")]
    Missing(GenerationId),
    /// A leftover.
    #[error(
        "`{0}` is in the store without a readable manifest: `lectern-ingest prune` deletes it once it is old enough"
    )]
    Torn(GenerationId),
    /// A leftover of a build.
    #[error(
        "`{0}` was begun and nobody builds it: build again, or let `lectern-ingest prune` delete it once it is old enough"
    )]
    Abandoned(GenerationId),
    /// A build of several workers, of which some are missing.
    #[error(
        "`{generation}` waits for {}: run them, or let `lectern-ingest prune` delete it once it is old enough", Partition::named(.missing)
    )]
    Unfinished {
        /// The generation.
        generation: GenerationId,
        /// The partitions that are not done.
        missing: Vec<Partition>,
    },
    /// A build of several workers that is only to be sealed.
    #[error("`{0}` is written and nobody finishes it: run any of its partitions again")]
    Unsealed(GenerationId),
    /// Built by somebody with another registry.
    #[error(
        "`{0}` is in the store but not in the registry: another registry built it; publish it to adopt it"
    )]
    Surplus(GenerationId),
    /// The store lost or gained chunks since the build.
    #[error("`{0}` holds other counts than its build recorded: build again")]
    Changed(GenerationId),
}

impl Lifecycle {
    /// Everything that is not as it should be under `alias`, oldest generation first; nothing when all is well.
    pub async fn verify(&self, alias: &AliasName) -> Result<Vec<Finding>, LifecycleError> {
        let listing = self.list(alias).await?;
        Ok(listing.generations.iter().filter_map(|listed| finding(&listing, listed)).collect())
    }
}

fn finding(shelf: &Shelf, listed: &Listed) -> Option<Finding> {
    let generation = listed.generation.clone();
    let live = shelf.is_live(&generation);
    match &listed.condition {
        Condition::Missing if live => Some(Finding::LiveMissing(generation)),
        Condition::Missing => Some(Finding::Missing(generation)),
        Condition::Torn | Condition::Building(_) if live => Some(Finding::LiveTorn(generation)),
        Condition::Torn => Some(Finding::Torn(generation)),
        Condition::Building(_) if listed.holder.is_some() => None,
        Condition::Building(_) => match shelf.division(&generation).map(Division::missing) {
            Some(missing) if missing.is_empty() => Some(Finding::Unsealed(generation)),
            Some(missing) => Some(Finding::Unfinished { generation, missing }),
            None => Some(Finding::Abandoned(generation)),
        },
        Condition::Complete(counts, _) => match &listed.record {
            None => Some(Finding::Surplus(generation)),
            Some(record) => {
                let changed = record.state == GenerationState::Complete
                    && record.counts.is_some_and(|recorded| recorded != *counts);
                changed.then_some(Finding::Changed(generation))
            }
        },
    }
}
