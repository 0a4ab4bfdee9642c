//! Reads files one after the other in a reader process, and starts a fresh one whenever a file has spoilt it.
//! Never fails for what is in a file: that is a reason for leaving it out.

use crate::causes::in_one_line;
use crate::extract::{Part, Settings, Source, Unread};
use crate::reading::process::{Broken, Process};
use crate::reading::{CannotStart, Limits, Program};

/// Times that a process is started before that is given up: a system short of memory may kill one that has done nothing.
const TRIES_TO_START: usize = 3;

/// Reads files; starts its process when it is first needed.
#[derive(Debug)]
pub struct DocumentReader {
    program: Program,
    limits: Limits,
    settings: Settings,
    process: Option<Used>,
}

/// A process and whether it has read a file.
#[derive(Debug)]
struct Used {
    process: Process,
    before: bool,
}

impl DocumentReader {
    /// Reads in processes of `program` that keep to `limits`.
    pub fn new(program: Program, limits: Limits, settings: Settings) -> Self {
        Self { program, limits, settings, process: None }
    }

    /// Hands all documents of `source` to `emit`, in their order, then why there are no more if something went wrong.
    /// Stops early when they are not `wanted` any more. Blocks while it reads, and must be called on one thread only.
    ///
    /// What goes wrong in a process that has read other files is tried again in a fresh one, so that what becomes of a
    /// file depends on nothing but the file.
    pub fn read(
        &mut self,
        source: &Source,
        wanted: &mut dyn FnMut() -> bool,
        emit: &mut dyn FnMut(Part),
    ) -> Result<(), CannotStart> {
        let mut delivered: usize = 0;
        loop {
            let mut used = self.ready()?;
            let mut seen: usize = 0;
            let read = used.process.read(source, &self.settings, wanted, &mut |part| {
                seen += 1;
                if seen > delivered {
                    delivered = seen;
                    emit(part);
                }
            });
            match read {
                Ok(()) => {
                    self.process = Some(Used { before: true, ..used });
                    return Ok(());
                }
                Err(Broken::Unwanted) => return Ok(()),
                Err(Broken::Fault(fault)) if used.before && fault.may_be_inherited() => {}
                Err(Broken::Fault(fault)) => {
                    tracing::warn!(document = %source.document_id, fault = %fault, "reader lost");
                    emit(Err(Unread::whole(source, &fault)));
                    return Ok(());
                }
            }
        }
    }

    fn ready(&mut self) -> Result<Used, CannotStart> {
        match self.process.take() {
            Some(used) => Ok(used),
            None => Ok(Used { process: self.start()?, before: false }),
        }
    }

    fn start(&self) -> Result<Process, CannotStart> {
        let mut left = TRIES_TO_START;
        loop {
            left -= 1;
            match Process::start(&self.program, self.limits) {
                Err(error) if left > 0 => {
                    tracing::warn!(error = %in_one_line(&error), "reader is started again");
                }
                ended => return ended,
            }
        }
    }
}
