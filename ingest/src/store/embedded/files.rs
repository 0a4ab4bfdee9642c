//! Files and directories that are there as a whole or not at all, and stay when the power goes.
//! Never knows what is in them.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use lectern_schema::identifiers::GenerationId;
use lectern_search::embedded::layout::{FileFault, Layout};
use lectern_search::embedded::lock::FileLock;
use uuid::Uuid;

use crate::store::StoreError;

/// What a directory is called between its deletion and its removal. No generation's name begins with a dot.
const DELETED: &str = ".deleted-";

/// What a directory is called while a generation is derived in it.
pub(super) const DERIVED: &str = ".derived-";

/// Makes a directory and those above it.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(FileFault::at("create", path))?;
    Ok(())
}

/// Names of what is in a directory; none when it does not exist.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(FileFault::at("read", directory)(fault).into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileFault::at("read", directory))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

/// Replaces a file's content: readers see the old one or the new one, also after a crash.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_added_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(fault) = written {
        let _ = fs::remove_file(&temporary);
        return Err(FileFault::at("write", path)(fault).into());
    }
    fs::rename(&temporary, path).map_err(FileFault::at("replace", path))?;
    path.parent().map_or(Ok(()), sync)
}

/// Removes a file for good.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(FileFault::at("remove", path))?;
    path.parent().map_or(Ok(()), sync)
}

/// Waits until a file, or what a directory lists, is on the disk.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(FileFault::at("sync", path))?;
    Ok(())
}

/// Waits until everything below `directory` is on the disk.
pub(super) fn sync_all(directory: &Path) -> Result<(), StoreError> {
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(FileFault::at("read", &directory))? {
            let entry = entry.map_err(FileFault::at("read", &directory))?;
            let path = entry.path();
            if entry.file_type().map_err(FileFault::at("read", &path))?.is_dir() {
                pending.push(path);
            } else {
                sync(&path)?;
            }
        }
        sync(&directory)?;
    }
    Ok(())
}

/// Takes a generation's name away, then its files: a crash between the two leaves no half of it under its name.
pub(super) fn remove_generation(layout: &Layout, generation: &GenerationId) -> Result<(), StoreError> {
    let (path, collections) = (layout.generation(generation), layout.collections());
    let deleted = collections.join(format!("{DELETED}{generation}-{}", Uuid::new_v4()));
    fs::rename(&path, &deleted).map_err(FileFault::at("delete", &path))?;
    sync(&collections)?;
    sweep(layout)
}

/// Removes what deleted generations left behind, also those of a process that did not get so far.
pub(super) fn sweep(layout: &Layout) -> Result<(), StoreError> {
    let collections = layout.collections();
    for name in names(&collections)? {
        let path = collections.join(&name);
        let abandoned = || FileLock::take(&path.join("LOCK"), Duration::ZERO).is_ok();
        let is_leftover = name.starts_with(DELETED) || name.starts_with(DERIVED) && abandoned();
        if !is_leftover {
            continue;
        }
        match fs::remove_dir_all(&path) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => {
                return Err(FileFault::at("remove", &path)(fault).into());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_content_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docs");
        replace(&path, b"first").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(directory.path()).unwrap(), ["docs"]);
    }

    #[test]
    fn what_an_interrupted_deletion_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let left = layout.collections().join(".deleted-docs@20261121T101500Z-x").join("shard");
        fs::create_dir_all(&left).unwrap();
        sweep(&layout).unwrap();
        assert_eq!(names(&layout.collections()).unwrap(), [""; 0]);
    }
}
