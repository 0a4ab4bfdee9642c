//! Documents to generations: extract, chunk, embed, write, gate, publish. The only writer of collections.

pub mod store;
