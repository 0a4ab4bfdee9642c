//! The client that could write is no dependency of the server.
use qdrant_client::Qdrant;

fn main() {
    let _ = Qdrant::from_url("http://127.0.0.1:6334");
}
