//! Writes the embedded store: one directory per generation, one small file per alias.
//! Never runs on an async worker, and never changes a generation that is whole.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lectern_schema::canary::Canary;
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};
use lectern_search::embedded::layout::Layout;
use lectern_search::embedded::lock::{FileLock, LockError};
use lectern_search::filter::Filter;

use super::{IndexState, Point, StoreError, Stored, WriteStore};
use crate::store::embedded::build::Build;

mod alias;
mod build;
mod derive;
mod fault;
mod files;
mod index;
mod points;
mod room;

/// Longest wait for a generation that a reader is about to let go: closing takes milliseconds.
const GENERATION_PATIENCE: Duration = Duration::from_secs(2);

/// An embedded store, for writing.
#[derive(Debug, Clone)]
pub struct EmbeddedStore {
    layout: Layout,
    /// The generations that this process is building.
    builds: Arc<Mutex<HashMap<GenerationId, Arc<Mutex<Build>>>>>,
}

impl EmbeddedStore {
    /// The store in the directory `root`, which is made when something is written.
    pub fn new(root: &Path) -> Self {
        Self { layout: Layout::new(root), builds: Arc::default() }
    }

    fn begin(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let build = Build::create(&self.layout, manifest)?;
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        builds.insert(manifest.generation.clone(), Arc::new(Mutex::new(build)));
        Ok(())
    }

    fn write(&self, generation: &GenerationId, points: Vec<Point>) -> Result<(), StoreError> {
        self.with(generation, |build| build.upsert(points))
    }

    /// Works on the build of a generation, alone.
    fn with<T>(
        &self,
        generation: &GenerationId,
        work: impl FnOnce(&mut Build) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let build = self.build(generation)?;
        let mut build = build.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut build)
    }

    fn finish(&self, manifest: &Manifest, counts: Counts) -> Result<Manifest, StoreError> {
        self.with(&manifest.generation, |build| {
            let sealed = build.seal(manifest, counts);
            self.forget(&manifest.generation);
            sealed
        })
    }

    fn tally(
        &self,
        generation: &GenerationId,
        filter: Option<&Filter>,
    ) -> Result<BTreeMap<DocumentId, u64>, StoreError> {
        if self.layout.manifest(generation)?.is_some_and(|manifest| manifest.counts().is_some()) {
            return derive::documents(&self.layout, generation, filter);
        }
        self.with(generation, |build| build.documents(filter))
    }

    /// The build of a generation: begun by this process, or taken over from one that was interrupted.
    fn build(&self, generation: &GenerationId) -> Result<Arc<Mutex<Build>>, StoreError> {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(build) = builds.get(generation) {
            return Ok(Arc::clone(build));
        }
        let build = Arc::new(Mutex::new(Build::resume(&self.layout, generation)?));
        builds.insert(generation.clone(), Arc::clone(&build));
        Ok(build)
    }

    fn forget(&self, generation: &GenerationId) -> Option<Arc<Mutex<Build>>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).remove(generation)
    }

    fn list(&self, alias: &AliasName) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        for name in files::names(&self.layout.collections())? {
            let Ok(generation) = GenerationId::parse(&name) else { continue };
            if generation.alias() == alias {
                // One torn manifest must not hide the other generations.
                let manifest = self.layout.manifest(&generation).unwrap_or_default();
                found.push(Stored { generation, manifest });
            }
        }
        found.sort_by(|a, b| a.generation.cmp(&b.generation));
        Ok(found)
    }

    fn remove(&self, generation: &GenerationId) -> Result<(), StoreError> {
        if let Some(build) = self.forget(generation) {
            build.lock().unwrap_or_else(PoisonError::into_inner).abandon();
        }
        if !self.layout.generation(generation).is_dir() {
            return Err(StoreError::Missing(generation.clone()));
        }
        let _generation_lock = lock_generation(&self.layout, generation)?;
        let _alias_lock = alias::lock(&self.layout, generation.alias(), generation)?;
        alias::refuse_live(&self.layout, generation)?;
        files::remove_generation(&self.layout, generation)
    }
}

