//! Looks whether the disk has room before the engine writes: the engine maps its files into memory before it fills them,
//! and a full disk under a mapped file kills the process instead of failing a call.
//! Never reserves anything: others may fill the disk in between, so that there is a margin.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use lectern_search::embedded::layout::FileFault;

use crate::store::{Point, StoreError};

/// Kept free whatever is written: the engine's own files of a small generation, and what others write meanwhile.
const MARGIN: u64 = 64 * 1024 * 1024;
/// Copies of a point on the disk: in the log, in the storage, and their padding.
const COPIES: u64 = 4;
/// A number's bytes in a vector, with the index of a sparse one.
const NUMBER_BYTES: usize = 8;
/// Bytes of a point beyond its vectors and its text.
const POINT_BYTES: usize = 1_024;

/// Fails when `points` do not fit on the disk of `directory`.
pub(super) fn for_points(directory: &Path, points: &[Point]) -> Result<(), StoreError> {
    let size = |point: &Point| {
        let numbers = point.dense.dimension() + point.sparse.indices().len();
        numbers * NUMBER_BYTES + point.payload.text.len() + POINT_BYTES
    };
    let size = points.iter().map(size).fold(0_u64, |sum, size| sum.saturating_add(bytes(size)));
    check(directory, size.saturating_mul(COPIES))
}

/// Fails when the disk has no room to write all of `directory` once more, as building the index does.
pub(super) fn for_index(directory: &Path) -> Result<(), StoreError> {
    let size = used(directory).map_err(FileFault::at("measure", directory))?;
    check(directory, size)
}

/// Fails when the disk has no room for a generation's first files.
pub(super) fn for_generation(directory: &Path) -> Result<(), StoreError> {
    check(directory, 0)
}

fn check(directory: &Path, needed: u64) -> Result<(), StoreError> {
    let free = fs4::available_space(directory).map_err(FileFault::at("measure", directory))?;
    let needed = needed.saturating_add(MARGIN);
    if needed <= free {
        return Ok(());
    }
    let reason = format!("no room: {} MiB are free, {} MiB are needed", free >> 20, needed >> 20);
    Err(FileFault::at("write", directory)(io::Error::new(ErrorKind::StorageFull, reason)).into())
}

/// Bytes that the files below `directory` occupy, which for the engine's is less than their length.
fn used(directory: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let size = if metadata.is_dir() { used(&entry.path())? } else { occupied(&metadata) };
        sum = sum.saturating_add(size);
    }
    Ok(sum)
}

#[cfg(unix)]
fn occupied(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    /// The unit of `blocks`, whatever the file system's own.
    const BLOCK: u64 = 512;
    metadata.blocks().saturating_mul(BLOCK)
}

#[cfg(not(unix))]
fn occupied(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_named_with_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        check(directory.path(), 0).unwrap();
        let refused = check(directory.path(), u64::MAX).unwrap_err();
        let StoreError::Disk { source, path, .. } = refused else { panic!("{refused:?}") };
        assert_eq!((source.kind(), path.as_path()), (ErrorKind::StorageFull, directory.path()));
        assert!(source.to_string().contains("MiB are free"), "{source}");
    }
}
