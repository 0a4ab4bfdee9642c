//! Text to sparse BM25 vectors, by Qdrant's own tokenizer, for both stores and both sides.

use lectern_schema::embedding::SparseVector;
use lectern_schema::fingerprint::Sparse;

/// Turns texts into the sparse vectors of Qdrant's BM25. IDF is applied by the store.
#[derive(Debug)]
pub struct Bm25 {
    _todo: (),
}

/// The settings name a language or numbers that BM25 cannot work with.
#[derive(Debug, thiserror::Error)]
#[error("sparse settings cannot be used: {0}")]
pub struct BadSparse(String);

impl Bm25 {
    /// Prepares the tokenizer.
    pub fn new(settings: &Sparse) -> Result<Self, BadSparse> {
        todo!()
    }

    /// Weights of a chunk's terms.
    pub fn document(&self, text: &str) -> SparseVector {
        todo!()
    }

    /// Weights of a question's terms.
    pub fn question(&self, text: &str) -> SparseVector {
        todo!()
    }
}
