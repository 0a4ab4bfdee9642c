//! A folder for what is ingested and is no file yet: removed afterwards, and if not, by the next one who needs one.
//! Never touches a folder that its owner still holds.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use fs4::{FileExt, TryLockError};
use tempfile::TempDir;

/// What the names of all spools begin with.
const PREFIX: &str = "lectern-spool-";
/// File in each spool that its owner keeps locked; the system unlocks it however the owner ends.
const LOCK: &str = ".owner";

/// A folder that is removed when dropped.
#[derive(Debug)]
pub struct Spool {
    folder: TempDir,
    _lock: File,
}

impl Spool {
    /// Makes a folder below `parent`, or where the system keeps temporary files, and removes what others left there.
    pub(super) fn new(parent: Option<&Path>) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        let folder = match parent {
            None => builder.tempdir()?,
            Some(parent) => {
                fs::create_dir_all(parent)?;
                builder.tempdir_in(parent)?
            }
        };
        let lock = File::create(folder.path().join(LOCK))?;
        FileExt::try_lock(&lock).map_err(io::Error::from)?;
        if let Some(parent) = folder.path().parent() {
            sweep(parent);
        }
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the spools of owners that are gone. What cannot be removed stays for the next one.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if !matches!(FileExt::try_lock(&lock), Err(TryLockError::WouldBlock)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_goes_with_its_owner_and_leaves_those_of_others() {
        let parent = tempfile::tempdir().unwrap();
        let first = Spool::new(Some(parent.path())).unwrap();
        let second = Spool::new(Some(parent.path())).unwrap();
        assert!(first.path().is_dir());
        drop(second);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_spool_whose_owner_was_killed_is_swept_by_the_next_one() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join("lectern-spool-left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join("page.html"), "x").unwrap();
        let _spool = Spool::new(Some(parent.path())).unwrap();
        assert!(!left.exists());
    }
}
