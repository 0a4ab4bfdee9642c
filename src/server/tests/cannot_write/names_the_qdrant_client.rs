//! The client that could write is no dependency of the server.
// error: E0432 unresolved import `qdrant_client`
use qdrant_client::Qdrant;

fn main() {
    let _ = Qdrant::from_url("http://127.0.0.1:6334");
}