impl WriteStore for EmbeddedStore {
    fn create<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), StoreError>> {
        let (store, manifest) = (self.clone(), manifest.clone());
        blocking("create the generation", move || store.begin(&manifest)).boxed()
    }

    fn upsert<'a>(
        &'a self,
        generation: &'a GenerationId,
        points: Vec<Point>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (store, generation) = (self.clone(), generation.clone());
        blocking("write chunks", move || store.write(&generation, points)).boxed()
    }

    fn flush<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<(), StoreError>> {
        let (store, generation) = (self.clone(), generation.clone());
        blocking("write chunks", move || store.with(&generation, Build::flush)).boxed()
    }

    fn documents<'a>(
        &'a self,
        generation: &'a GenerationId,
        filter: Option<&'a Filter>,
    ) -> BoxFuture<'a, Result<BTreeMap<DocumentId, u64>, StoreError>> {
        let (store, generation, filter) = (self.clone(), generation.clone(), filter.cloned());
        blocking("read chunks back", move || store.tally(&generation, filter.as_ref())).boxed()
    }

    fn delete_documents<'a>(
        &'a self,
        generation: &'a GenerationId,
        documents: &'a [DocumentId],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (store, generation, documents) = (self.clone(), generation.clone(), documents.to_vec());
        let work = move || store.with(&generation, |build| build.delete_documents(&documents));
        blocking("delete chunks", work).boxed()
    }

    fn erase<'a>(
        &'a self,
        manifest: &'a Manifest,
        documents: &'a [DocumentId],
        successor: &'a GenerationId,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        let (layout, manifest) = (self.layout.clone(), manifest.clone());
        let (documents, successor) = (documents.to_vec(), successor.clone());
        let work = move || derive::without(&layout, &manifest, &documents, &successor);
        blocking("derive the generation", work).boxed()
    }

    fn seal<'a>(
        &'a self,
        manifest: &'a Manifest,
        counts: Counts,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        let (store, manifest) = (self.clone(), manifest.clone());
        blocking("seal the generation", move || store.finish(&manifest, counts)).boxed()
    }

    fn index<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<IndexState, StoreError>> {
        let (layout, generation) = (self.layout.clone(), generation.clone());
        blocking("look at the index", move || index::state(&layout, &generation)).boxed()
    }

    fn generations<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        let (store, alias) = (self.clone(), alias.clone());
        blocking("list generations", move || store.list(&alias)).boxed()
    }

    fn live<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Option<GenerationId>, StoreError>> {
        let (layout, alias) = (self.layout.clone(), alias.clone());
        blocking("read the alias", move || Ok(layout.alias_target(&alias)?)).boxed()
    }

    fn swap<'a>(
        &'a self,
        alias: &'a AliasName,
        expected: Option<&'a GenerationId>,
        to: &'a GenerationId,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (layout, alias) = (self.layout.clone(), alias.clone());
        let (expected, to) = (expected.cloned(), to.clone());
        blocking("move the alias", move || alias::swap(&layout, &alias, expected.as_ref(), &to)).boxed()
    }

    fn canary<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Option<Canary>, StoreError>> {
        let (layout, alias) = (self.layout.clone(), alias.clone());
        blocking("read the canary", move || Ok(layout.canary(&alias)?)).boxed()
    }

    fn swap_canary<'a>(
        &'a self,
        alias: &'a AliasName,
        expected: Option<&'a Canary>,
        to: Option<&'a Canary>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (layout, alias) = (self.layout.clone(), alias.clone());
        let (expected, to) = (expected.cloned(), to.cloned());
        let swap = move || alias::swap_canary(&layout, &alias, expected.as_ref(), to.as_ref());
        blocking("move the canary", swap).boxed()
    }

    fn delete<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<(), StoreError>> {
        let (store, generation) = (self.clone(), generation.clone());
        blocking("delete the generation", move || store.remove(&generation)).boxed()
    }
}

/// Runs `work` on a thread that may block; a panic in it is an error here.
async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|fault| StoreError::Refused { action, source: Box::new(fault) })?
}

fn lock_generation(layout: &Layout, generation: &GenerationId) -> Result<FileLock, StoreError> {
    match FileLock::take(&layout.generation_lock(generation), GENERATION_PATIENCE) {
        Ok(lock) => Ok(lock),
        Err(LockError::Held(holder)) => Err(StoreError::Held { generation: generation.clone(), holder }),
        Err(LockError::File(fault)) if !layout.generation(generation).is_dir() => {
            tracing::debug!(%fault, "generation went while it was to be locked");
            Err(StoreError::Missing(generation.clone()))
        }
        Err(LockError::File(fault)) => Err(fault.into()),
    }
}
