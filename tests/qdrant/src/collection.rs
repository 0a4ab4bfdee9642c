//! One collection: its shard, its settings, its directory.
//! Never knows its aliases, nor whether it can still be reached by its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use prost::Message;
use qdrant_client::qdrant::{CreateCollection, UpdateCollection};
use qdrant_edge::{EdgeShard, OperationError, UpdateOperation};
use tonic::Status;
use uuid::Uuid;

use crate::convert::config;
use crate::convert::vectors::Shape;
use crate::status::{engine, internal};

/// Holds the settings: a `CreateCollection` message, brought up to date. A directory without it is no collection.
const SETTINGS_FILE: &str = "collection.pb";
const SHARD_DIRECTORY: &str = "shard";

/// A collection. Searches share the shard, a write has it alone.
#[derive(Debug)]
pub(crate) struct Collection {
    shard: RwLock<EdgeShard>,
    settings: RwLock<CreateCollection>,
    shape: Shape,
    optimizing: AtomicBool,
    // After the shard: it must be closed before its directory goes.
    directory: Directory,
}

/// The directory of a collection: removed with the last use of a deleted collection.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    doomed: AtomicBool,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire) {
            // What is left is swept at the next start: a directory without settings is no collection.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Collection {
    /// Makes an empty collection in a directory of its own below `parent`, whatever other collections are called.
    pub(crate) fn create(parent: &Path, settings: CreateCollection) -> Result<Self, Status> {
        let shape = config::shape(&settings)?;
        let engine_config = config::engine_config(&settings)?;
        let path = parent.join(Uuid::new_v4().to_string());
        let directory = Directory { path, doomed: AtomicBool::new(true) };
        let shard_path = directory.path.join(SHARD_DIRECTORY);
        fs::create_dir_all(&shard_path).map_err(internal)?;
        let shard = EdgeShard::new(&shard_path, engine_config).map_err(|error| engine(&error))?;
        write_settings(&directory.path, &settings)?;
        directory.doomed.store(false, Ordering::Release);
        Ok(Self::of(directory, shard, settings, shape))
    }

    /// Opens what [`Self::create`] made; `None` when `path` is no whole collection.
    pub(crate) fn load(path: PathBuf) -> Result<Option<Self>, Status> {
        let bytes = match fs::read(path.join(SETTINGS_FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(internal(error)),
        };
        let settings = CreateCollection::decode(bytes.as_slice()).map_err(internal)?;
        let shape = config::shape(&settings)?;
        let shard = EdgeShard::load(&path.join(SHARD_DIRECTORY), None).map_err(|error| engine(&error))?;
        let directory = Directory { path, doomed: AtomicBool::new(false) };
        Ok(Some(Self::of(directory, shard, settings, shape)))
    }

    fn of(directory: Directory, shard: EdgeShard, settings: CreateCollection, shape: Shape) -> Self {
        Self {
            shard: RwLock::new(shard),
            settings: RwLock::new(settings),
            shape,
            optimizing: AtomicBool::new(false),
            directory,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).collection_name.clone()
    }

    pub(crate) fn settings(&self) -> CreateCollection {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The shard, shared with other readers.
    pub(crate) fn shard(&self) -> RwLockReadGuard<'_, EdgeShard> {
        self.shard.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to the shard, then has its index brought up to date in the background.
    pub(crate) fn write(self: &Arc<Self>, operation: UpdateOperation) -> Result<(), OperationError> {
        self.shard.write().unwrap_or_else(PoisonError::into_inner).update(operation)?;
        if !self.optimizing.swap(true, Ordering::AcqRel) {
            let collection = Arc::clone(self);
            // Its owner is the server's runtime, which waits for blocking work when it stops.
            tokio::task::spawn_blocking(move || collection.optimize());
        }
        Ok(())
    }

    /// Whether the index is being built.
    pub(crate) fn optimizing(&self) -> bool {
        self.optimizing.load(Ordering::Acquire)
    }

    fn optimize(&self) {
        let shard = self.shard();
        // An index that cannot be built costs time, not answers: the engine searches without it.
        let _ = shard.optimize();
        // Before the shard is let go, so that the next write starts another round.
        self.optimizing.store(false, Ordering::Release);
    }

    /// Changes the settings, in the engine and on disk.
    pub(crate) fn update(&self, update: UpdateCollection) -> Result<(), Status> {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = settings.clone();
        let reindex = update.hnsw_config.is_some() || update.optimizers_config.is_some();
        config::merge(&mut changed, update)?;
        if reindex {
            let shard = self.shard();
            let hnsw = config::hnsw(changed.hnsw_config.as_ref())?;
            let optimizers = config::optimizers(changed.optimizers_config.as_ref())?;
            shard.set_hnsw_config(hnsw).map_err(|error| engine(&error))?;
            shard.set_optimizers_config(optimizers).map_err(|error| engine(&error))?;
            shard.optimize().map_err(|error| engine(&error))?;
        }
        write_settings(&self.directory.path, &changed)?;
        *settings = changed;
        Ok(())
    }

    /// Has the directory removed once nobody uses the collection any more; at once it is no collection any more.
    pub(crate) fn doom(&self) -> Result<(), Status> {
        fs::remove_file(self.directory.path.join(SETTINGS_FILE)).map_err(internal)?;
        self.directory.doomed.store(true, Ordering::Release);
        Ok(())
    }
}

fn write_settings(directory: &Path, settings: &CreateCollection) -> Result<(), Status> {
    replace_file(&directory.join(SETTINGS_FILE), &settings.encode_to_vec()).map_err(internal)
}

/// Replaces a file by a whole new one, so that a stop in between leaves the old one.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}
