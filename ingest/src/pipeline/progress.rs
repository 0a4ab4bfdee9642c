//! Counters that a running build moves and that whoever shows progress reads.
//! Never draws anything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a build has come.
#[derive(Debug, Default)]
pub struct Progress {
    sources: AtomicU64,
    sources_read: AtomicU64,
    chunks_cut: AtomicU64,
    chunks_written: AtomicU64,
    sealing: AtomicBool,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Files to read.
    pub sources: u64,
    /// Files read and cut, or skipped.
    pub sources_read: u64,
    /// Chunks known so far; final once all files are read.
    pub chunks_cut: u64,
    /// Chunks in the store, vectors and all.
    pub chunks_written: u64,
    /// Whether only the index is left to be built.
    pub sealing: bool,
}

impl Progress {
    /// The counters now.
    pub fn standing(&self) -> Standing {
        Standing {
            sources: self.sources.load(Ordering::Relaxed),
            sources_read: self.sources_read.load(Ordering::Relaxed),
            chunks_cut: self.chunks_cut.load(Ordering::Relaxed),
            chunks_written: self.chunks_written.load(Ordering::Relaxed),
            sealing: self.sealing.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn begin(&self, sources: usize) {
        self.sources.store(count(sources), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.sources_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn cut(&self, chunks: usize) {
        self.chunks_cut.fetch_add(count(chunks), Ordering::Relaxed);
    }

    pub(crate) fn written(&self, chunks: usize) {
        self.chunks_written.fetch_add(count(chunks), Ordering::Relaxed);
    }

    pub(crate) fn seal(&self) {
        self.sealing.store(true, Ordering::Relaxed);
    }
}

/// A number of things in memory; there is no machine where it does not fit.
pub(crate) fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}
