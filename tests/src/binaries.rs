//! Finds the programs under test: built by `cargo build --workspace` into the folder above the test executables.

use std::path::PathBuf;

/// Path of a built program of this workspace. Panics, saying what to do, when it was not built.
pub fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let program = profile.join(name);
    assert!(program.is_file(), "{} is missing: run `cargo build --workspace` first", program.display());
    program
}
