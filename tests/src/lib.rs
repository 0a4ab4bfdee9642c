//! Black-box tests of Lectern: the harness and what runs on it.
//! Panics with what it saw wherever the outside world is not as a test needs it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    reason = "this crate is test code: a panic is a failed test"
)]

pub mod bare;
pub mod binaries;
pub mod black_hole;
pub mod contract;
pub mod cut;
pub mod handbook;
pub mod lectern;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod redis;
pub mod wire;
pub mod world;
