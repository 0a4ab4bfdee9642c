//! A server that speaks Qdrant's gRPC protocol over a real socket, on the qdrant-edge engine, for tests where no
//! Qdrant runs. Never guesses: what it does not implement it refuses with `UNIMPLEMENTED`.

mod admission;
mod collection;
mod collections;
mod convert;
mod knobs;
mod points;
mod server;
mod state;
mod status;

pub use knobs::{Calls, Failure, Knobs};
pub use server::{Builder, StartError, TestQdrant};
