//! Tells where the running program can be started from once more.
//! Never starts anything.

use std::io;
use std::path::PathBuf;

/// What starts the very program that is running, as a process of its own.
#[cfg(target_os = "linux")]
pub fn running() -> io::Result<PathBuf> {
    // Not the file's own path: by now another version, or nothing, may stand there.
    Ok(PathBuf::from("/proc/self/exe"))
}

/// What starts the very program that is running, as a process of its own.
#[cfg(not(target_os = "linux"))]
pub fn running() -> io::Result<PathBuf> {
    std::env::current_exe()
}
