//! The test server as a program, for trying things by hand and for tests of other programs.
//! Never runs beside a real Qdrant's data: its files are its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lectern_test_qdrant::{StartError, TestQdrant};

/// A test server that speaks Qdrant's gRPC protocol on the qdrant-edge engine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where the data is kept; without it, it goes when the server stops.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Key that callers must give.
    #[arg(long)]
    api_key: Option<String>,
    /// Key that allows reading alone.
    #[arg(long)]
    read_only_api_key: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut errors = std::io::stderr();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere to say that standard error is closed.
            let _ = writeln!(errors, "lectern-test-qdrant: {error}: {}", cause(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let server = start(arguments).await?;
    let mut output = std::io::stdout();
    writeln!(output, "listening on {}", server.url())?;
    output.flush()?;
    wait_for_signal().await?;
    server.stop().await;
    Ok(())
}

async fn start(arguments: Arguments) -> Result<TestQdrant, StartError> {
    let mut builder = TestQdrant::builder().port(arguments.port);
    if let Some(directory) = arguments.dir {
        builder = builder.directory(directory);
    }
    if let Some(key) = arguments.api_key {
        builder = builder.api_key(key);
    }
    if let Some(key) = arguments.read_only_api_key {
        builder = builder.read_only_api_key(key);
    }
    builder.start().await
}

async fn wait_for_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| "no further cause".to_owned(), ToString::to_string)
}
