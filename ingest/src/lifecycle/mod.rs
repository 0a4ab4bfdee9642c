//! The life of generations after they are built: published, rolled back, listed, pruned, verified.
//! Never builds a generation, and never trusts the registry on what is live: the store's alias is the only truth.

use std::sync::Arc;

use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};

use crate::lifecycle::gate::Verdict;
use crate::lifecycle::lease::{Holder, Lease};
use crate::lifecycle::shelf::Shelf;
use crate::partition::Assignment;
use crate::registry::Registry;
use crate::registry::error::RegistryError;
use crate::registry::leases::LeaseName;
use crate::store::{StoreError, WriteStore};

pub mod canary;
pub mod erase;
pub mod gate;
pub mod lease;
mod leftover;
mod process;
pub mod prune;
pub mod publish;
pub mod rollback;
pub mod selection;
pub mod shelf;
pub mod verify;

/// The program, as registry and refusals name it.
pub const PROGRAM: &str = concat!("lectern-ingest ", env!("CARGO_PKG_VERSION"));

/// Everything that can be done with built generations, in one store with one registry.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    store: Arc<dyn WriteStore>,
    registry: Registry,
    holder: Holder,
}

impl Lifecycle {
    /// Works on `store` and `registry` in the name of `holder`.
    pub fn new(store: Arc<dyn WriteStore>, registry: Registry, holder: Holder) -> Self {
        Self { store, registry, holder }
    }

    /// All generations of `alias` with what store and registry know of them, oldest first.
    pub async fn list(&self, alias: &AliasName) -> Result<Shelf, LifecycleError> {
        Shelf::read(self.store.as_ref(), &self.registry, alias).await
    }

    /// Reserves a generation for its build. While the lease is held nobody else builds or prunes the generation.
    pub async fn reserve_build(&self, generation: &GenerationId) -> Result<Lease, RegistryError> {
        Lease::take(&self.registry, LeaseName::of_generation(generation), &self.holder).await
    }

    /// Reserves a generation, without waiting for whoever has it.
    pub(crate) async fn reserve_now(&self, generation: &GenerationId) -> Result<Lease, RegistryError> {
        Lease::take_now(&self.registry, LeaseName::of_generation(generation), &self.holder).await
    }

    /// Reserves one partition of a build that several workers share.
    pub(crate) async fn reserve_partition(&self, assignment: &Assignment) -> Result<Lease, RegistryError> {
        Lease::take(&self.registry, LeaseName::of_partition(assignment), &self.holder).await
    }

    async fn reserve_alias(&self, alias: &AliasName) -> Result<Lease, RegistryError> {
        Lease::take(&self.registry, LeaseName::of_alias(alias), &self.holder).await
    }

    /// Points the alias elsewhere, if the lease is still ours and the alias still where it was, and looks again.
    async fn swap(
        &self,
        lease: &Lease,
        from: Option<&GenerationId>,
        to: &GenerationId,
    ) -> Result<(), LifecycleError> {
        let alias = to.alias();
        lease.confirm().await?;
        self.store.swap(alias, from, to).await?;
        let found = self.store.live(alias).await?;
        if found.as_ref() == Some(to) { Ok(()) } else { Err(moved(alias, Some(to), found)) }
    }
}

fn moved(alias: &AliasName, expected: Option<&GenerationId>, found: Option<GenerationId>) -> LifecycleError {
    LifecycleError::Store(StoreError::moved(alias, expected, found))
}

/// Why an alias was not moved, or a generation not deleted.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The vector store failed, or somebody else moved the alias.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry failed, or somebody else is at work.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Correct the name.
    #[error("generation `{generation}` does not exist: {}", choice(.candidates))]
    Unknown {
        /// What was named.
        generation: GenerationId,
        /// What could be named.
        candidates: Vec<GenerationId>,
    },
    /// Correct the name.
    #[error("no document is called `{document}`: {}", alike(.candidates))]
    UnknownDocument {
        /// What was named.
        document: DocumentId,
        /// Names that are like it.
        candidates: Vec<DocumentId>,
    },
    /// Correct the name, or leave it out.
    #[error("document `{document}` was not deleted: {}", alike(.candidates))]
    NotErased {
        /// What was named.
        document: DocumentId,
        /// Names that are like it.
        candidates: Vec<DocumentId>,
    },
    /// Finish the build, or choose another generation.
    #[error(
        "generation `{0}` is not complete: its build is still running, has failed or was abandoned; build again"
    )]
    Incomplete(GenerationId),
    /// Moving back is a rollback.
    #[error(
        "generation `{generation}` is older than the live `{live}`: to go back to it, use `lectern-ingest rollback --to {generation}`"
    )]
    Older {
        /// What was to be published.
        generation: Box<GenerationId>,
        /// What is live.
        live: Box<GenerationId>,
    },
    /// Look at the verdicts; build again, or force with a reason where that is possible.
    #[error("generation `{generation}` was not published: {}", refusals(.verdicts))]
    Gated {
        /// What was to be published.
        generation: GenerationId,
        /// All verdicts, passed ones too.
        verdicts: Vec<Verdict>,
    },
    /// Promote or withdraw the other one first.
    #[error("`{0}` is the canary: promote or withdraw it first, with `lectern-ingest promote` or `withdraw`")]
    CanaryRuns(GenerationId),
    /// Begin one first.
    #[error("alias `{0}` has no canary: begin one with `lectern-ingest publish GENERATION --canary PERCENT`")]
    NoCanary(AliasName),
    /// Publish something first.
    #[error("alias `{0}` points at nothing: publish a generation first, `lectern-ingest list` shows them")]
    NothingLive(AliasName),
    /// Name a generation, or build again.
    #[error(
        "alias `{alias}` has no older generation that was live before: {}", choice(.candidates)
    )]
    NothingBefore {
        /// The alias.
        alias: AliasName,
        /// What could be named with `--to`.
        candidates: Vec<GenerationId>,
    },
    /// Publish it instead.
    #[error(
        "generation `{0}` was never live, so it is not a rollback: use `lectern-ingest publish {0}`, which asks the gates"
    )]
    NeverLive(GenerationId),
    /// The alias was moved; only the registry does not know.
    #[error(
        "alias now points at `{to}`, but the registry could not record it: run `lectern-ingest publish {to}` to record it"
    )]
    Unrecorded {
        /// What is live.
        to: Box<GenerationId>,
        /// Why it was not recorded.
        #[source]
        source: Box<RegistryError>,
    },
}

fn choice(candidates: &[GenerationId]) -> String {
    if candidates.is_empty() {
        return "there is no other complete generation".to_owned();
    }
    let names: Vec<String> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
    format!("there are {}", names.join(", "))
}

fn alike(candidates: &[DocumentId]) -> String {
    if candidates.is_empty() {
        return "there are none".to_owned();
    }
    let names: Vec<String> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
    format!("the names most like it are {}", names.join(", "))
}

fn refusals(verdicts: &[Verdict]) -> String {
    let refused: Vec<String> =
        verdicts.iter().filter(|verdict| !verdict.passed).map(Verdict::to_string).collect();
    refused.join("; ")
}
