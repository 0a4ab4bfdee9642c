//! Lock files: one process at a time, with a bounded wait, and a name for whoever is in the way.
//! Never outlives its process: the system releases the lock of one that dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::layout::FileFault;

/// How often a lock in use is tried again: far below what a person notices, far above what the try costs.
const RETRY: Duration = Duration::from_millis(10);
/// Most bytes read of what a holder wrote about itself.
const MAX_NAME: u64 = 200;

/// A held lock file. Dropping it releases the lock.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it, also after the wait.
    #[error("held by {0}")]
    Held(String),
    /// The file itself cannot be used.
    #[error(transparent)]
    File(#[from] FileFault),
}

impl FileLock {
    /// Takes the lock, waiting for at most `patience`. Blocks the thread. The directory must exist.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, LockError> {
        let give_up = Instant::now() + patience;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FileFault::at("open", path))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(fault)) => return Err(FileFault::at("lock", path)(fault).into()),
                Err(TryLockError::WouldBlock) if give_up <= Instant::now() => {
                    return Err(LockError::Held(holder(&mut file)));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(RETRY),
            }
        }
        sign(&mut file).map_err(FileFault::at("write", path))?;
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File) -> std::io::Result<()> {
    let program = std::fs::read_to_string("/proc/self/comm").unwrap_or_else(|_| "unknown program".to_owned());
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "process {} ({})", std::process::id(), program.trim_end())
}

fn holder(file: &mut File) -> String {
    let mut name = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_NAME).read_to_string(&mut name));
    match read {
        Ok(1..) => name,
        _ => "another process".to_owned(),
    }
}

/// A value that lives under a lock and takes its time to close: it is dropped on a thread of its own, and only then is
/// the lock released. A panic while closing ends there.
#[derive(Debug)]
pub struct Locked<T: Send + 'static> {
    inner: Option<(T, FileLock)>,
}

impl<T: Send + 'static> Locked<T> {
    /// Puts `value` under `lock`.
    pub fn new(value: T, lock: FileLock) -> Self {
        Self { inner: Some((value, lock)) }
    }

    /// Takes both apart, for a caller that closes the value itself.
    pub fn into_parts(mut self) -> Option<(T, FileLock)> {
        self.inner.take()
    }

    /// The value: there until the drop.
    pub fn get(&self) -> Option<&T> {
        self.inner.as_ref().map(|(value, _)| value)
    }
}

impl<T: Send + 'static> Drop for Locked<T> {
    fn drop(&mut self) {
        let Some((value, lock)) = self.inner.take() else { return };
        let close = move || {
            if catch_unwind(AssertUnwindSafe(move || drop(value))).is_err() {
                tracing::error!("closing a shard failed");
            }
            drop(lock);
        };
        // Nobody waits for this thread: at the end of the process an unfinished flush loses nothing, because a served
        // generation has no changes, and one that is being built is whole only once it was sealed.
        if thread::Builder::new().name("close-shard".to_owned()).spawn(close).is_err() {
            tracing::error!("no thread to close a shard on: closed in place");
        }
    }
}
