//! Translates between Qdrant's messages and the engine's types.
//! Never touches a shard.

use tonic::Status;

use crate::status::wrong_input;

pub(crate) mod config;
pub(crate) mod filter;
pub(crate) mod payload;
pub(crate) mod query;
pub(crate) mod vectors;

fn size(number: u64) -> Result<usize, Status> {
    usize::try_from(number).map_err(|_| wrong_input(format!("{number} is too large")))
}
