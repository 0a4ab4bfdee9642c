//! Reads the environment and files, here only: configuration, secrets, telemetry, shutdown.
//! Knows no other crate of Lectern: each gets its own section, already decoded.

pub mod config;
pub mod shutdown;
pub mod telemetry;
