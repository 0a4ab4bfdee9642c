//! What was found for a question in a generation: the vector store is what a lean server is bound by.
//! Never holds a retrieval that something was missing from.

use std::sync::Arc;
use std::time::Duration;

use lectern_schema::identifiers::{ContentHash, GenerationId};
use lectern_search::query::Hit;
use moka::sync::Cache;

use crate::retrieve::Retrieval;

/// What decides whether two searches find the same, as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RetrievalKey(ContentHash);

impl RetrievalKey {
    /// The key of a retrieval from a generation.
    pub fn of(retrieval: &Retrieval, generation: &GenerationId) -> Self {
        Self(ContentHash::of(&[
            retrieval.tenant.as_str(),
            generation.as_str(),
            retrieval.question.as_str(),
            retrieval.mode.name(),
            &retrieval.limit.get().to_string(),
            &retrieval.filter_text(),
        ]))
    }
}

/// Hits by what was looked for, most recently used, up to a size in bytes.
#[derive(Debug)]
pub struct RetrievalCache(Cache<RetrievalKey, Arc<Vec<Hit>>>);

impl RetrievalCache {
    /// Room for hits of so many bytes, each kept for `ttl` at most.
    pub fn new(bytes: u64, ttl: Duration) -> Self {
        let weigh = |_: &RetrievalKey, hits: &Arc<Vec<Hit>>| weight(hits);
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).time_to_live(ttl).build())
    }

    /// What was found, if it is there.
    pub fn get(&self, key: &RetrievalKey) -> Option<Arc<Vec<Hit>>> {
        self.0.get(key)
    }

    /// Keeps what was found.
    pub fn keep(&self, key: RetrievalKey, hits: Arc<Vec<Hit>>) {
        self.0.insert(key, hits);
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

/// Size in memory: the texts, and a flat share for each hit's structure and metadata.
fn weight(hits: &[Hit]) -> u32 {
    const STRUCTURE: usize = 500;
    let of = |hit: &Hit| {
        let payload = &hit.payload;
        let headings: usize = payload.heading_path.iter().map(String::len).sum();
        let metadata: usize = payload.metadata.values().map(|value| value.as_str().map_or(0, str::len)).sum();
        payload.text.len() + payload.title.len() + payload.uri.len() + headings + metadata + STRUCTURE
    };
    u32::try_from(hits.iter().map(of).sum::<usize>()).unwrap_or(u32::MAX)
}
