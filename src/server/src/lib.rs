//! The server: HTTP, admission, caches, the answer pipeline.
