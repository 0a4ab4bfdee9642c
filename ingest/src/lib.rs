//! Documents to generations: extract, chunk, embed, write, gate, publish. The only writer of collections.

pub mod causes;
pub mod chunk;
pub mod cli;
pub mod config;
pub mod evaluate;
pub mod examine;
pub mod extract;
pub mod gather;
pub mod lifecycle;
pub mod partition;
pub mod pipeline;
pub mod reading;
pub mod registry;
pub mod store;
