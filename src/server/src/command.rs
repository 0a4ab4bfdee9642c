//! What `lectern` can be told to do, and how it tells that it cannot.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use lectern_boot::shutdown::Shutdown;
use lectern_boot::telemetry;

use crate::app::{App, Server, StartError};
use crate::config::Config;

/// The commands.
#[derive(Debug, Clone, Copy, Default, clap::Subcommand)]
pub enum Command {
    /// Serve (the default).
    #[default]
    Serve,
    /// Read the configuration, report every fault, and end.
    CheckConfig,
}

/// Exit code for a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 2;

/// Runs a command to its end.
pub async fn run(command: Command, file: Option<&Path>) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(faults) => {
            say(&format!("error: {faults}"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match command {
        Command::CheckConfig => {
            announce("the configuration is good");
            ExitCode::SUCCESS
        }
        Command::Serve => match serve(config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("error: {}", crate::api::error::chain(&*error)));
                ExitCode::FAILURE
            }
        },
    }
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    telemetry::install(&config.telemetry)?;
    let shutdown = Shutdown::on_signals().map_err(StartError::System)?;
    let server = Server::bind(App::build(config).await?)?;
    let (public, admin) = server.addresses()?;
    announce(&format!("listening on http://{public}\nadmin on http://{admin}"));
    server.run(shutdown).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the addresses are this command's output")]
fn announce(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "before the log is set up, and for the reason of the end")]
fn say(text: &str) {
    eprintln!("{text}");
}
