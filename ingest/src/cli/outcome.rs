//! How a command ended: what is printed, and the exit code.
//! Never does anything but print.

use std::error::Error;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use lectern_boot::config::Faults;
use lectern_boot::telemetry::Installed;
use lectern_search::config::BadStore;
use serde_json::{Value, json};

use crate::causes;
use crate::evaluate::EvaluationError;
use crate::examine::ExamineError;
use crate::examine::golden::BadGolden;
use crate::gather::GatherError;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::publish::NoReason;
use crate::pipeline::BadEncoder;
use crate::pipeline::error::BuildError;
use crate::registry::error::RegistryError;

/// Exit codes, as users and scripts rely on them. Most wrong usage is told by clap, with the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    Usage,
    Refused,
    Skipped,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Skipped => 4,
        }
    }
}

/// What a command that did its work has to say.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) exit: Exit,
    /// For people.
    pub(super) text: String,
    /// For machines: one object.
    pub(super) json: Value,
}

impl Outcome {
    pub(super) fn done(text: String, json: Value) -> Self {
        Self { exit: Exit::Done, text, json }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error(transparent)]
    Config(#[from] Faults),
    #[error(transparent)]
    Telemetry(#[from] Installed),
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] BadStore),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Encoder(#[from] BadEncoder),
    #[error(transparent)]
    Gather(#[from] GatherError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    #[error(transparent)]
    Golden(#[from] BadGolden),
    #[error(transparent)]
    Examine(#[from] ExamineError),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    #[error("--force: {0}")]
    Reason(#[from] NoReason),
    #[error(
        "--partition needs `store.kind = \"qdrant\"`, since the embedded store has one writer: configure Qdrant, or run once without it"
    )]
    OneWriter,
    #[error(
        "--partition cannot divide the standard input (`-`), which is read only once: give the workers a file, or run once without it"
    )]
    OneReader,
    #[error("stopped as asked")]
    Stopped,
    #[error("reading the golden questions broke down: this is a bug, please report it")]
    Panicked(#[from] tokio::task::JoinError),
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Lifecycle(LifecycleError::Gated { .. }) => Exit::Refused,
            Self::OneWriter | Self::OneReader => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// Prints how a command ended.
pub(super) fn told(ended: Result<Outcome, CommandError>, as_json: bool) -> ExitCode {
    // Whoever closed the other end of a pipe does not want to know: the exit code still tells.
    match ended {
        Ok(outcome) => {
            let _ = if as_json {
                writeln!(stdout(), "{}", outcome.json)
            } else {
                writeln!(stdout(), "{}", outcome.text.trim_end())
            };
            ExitCode::from(outcome.exit.code())
        }
        Err(error) => {
            let exit = error.exit();
            let _ = write!(stderr(), "{}", error_text(&error));
            if as_json {
                let messages = causes::all(&error);
                let (first, others) = messages.split_first().map_or(("", &[][..]), |(f, o)| (f.as_str(), o));
                let object = json!({"error": first, "caused_by": others, "exit_code": exit.code()});
                let _ = writeln!(stdout(), "{object}");
            }
            ExitCode::from(exit.code())
        }
    }
}

fn error_text(error: &dyn Error) -> String {
    let labels = std::iter::once("error").chain(std::iter::repeat("caused by"));
    let messages = causes::all(error);
    let lines = labels
        .zip(messages)
        .flat_map(|(label, message)| [label.to_owned(), ": ".to_owned(), message, "\n".to_owned()]);
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_one_per_line() {
        let error = CommandError::Signals(std::io::Error::other("no more handlers"));
        assert_eq!(error_text(&error), "error: cannot listen for signals\ncaused by: no more handlers\n");
    }
}
