//! The engine that could write is no dependency of the server.
// error: E0432 unresolved import `qdrant_edge`
use qdrant_edge::EdgeShard;

fn main() {
    let _ = EdgeShard::load(std::path::Path::new("."), None);
}
