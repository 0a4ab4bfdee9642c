//! The contract between ingest and server: identifiers, chunk payloads, manifests, fingerprints and names.
//! Does no I/O and knows no vector store.

pub mod canary;
pub mod chunk;
pub mod embedding;
pub mod fingerprint;
pub mod generation;
pub mod identifiers;
