//! Names what became of a reader, as a reason that a person understands.
//! Never repeats what a reader printed: a document may have put it there.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::reading::Limits;

/// Exit code of a reader whose thread panicked: Rust's own.
pub(super) const PANICKED: u8 = 101;
/// How a panic is announced; the place in the code follows.
pub(super) const PANIC: &str = "panicked at ";
/// What Rust prints before it aborts for want of memory.
const NO_MEMORY: &str = "memory allocation of ";
/// What Rust prints before it aborts at the end of a stack.
const NO_STACK: &str = "has overflowed its stack";
/// Longest place in the code that is shown.
const PLACE_CHARS: usize = 200;

/// What a file did to its reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The next document did not come in time.
    #[error("took longer than `ingest.extract_seconds` = {0}: its reader was stopped")]
    Late(u64),
    /// The memory that it may take was not enough.
    #[error("needs more memory to be read than `ingest.extract_mib` = {0} MiB")]
    Memory(u64),
    /// Reading it went deeper than the stack.
    #[error("is nested too deeply to be read")]
    Depth,
    /// The text of one document is longer than the largest file may be.
    #[error("holds a document whose text is longer than `ingest.max_file_bytes` allows")]
    Endless,
    /// A bug in the reader.
    #[error("made its reader crash ({0}): please report it")]
    Crash(String),
    /// Somebody or something else ended the reader.
    #[error("its reader was killed by signal {0}, perhaps by the system for want of memory")]
    Killed(i32),
    /// The reader did not keep to the protocol.
    #[error("made its reader answer nonsense: please report it")]
    Nonsense,
}

impl Fault {
    /// What ended a reader that is gone; `said` is the end of what it printed.
    pub(super) fn of(status: ExitStatus, said: &str, limits: &Limits) -> Self {
        if said.contains(NO_MEMORY) {
            return Self::Memory(limits.mib);
        }
        if said.contains(NO_STACK) {
            return Self::Depth;
        }
        match (status.code(), status.signal()) {
            (Some(code), _) if code == i32::from(PANICKED) => Self::Crash(place(said)),
            (_, Some(signal)) if OF_A_CRASH.contains(&signal) => Self::Crash(format!("signal {signal}")),
            (_, Some(signal)) => Self::Killed(signal),
            (code, _) => Self::Crash(format!("exit code {}", code.unwrap_or_default())),
        }
    }

    /// Whether what was read before in the same process may be to blame.
    pub(super) fn may_be_inherited(&self) -> bool {
        !matches!(self, Self::Late(_) | Self::Endless)
    }
}

/// Signals that a process brings on itself: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
const OF_A_CRASH: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// Where a panic came from, as the reader's own hook printed it.
fn place(said: &str) -> String {
    let shown = said.lines().rev().find_map(|line| line.strip_prefix(PANIC));
    let shown = shown.unwrap_or("at a place that it did not name");
    shown.chars().filter(|c| !c.is_control()).take(PLACE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(raw_status: i32, said: &str) -> String {
        let limits = Limits { patience: Duration::from_secs(30), mib: 256 };
        Fault::of(ExitStatus::from_raw(raw_status), said, &limits).to_string()
    }

    #[test]
    fn each_end_of_a_reader_has_a_reason_of_its_own() {
        let abort = 6;
        assert_eq!(
            told(abort, "memory allocation of 99 bytes failed\n"),
            "needs more memory to be read than `ingest.extract_mib` = 256 MiB"
        );
        assert_eq!(
            told(abort, "thread 'reader' has overflowed its stack\n"),
            "is nested too deeply to be read"
        );
        assert_eq!(told(abort, ""), "made its reader crash (signal 6): please report it");
        assert_eq!(
            told(101 << 8, "noise\npanicked at src/extract/html.rs:1:2\n"),
            "made its reader crash (src/extract/html.rs:1:2): please report it"
        );
        assert_eq!(
            told(9, "panicked"),
            "its reader was killed by signal 9, perhaps by the system for want of memory"
        );
        assert_eq!(told(3 << 8, ""), "made its reader crash (exit code 3): please report it");
    }
}
