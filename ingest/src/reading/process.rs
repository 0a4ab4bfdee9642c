//! One reader: a child process that is asked for files, one after the other, and killed when it fails.
//! Never waits for it without a deadline, and never leaves it behind.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::extract::{Part, Settings, Source};
use crate::reading::fault::Fault;
use crate::reading::lines::{Lines, NoLine};
use crate::reading::wire::{self, Reply, Request, Terms};
use crate::reading::{COMMAND, CannotStart, Limits, Program};

/// Longest wait for a process to start: ten times what a loaded machine takes.
const START: Duration = Duration::from_secs(30);
/// Most that is kept of what a reader prints: its end tells why it died.
const SAID_BYTES: usize = 4_096;
/// Has memory taken from the system piece by piece and given back, instead of from a reserve of a gigabyte, which
/// would count against the limit, or be beyond it.
const ALLOCATOR: (&str, &str) = ("MIMALLOC_DISALLOW_ARENA_ALLOC", "1");
/// JSON escapes line breaks and quotes: how much longer than its text a line may be.
const ESCAPED: u64 = 2;

/// Why a file's documents end before their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The file is to blame, or the reader.
    Fault(Fault),
    /// Nobody wants them any more.
    Unwanted,
}

/// A running reader.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    to: UnixStream,
    lines: Lines,
    errors: UnixStream,
    /// The end of what it printed on its standard error.
    said: Vec<u8>,
    limits: Limits,
}

impl Process {
    /// Starts a reader. The thread that does must live as long as the reader: on Linux it takes it along.
    pub(super) fn start(program: &Program, limits: Limits) -> Result<Self, CannotStart> {
        Self::spawn(program, limits).map_err(CannotStart)
    }

    fn spawn(program: &Program, limits: Limits) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (errors, theirs_for_errors) = UnixStream::pair()?;
        errors.set_nonblocking(true)?;
        ours.set_write_timeout(Some(START))?;
        let lines = Lines::new(ours.try_clone()?)?;
        let child = Command::new(&program.0)
            .arg0("lectern-ingest")
            .arg(COMMAND)
            // Keys and passwords are none of a reader's business.
            .env_clear()
            .env(ALLOCATOR.0, ALLOCATOR.1)
            // A terminal's Ctrl-C is for the program, which ends its readers itself.
            .process_group(0)
            .current_dir("/")
            // Both ways on one descriptor: what a library prints must not get between the replies.
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::from(OwnedFd::from(theirs_for_errors)))
            .spawn()?;
        let mut process = Self { child, to: ours, lines, errors, said: Vec::new(), limits };
        let terms = Terms { parent: std::process::id(), mib: limits.mib };
        wire::write(&mut process.to, &terms)?;
        match process.reply(usize::MAX, START, &mut || true) {
            Ok(Reply::Ready) => Ok(process),
            Ok(_) => Err(io::Error::other(Fault::Nonsense)),
            Err(Broken::Fault(fault)) => Err(io::Error::other(fault)),
            Err(Broken::Unwanted) => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// Hands the documents of `source` to `emit`, as long as they are `wanted`.
    pub(super) fn read(
        &mut self,
        source: &Source,
        settings: &Settings,
        wanted: &mut dyn FnMut() -> bool,
        emit: &mut dyn FnMut(Part),
    ) -> Result<(), Broken> {
        let request = Request { source: source.clone(), settings: settings.clone() };
        if wire::write(&mut self.to, &request).is_err() {
            return Err(Broken::Fault(self.autopsy()));
        }
        let most = usize::try_from(settings.max_file_bytes.saturating_mul(ESCAPED)).unwrap_or(usize::MAX);
        let patience = self.limits.patience;
        loop {
            match self.reply(most.max(SAID_BYTES), patience, wanted)? {
                Reply::Document(document) => emit(Ok(*document)),
                Reply::Unread(unread) => emit(Err(unread)),
                Reply::Done => return Ok(()),
                Reply::Ready => return Err(Broken::Fault(Fault::Nonsense)),
            }
        }
    }

    fn reply(
        &mut self,
        most: usize,
        patience: Duration,
        wanted: &mut dyn FnMut() -> bool,
    ) -> Result<Reply, Broken> {
        let Self { lines, errors, said, .. } = self;
        let mut glance = || {
            listen(errors, said);
            wanted()
        };
        match lines.next(most, Instant::now() + patience, &mut glance) {
            Ok(line) => serde_json::from_slice(&line).map_err(|_| Broken::Fault(Fault::Nonsense)),
            Err(NoLine::Unwanted) => Err(Broken::Unwanted),
            Err(NoLine::Late) => Err(Broken::Fault(Fault::Late(patience.as_secs()))),
            Err(NoLine::Endless) => Err(Broken::Fault(Fault::Endless)),
            Err(NoLine::Ended) => Err(Broken::Fault(self.autopsy())),
        }
    }

    /// What a reader died of that has let go of its line.
    fn autopsy(&mut self) -> Fault {
        // One that lives on without its line is of no use; for one that is dying this changes nothing.
        let _ = self.child.kill();
        let Ok(status) = self.child.wait() else { return Fault::Nonsense };
        listen(&mut self.errors, &mut self.said);
        Fault::of(status, &String::from_utf8_lossy(&self.said), &self.limits)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is gone already cannot be killed, and that is all that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes what is there to be read, so that nobody waits for room to print, and keeps its end.
fn listen(errors: &mut UnixStream, said: &mut Vec<u8>) {
    let mut block = [0; SAID_BYTES];
    while let Ok(read @ 1..) = errors.read(&mut block) {
        // A vector takes every byte.
        let _ = said.write_all(block.get(..read).unwrap_or_default());
        said.drain(..said.len().saturating_sub(SAID_BYTES));
    }
}
