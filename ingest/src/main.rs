//! The program `lectern-ingest`.

use std::process::ExitCode;

/// The system's allocator spends a third of the local embedder's time in the kernel.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lectern_ingest::cli::main()
}
