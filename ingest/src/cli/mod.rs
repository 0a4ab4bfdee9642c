//! The command line of `lectern-ingest`: arguments in, text or JSON and an exit code out.
//! Never decides anything about documents or generations.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lectern_boot::shutdown::Shutdown;
use lectern_boot::telemetry;

use crate::cli::arguments::{Arguments, Command, Common, Entry};
use crate::cli::commands::{Session, configured};
use crate::cli::outcome::{CommandError, Outcome, told};
use crate::reading::worker;

mod arguments;
mod commands;
mod json;
mod outcome;
mod partitioned;
mod progress;
mod text;

/// How long work on other threads may still run when the command has ended: reading one document at most.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Arguments { common, command } = Arguments::parse();
    match command {
        // It takes no configuration and no runtime: keys and threads are not for readers.
        Entry::ReadDocuments => worker::serve(),
        Entry::Asked(command) => told_to(common, command),
    }
}

fn told_to(common: Common, command: Command) -> ExitCode {
    let as_json = common.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(Err(CommandError::Signals(error)), as_json),
    };
    let ended = runtime.block_on(perform(common, command));
    runtime.shutdown_timeout(GOODBYE);
    told(ended, as_json)
}

async fn perform(common: Common, command: Command) -> Result<Outcome, CommandError> {
    let (config, alias) = configured(common.config.as_deref(), common.alias)?;
    telemetry::install(&config.telemetry)?;
    let shutdown = Shutdown::on_signals().map_err(CommandError::Signals)?;
    Session { config, alias, shutdown }.perform(command).await
}
