//! The server: HTTP, admission, caches, the answer pipeline.
//! Reads one generation per request and writes none: it depends on nothing that could.

pub mod admission;
pub mod answer;
pub mod api;
pub mod app;
pub mod ask;
pub mod budget;
pub mod cache;
pub mod caller;
pub mod canary;
pub mod command;
pub mod config;
pub mod connection;
pub mod flight;
pub mod generations;
pub mod metrics;
pub mod origin;
pub mod retrieve;
pub mod sessions;
pub mod timings;
