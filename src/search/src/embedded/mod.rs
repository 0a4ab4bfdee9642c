//! Reads the embedded store: the Qdrant engine in this process, one directory per generation.
//! Never changes a generation: its shard sits in a private field, and nothing here updates it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lectern_resilience::deadline::Deadline;
use lectern_schema::fingerprint::Encoding;
use lectern_schema::identifiers::{AliasName, GenerationId};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use crate::embedded::collection::EmbeddedCollection;
use crate::embedded::layout::Layout;
use crate::error::{OpenError, SearchError};
use crate::{Collection, Resolved, Search, manifest};

mod collection;
pub mod filter;
pub mod layout;
pub mod lock;
mod stored;
mod work;

/// Longest wait for a generation that somebody is about to let go: this process after its last request, or an ingest
/// after its gates. Closing a shard takes milliseconds, so that a holder still there after this long is there to stay.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// An embedded store, for reading.
#[derive(Debug)]
pub struct EmbeddedStore {
    layout: Layout,
    /// Queries occupy a core each, so that more of them at once would only make each other late.
    cores: Arc<Semaphore>,
    open: Mutex<HashMap<GenerationId, Arc<Slot>>>,
}

/// An open generation is shared by all who ask for it, and gone with the last of them. The lock makes the ones who ask
/// while it is being loaded wait for the one load.
type Slot = AsyncMutex<Weak<EmbeddedCollection>>;

impl EmbeddedStore {
    /// The store in the directory `root`, which need not exist before something is asked of it.
    pub fn new(root: &Path) -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self { layout: Layout::new(root), cores: Arc::new(Semaphore::new(cores)), open: Mutex::default() }
    }

    async fn resolve_alias(&self, alias: &AliasName, deadline: Deadline) -> Result<Resolved, SearchError> {
        let (layout, name) = (self.layout.clone(), alias.clone());
        let read = move || {
            let live = layout.alias_target(&name).map_err(SearchError::from)?;
            Ok::<_, SearchError>(live.map(|live| (live, layout.canary(&name).unwrap_or_default())))
        };
        let (live, canary) =
            work::run(deadline, read).await?.ok_or_else(|| SearchError::UnknownAlias(alias.clone()))?;
        Ok(Resolved { live, canary })
    }

    async fn open_generation(
        &self,
        generation: &GenerationId,
        encoding: &Encoding,
        deadline: Deadline,
    ) -> Result<Arc<dyn Collection>, OpenError> {
        let slot = self.slot(generation);
        let mut shared = work::by(deadline, slot.lock()).await?;
        if let Some(collection) = shared.upgrade() {
            manifest::check(collection.manifest(), encoding)?;
            return Ok(collection);
        }
        let patience = LOCK_PATIENCE.min(deadline.remaining(Instant::now()));
        let (layout, cores) = (self.layout.clone(), Arc::clone(&self.cores));
        let (generation, encoding) = (generation.clone(), encoding.clone());
        let collection = work::run(deadline, move || {
            EmbeddedCollection::load(&layout, &generation, &encoding, patience, cores)
        })
        .await?;
        let collection = Arc::new(collection);
        *shared = Arc::downgrade(&collection);
        Ok(collection)
    }

    fn slot(&self, generation: &GenerationId) -> Arc<Slot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A slot that only this map knows, with nothing open in it, is of no use to anybody.
        open.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|shared| shared.strong_count() > 0)
        });
        Arc::clone(open.entry(generation.clone()).or_default())
    }
}

impl Search for EmbeddedStore {
    fn resolve<'a>(
        &'a self,
        alias: &'a AliasName,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Resolved, SearchError>> {
        self.resolve_alias(alias, deadline).boxed()
    }

    fn open<'a>(
        &'a self,
        generation: &'a GenerationId,
        encoding: &'a Encoding,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Arc<dyn Collection>, OpenError>> {
        self.open_generation(generation, encoding, deadline).boxed()
    }
}
