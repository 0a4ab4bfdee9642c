//! The models crate against a provider on a real socket: what each failure becomes, and that nothing waits for ever.
//! Never looks inside the crate.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up fails it")]

mod anthropic;
mod chat;
mod embedder;
mod fixture;
mod providers;
mod questions;
mod whole;
