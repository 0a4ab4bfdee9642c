//! The command line of `lectern-ingest`: arguments in, text or JSON and an exit code out.
//! Never decides anything about documents or generations.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lectern_boot::shutdown::Shutdown;
use lectern_boot::telemetry;

use crate::cli::arguments::Arguments;
use crate::cli::commands::{Session, configured};
use crate::cli::outcome::{CommandError, Outcome, told};

mod arguments;
mod commands;
mod outcome;
mod progress;
mod text;

/// How long work on other threads may still run when the command has ended: reading one document at most.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let as_json = arguments.common.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(Err(CommandError::Signals(error)), as_json),
    };
    let ended = runtime.block_on(perform(arguments));
    runtime.shutdown_timeout(GOODBYE);
    told(ended, as_json)
}

async fn perform(arguments: Arguments) -> Result<Outcome, CommandError> {
    let common = arguments.common;
    let (config, alias) = configured(common.config.as_deref(), common.alias)?;
    telemetry::install(&config.telemetry)?;
    let shutdown = Shutdown::on_signals().map_err(CommandError::Signals)?;
    Session { config, alias, shutdown }.perform(arguments.command).await
}
