//! Reads documents in processes of their own, which can be killed: what a hostile document does, it does to its reader.
//! Never cuts or embeds a document, and never lets one document decide what becomes of the next.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub mod confine;
pub mod fault;
mod lines;
pub mod process;
pub mod reader;
mod wire;
pub mod worker;

/// Name of the command that turns the program into a reader; nobody but the program itself gives it.
pub const COMMAND: &str = "read-documents";

/// What a reader may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for the next document of a file.
    pub patience: Duration,
    /// Most memory for reading one file, in MiB.
    pub mib: u64,
}

/// The program that is started as a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(PathBuf);

impl Program {
    /// The running program itself.
    pub fn running() -> Result<Self, CannotStart> {
        lectern_boot::program::running().map(Self).map_err(CannotStart)
    }

    /// The `lectern-ingest` at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

/// No process could be started: nothing at all can be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "no process can be started to read documents in: check the limit of processes, and the memory that is left"
)]
pub struct CannotStart(#[source] io::Error);
