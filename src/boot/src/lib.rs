//! Reads the environment and files, here only: configuration, secrets, telemetry, shutdown,
//! and where the program itself is; and opens the one thing that
//! both programs share beside the vector store, the SQL database.
//! Knows no other crate of Lectern: each gets its own section, already decoded.

pub mod config;
pub mod database;
pub mod program;
pub mod shutdown;
pub mod telemetry;
