//! Derives a generation from another one, without some of its documents: copied under a name that nobody reads, changed,
//! sealed, and only then given its own name.
//! Never changes the generation that it derives from, which a server may have open.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use lectern_schema::generation::{BuildState, Manifest};
use lectern_schema::identifiers::{DocumentId, GenerationId};
use lectern_search::embedded::layout::{FileFault, Layout};
use lectern_search::embedded::lock::FileLock;
use lectern_search::filter::Filter;
use qdrant_edge::{EdgeShard, PointOperations, UpdateOperation};
use uuid::Uuid;

use super::fault::guarded;
use super::{files, points, room};
use crate::store::{StoreError, counts};

/// Documents deleted with one filter.
const DOCUMENTS_PER_DELETION: usize = 256;

/// Makes `successor`: all of the generation but these documents.
pub(super) fn without(
    layout: &Layout,
    manifest: &Manifest,
    documents: &[DocumentId],
    successor: &GenerationId,
) -> Result<Manifest, StoreError> {
    files::sweep(layout)?;
    let home = layout.collections().join(format!("{}{}", files::DERIVED, Uuid::new_v4()));
    files::make_directory(&home)?;
    let derived = fill(layout, manifest, documents, successor, &home);
    if derived.is_err() {
        let _ = fs::remove_dir_all(&home);
    }
    derived
}

/// What [`points::documents`] tells of a complete generation: read from a copy, since a server may have it open.
pub(super) fn documents(
    layout: &Layout,
    generation: &GenerationId,
    filter: Option<&Filter>,
) -> Result<BTreeMap<DocumentId, u64>, StoreError> {
    let original = layout.shard(generation);
    room::for_index(&original)?;
    let home = tempfile::Builder::new().prefix(files::DERIVED).tempdir_in(layout.collections());
    let home = home.map_err(FileFault::at("create a directory in", &layout.collections()))?;
    let _lock = FileLock::take(&home.path().join("LOCK"), Duration::ZERO)
        .map_err(|fault| StoreError::Refused { action: "read the generation", source: fault.into() })?;
    let shard = home.path().join("shard");
    copy(&original, &shard)?;
    let shard_there = guarded("open", &shard, || EdgeShard::load(&shard, None))?;
    points::documents(&shard_there, &shard, filter)
}

fn fill(
    layout: &Layout,
    manifest: &Manifest,
    documents: &[DocumentId],
    successor: &GenerationId,
    home: &Path,
) -> Result<Manifest, StoreError> {
    let lock = home.join("LOCK");
    let _lock = FileLock::take(&lock, Duration::ZERO)
        .map_err(|fault| StoreError::Refused { action: "derive the generation", source: fault.into() })?;
    let original = layout.shard(&manifest.generation);
    room::for_index(&original)?;
    let shard = home.join("shard");
    copy(&original, &shard)?;
    let left = delete(&shard, documents)?;
    files::sync_all(&shard)?;
    let derived = Manifest {
        generation: successor.clone(),
        state: BuildState::Complete(counts(&left)),
        written_at: Timestamp::now(),
        ..manifest.clone()
    };
    let path = home.join(Manifest::FILE_NAME);
    let json =
        serde_json::to_vec_pretty(&derived).map_err(|fault| FileFault::at("write", &path)(fault.into()))?;
    files::replace(&path, &json)?;
    let named = layout.generation(successor);
    // A directory that has something in it is not replaced.
    fs::rename(home, &named).map_err(|fault| {
        if named.is_dir() {
            StoreError::Taken(successor.clone())
        } else {
            FileFault::at("name", &named)(fault).into()
        }
    })?;
    files::sync(&layout.collections())?;
    Ok(derived)
}

/// Deletes the documents, writes everything out, and tells what a reader will find.
fn delete(path: &Path, documents: &[DocumentId]) -> Result<BTreeMap<DocumentId, u64>, StoreError> {
    let shard = guarded("open", path, || EdgeShard::load(path, None))?;
    for batch in documents.chunks(DOCUMENTS_PER_DELETION) {
        let delete = PointOperations::DeletePointsByFilter(points::of_documents(batch)?);
        guarded("delete from", path, || shard.update(UpdateOperation::PointOperation(delete)))?;
    }
    guarded("index", path, || shard.optimize().map(drop))?;
    guarded("close", path, || {
        drop(shard);
        Ok(())
    })?;
    let shard = guarded("open", path, || EdgeShard::load(path, None))?;
    points::documents(&shard, path, None)
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut pending: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = pending.pop() {
        files::make_directory(&to)?;
        for entry in fs::read_dir(&from).map_err(FileFault::at("read", &from))? {
            let entry = entry.map_err(FileFault::at("read", &from))?;
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type().map_err(FileFault::at("read", &path))?.is_dir() {
                pending.push((path, target));
            } else {
                fs::copy(&path, &target).map_err(FileFault::at("copy", &path))?;
            }
        }
    }
    Ok(())
}
