//! One generation being built: its shard, under the generation's lock, from the first point to the seal.
//! Never continues after a failed write: what the shard then holds is unknown.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use jiff::Timestamp;
use lectern_schema::chunk::key;
use lectern_schema::embedding::{DENSE_VECTOR, SPARSE_VECTOR};
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{DocumentId, GenerationId};
use lectern_search::embedded::layout::{FileFault, Layout};
use lectern_search::embedded::lock::{FileLock, Locked};
use lectern_search::filter::Filter;
use qdrant_edge::{
    CountRequest, CreateIndex, Distance, EdgeConfig, EdgeShard, EdgeSparseVectorParams, EdgeVectorParams,
    FieldIndexOperations, JsonPath, Modifier, OperationError, PayloadFieldSchema, PayloadSchemaType,
    PointInsertOperations, PointOperations, UpdateOperation,
};

use super::fault::guarded;
use super::points::{self, stored};
use super::{files, lock_generation, room};
use crate::store::{Point, StoreError};

/// Documents deleted with one filter.
const DOCUMENTS_PER_DELETION: usize = 256;

/// A generation being built.
#[derive(Debug)]
pub(super) struct Build {
    generation: GenerationId,
    layout: Layout,
    /// `None` once the build is sealed, abandoned or has failed.
    shard: Option<Locked<EdgeShard>>,
}

impl Build {
    /// Begins a generation in a new directory; takes it back when it cannot be begun.
    pub(super) fn create(layout: &Layout, manifest: &Manifest) -> Result<Self, StoreError> {
        let generation = &manifest.generation;
        if manifest.state != BuildState::Building {
            let source = "its manifest says that it is built".into();
            return Err(StoreError::Refused { action: "create the generation", source });
        }
        files::make_directory(&layout.collections())?;
        files::sweep(layout)?;
        room::for_generation(&layout.collections())?;
        let directory = layout.generation(generation);
        match fs::create_dir(&directory) {
            Ok(()) => {}
            Err(fault) if fault.kind() == ErrorKind::AlreadyExists => {
                return Err(StoreError::Taken(generation.clone()));
            }
            Err(fault) => return Err(FileFault::at("create", &directory)(fault).into()),
        }
        let shard = begin(layout, manifest).inspect_err(|_| {
            if let Err(fault) = files::remove_generation(layout, generation) {
                tracing::warn!(%generation, %fault, "generation that was not begun is left behind");
            }
        })?;
        Ok(Self::open(layout, generation, shard))
    }

    /// Takes over the build of a process that was interrupted. What it wrote last may be missing.
    pub(super) fn resume(layout: &Layout, generation: &GenerationId) -> Result<Self, StoreError> {
        if !layout.generation(generation).is_dir() {
            return Err(StoreError::Missing(generation.clone()));
        }
        let lock = lock_generation(layout, generation)?;
        match layout.manifest(generation)? {
            Some(manifest) if manifest.counts().is_none() => {}
            Some(_) => return Err(StoreError::sealed(generation)),
            None => return Err(StoreError::incomplete(generation)),
        }
        let path = layout.shard(generation);
        let shard = guarded("open", &path, || EdgeShard::load(&path, None))?;
        Ok(Self::open(layout, generation, Locked::new(shard, lock)))
    }

    fn open(layout: &Layout, generation: &GenerationId, shard: Locked<EdgeShard>) -> Self {
        Self { generation: generation.clone(), layout: layout.clone(), shard: Some(shard) }
    }

