//! The vectors of questions that were asked before: embedding is the most expensive thing that the server does itself.
//! Never holds the text of a question, only its hash.

use lectern_schema::embedding::DenseVector;
use lectern_schema::identifiers::ContentHash;
use moka::sync::Cache;

/// Vectors by the text that they stand for. They depend on nothing else: one server has one embedder.
#[derive(Debug)]
pub struct VectorCache(Cache<ContentHash, DenseVector>);

impl VectorCache {
    /// Room for vectors of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let weigh = |_: &ContentHash, vector: &DenseVector| {
            let bytes = size_of_val(vector.as_slice()) + size_of::<ContentHash>();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }

    /// The vector of `text`, if it is there.
    pub fn get(&self, text: &str) -> Option<DenseVector> {
        self.0.get(&ContentHash::of(&[text]))
    }

    /// Keeps the vector of `text`.
    pub fn keep(&self, text: &str, vector: DenseVector) {
        self.0.insert(ContentHash::of(&[text]), vector);
    }

    /// Entries and bytes that are kept.
    pub fn size(&self) -> (u64, u64) {
        self.0.run_pending_tasks();
        (self.0.entry_count(), self.0.weighted_size())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.invalidate_all();
    }
}
