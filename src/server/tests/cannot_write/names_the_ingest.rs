//! The code that writes is no dependency of the server.
// error: E0433 cannot find module or crate `lectern_ingest` in this scope
use lectern_ingest::store::WriteStore;

fn main() {}