    /// Writes points. A failure ends the build.
    pub(super) fn upsert(&mut self, points: Vec<Point>) -> Result<(), StoreError> {
        self.shard()?;
        room::for_points(&self.path(), &points)?;
        let points = points.into_iter().map(stored).collect::<Result<Vec<_>, _>>()?;
        let insert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(points));
        self.change("write", |shard| shard.update(UpdateOperation::PointOperation(insert)))
    }

    /// Writes to the disk what the engine still holds in memory: without it, a killed process takes that along, since the
    /// engine does not replay its log. A failure ends the build.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.change("flush", |shard| {
            shard.flush();
            Ok(())
        })
    }

    /// Deletes documents, a bounded number at a time. A failure ends the build.
    pub(super) fn delete_documents(&mut self, documents: &[DocumentId]) -> Result<(), StoreError> {
        for batch in documents.chunks(DOCUMENTS_PER_DELETION) {
            let filter = points::of_documents(batch)?;
            let delete = PointOperations::DeletePointsByFilter(filter);
            self.change("delete from", |shard| shard.update(UpdateOperation::PointOperation(delete)))?;
        }
        Ok(())
    }

    /// How many chunks of which documents there are that pass the filter.
    pub(super) fn documents(&self, filter: Option<&Filter>) -> Result<BTreeMap<DocumentId, u64>, StoreError> {
        points::documents(self.shard()?, &self.path(), filter)
    }

    fn shard(&self) -> Result<&EdgeShard, StoreError> {
        self.shard.as_ref().and_then(Locked::get).ok_or_else(|| StoreError::ended(&self.generation))
    }

    fn change(
        &mut self,
        action: &'static str,
        change: impl FnOnce(&EdgeShard) -> Result<(), OperationError>,
    ) -> Result<(), StoreError> {
        let path = self.path();
        let shard = self.shard()?;
        let changed = guarded(action, &path, || change(shard));
        if changed.is_err() {
            self.abandon();
        }
        changed
    }

    /// Builds the index, closes the shard, counts what a reader will find on the disk, and only then marks the
    /// generation complete.
    pub(super) fn seal(&mut self, manifest: &Manifest, counts: Counts) -> Result<Manifest, StoreError> {
        let path = self.path();
        let parts = self.shard.take().and_then(Locked::into_parts);
        let (shard, _lock) = parts.ok_or_else(|| StoreError::ended(&self.generation))?;
        room::for_index(&path)?;
        guarded("index", &path, || shard.optimize().map(drop))?;
        guarded("close", &path, || {
            drop(shard);
            Ok(())
        })?;
        let found = guarded("count", &path, || {
            EdgeShard::load(&path, None)?.count(CountRequest { filter: None, exact: true })
        })?;
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        if found != counts.chunks {
            let generation = self.generation.clone();
            return Err(StoreError::Torn { generation, expected: counts.chunks, found });
        }
        files::sync_all(&path)?;
        let sealed = Manifest {
            state: BuildState::Complete(counts),
            written_at: Timestamp::now(),
            ..manifest.clone()
        };
        write_manifest(&self.layout, &sealed)?;
        Ok(sealed)
    }

    /// Closes the shard and lets the generation go, as it is.
    pub(super) fn abandon(&mut self) {
        let Some((shard, lock)) = self.shard.take().and_then(Locked::into_parts) else { return };
        let closed = guarded("close", &self.path(), || {
            drop(shard);
            Ok(())
        });
        if let Err(fault) = closed {
            tracing::warn!(generation = %self.generation, %fault, "abandoned build did not close");
        }
        drop(lock);
    }

    fn path(&self) -> PathBuf {
        self.layout.shard(&self.generation)
    }
}

/// Fills a new generation's directory: lock, manifest, empty shard.
fn begin(layout: &Layout, manifest: &Manifest) -> Result<Locked<EdgeShard>, StoreError> {
    let lock: FileLock = lock_generation(layout, &manifest.generation)?;
    write_manifest(layout, manifest)?;
    let path = layout.shard(&manifest.generation);
    files::make_directory(&path)?;
    let config = config(manifest)?;
    let shard = guarded("create", &path, || {
        let shard = EdgeShard::new(&path, config)?;
        for name in [key::DOCUMENT_ID, key::TENANT] {
            shard.update(keyword_index(name)?)?;
        }
        Ok(shard)
    })?;
    Ok(Locked::new(shard, lock))
}

fn write_manifest(layout: &Layout, manifest: &Manifest) -> Result<(), StoreError> {
    let path = layout.manifest_file(&manifest.generation);
    let json =
        serde_json::to_vec_pretty(manifest).map_err(|fault| FileFault::at("write", &path)(fault.into()))?;
    files::replace(&path, &json)
}

/// Vectors in memory, where searches of an embedded store's size are fastest; payload on the disk, where only hits read it.
fn config(manifest: &Manifest) -> Result<EdgeConfig, StoreError> {
    let dimension = manifest.fingerprint.encoding.embedding.dimension;
    let size = usize::try_from(dimension)
        .map_err(|fault| StoreError::Refused { action: "create the generation", source: fault.into() })?;
    let dense = EdgeVectorParams::builder(size, Distance::Cosine).build();
    let sparse = EdgeSparseVectorParams::builder().modifier(Modifier::Idf).build();
    Ok(EdgeConfig::builder().vector(DENSE_VECTOR, dense).sparse_vector(SPARSE_VECTOR, sparse).build())
}

fn keyword_index(name: &str) -> Result<UpdateOperation, OperationError> {
    let field_name: JsonPath =
        name.parse().map_err(|()| OperationError::validation_error(format!("`{name}` is not a path")))?;
    let field_schema = Some(PayloadFieldSchema::FieldType(PayloadSchemaType::Keyword));
    Ok(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(CreateIndex {
        field_name,
        field_schema,
    })))
}
