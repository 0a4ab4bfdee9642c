//! The engine that could write is no dependency of the server.
use qdrant_edge::EdgeShard;

fn main() {
    let _ = EdgeShard::load(std::path::Path::new("."), None);
}
