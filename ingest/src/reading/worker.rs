//! The reader's own side: takes requests from the program that started it, reads, and replies.
//! Never does anything before its limits are in force, and never outlives the program.

use std::io::{self, BufRead, BufReader, BufWriter, Write, stderr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::extract::{self, Part};
use crate::reading::confine;
use crate::reading::fault::{PANIC, PANICKED};
use crate::reading::wire::{self, Reply, Request, Terms};

/// Stack for reading: as much as a program's first thread has, whatever the system's setting.
const STACK_BYTES: u64 = 8 * 1024 * 1024;
/// How often a reader looks whether its program is still there, where the kernel does not tell.
const GLANCE: Duration = Duration::from_secs(1);
/// What is said to people who start a reader by hand.
const FOR_PEOPLE: &str =
    "lectern-ingest starts this command itself to read documents: run `lectern-ingest run PATH`";
/// Exit code of wrong usage.
const USAGE: u8 = 2;

/// Serves the program at the other end of the standard input until it hangs up.
pub fn serve() -> ExitCode {
    confine::close_inherited();
    let Some((from, to, terms)) = connected() else {
        // Nobody to tell it to is no reason for another exit code.
        let _ = writeln!(stderr(), "{FOR_PEOPLE}");
        return ExitCode::from(USAGE);
    };
    std::panic::set_hook(Box::new(tell_place));
    if let Err(error) = confine::confine(terms.mib.saturating_mul(1024 * 1024).saturating_add(STACK_BYTES)) {
        let _ = writeln!(stderr(), "{error}");
        return ExitCode::FAILURE;
    }
    let (done, is_done) = mpsc::channel::<()>();
    let reading = std::thread::Builder::new()
        .name("reader".to_owned())
        .stack_size(usize::try_from(STACK_BYTES).unwrap_or(usize::MAX))
        .spawn(move || {
            // Dropped at the end, however it comes.
            let _done = done;
            serve_requests(from, to)
        });
    let Ok(reading) = reading else { return ExitCode::FAILURE };
    while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(GLANCE) {
        if parent_id() != terms.parent {
            return ExitCode::FAILURE;
        }
    }
    match reading.join() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(_) => ExitCode::from(PANICKED),
    }
}

/// The line to the program, when the standard input is one and begins with terms.
fn connected() -> Option<(BufReader<UnixStream>, BufWriter<UnixStream>, Terms)> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    // Only a socket has an address: a terminal, a file or a pipe is no line to the program.
    line.local_addr().ok()?;
    let to = BufWriter::new(line.try_clone().ok()?);
    let mut from = BufReader::new(line);
    let mut first = String::new();
    from.read_line(&mut first).ok()?;
    let terms: Terms = serde_json::from_str(&first).ok()?;
    (terms.parent == parent_id()).then_some((from, to, terms))
}

fn serve_requests(from: BufReader<UnixStream>, mut to: BufWriter<UnixStream>) -> io::Result<()> {
    wire::write(&mut to, &Reply::Ready)?;
    for line in from.lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let mut sent = Ok(());
        extract::read(&request.source, &request.settings, &mut |part| {
            if sent.is_ok() {
                sent = wire::write(&mut to, &reply(part));
            }
        });
        sent?;
        wire::write(&mut to, &Reply::Done)?;
    }
    Ok(())
}

fn reply(part: Part) -> Reply {
    match part {
        Ok(document) => Reply::Document(Box::new(document)),
        Err(unread) => Reply::Unread(unread),
    }
}

/// Prints where a panic came from and not what it says: that may hold the document's text.
fn tell_place(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(stderr(), "{PANIC}{place}");
}
