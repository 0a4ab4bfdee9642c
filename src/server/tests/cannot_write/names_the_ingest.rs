//! The code that writes is no dependency of the server.
use lectern_ingest::store::WriteStore;

fn main() {}
