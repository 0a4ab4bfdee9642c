//! A test server that speaks Qdrant's protocol on the qdrant-edge engine.
