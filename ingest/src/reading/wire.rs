//! What is said between the program and its readers: one JSON value per line, in both directions.
//! Never says more than a reader needs: a file, how to read it, and what it may take.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::extract::{Extracted, Settings, Source, Unread};

/// The first line to a reader: what it may take.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    /// Process that the reader works for; it ends with it.
    pub(super) parent: u32,
    /// Most memory for reading, in MiB.
    pub(super) mib: u64,
}

/// Every other line to a reader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) source: Source,
    pub(super) settings: Settings,
}

/// A line from a reader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The terms are in force.
    Ready,
    /// A document of the file that was asked for.
    Document(Box<Extracted>),
    /// A document of the file that was asked for, and why it cannot be read.
    Unread(Unread),
    /// There are no more documents in the file.
    Done,
}

/// Writes a value as a line; JSON has no line break of its own outside of strings, and escapes it there.
pub(super) fn write(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")?;
    to.flush()
}
