//! Embedders and language models, local and behind endpoints. Providers' wire formats stop here.
//! Never retrieves, never builds a prompt, never decides what an answer may say.

pub mod config;
pub mod embedder;
pub mod error;
pub mod extractive;
pub mod http;
pub mod llm;
mod patience;
mod rejection;
