//! `lectern`: serves searches and cited answers over HTTP.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lectern_server::command::{self, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves searches and cited answers over HTTP, from what `lectern-ingest` has published.
#[derive(Debug, Parser)]
#[command(name = "lectern", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file in TOML; the environment (`LECTERN_SECTION__KEY`) overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    command::run(arguments.command.unwrap_or_default(), arguments.config.as_deref()).await
}
