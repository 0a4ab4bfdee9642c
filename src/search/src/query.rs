//! What is asked of a collection and what comes back.
//! Never embeds text: vectors come ready-made.

use lectern_schema::chunk::ChunkPayload;
use lectern_schema::embedding::{DenseVector, SparseVector};
use lectern_schema::identifiers::ChunkId;
use serde::{Deserialize, Serialize};

use crate::filter::Filter;

/// A search of one collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The vectors to search with.
    pub arms: Arms,
    /// Which chunks may be found at all.
    pub filter: Option<Filter>,
    /// Most hits to return.
    pub limit: Limit,
}

/// The vectors of a search, by mode.
#[derive(Debug, Clone, PartialEq)]
pub enum Arms {
    /// By meaning: cosine similarity of embeddings.
    Dense(DenseVector),
    /// By words: BM25.
    Sparse(SparseVector),
    /// Both, fused by reciprocal rank.
    Hybrid(DenseVector, SparseVector),
}

/// How to search, as a client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Dense and sparse, fused.
    #[default]
    Hybrid,
    /// Dense alone.
    Dense,
    /// Sparse alone.
    Sparse,
}

/// Number of hits asked for, 1 to [`Limit::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit(u16);

/// The limit is zero or too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit must be from 1 to {}, not {0}", Limit::MAX)]
pub struct BadLimit(u64);

impl Limit {
    /// Most hits per search: more payload than this is an export, not a search.
    pub const MAX: u16 = 1_000;

    /// Takes 1 to [`Self::MAX`].
    pub fn parse(raw: u64) -> Result<Self, BadLimit> {
        match u16::try_from(raw) {
            Ok(limit @ 1..=Self::MAX) => Ok(Self(limit)),
            _ => Err(BadLimit(raw)),
        }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A retrieved chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// How well it matches; comparable within one search only, unless the kind says more.
    pub score: f32,
    /// What the score is.
    pub score_kind: ScoreKind,
    /// The chunk's stored content.
    pub payload: ChunkPayload,
}

/// What a score means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// Cosine similarity, -1 to 1; comparable across queries.
    Cosine,
    /// BM25, from 0; depends on the query's words.
    Bm25,
    /// Sum of reciprocal ranks; says nothing across queries.
    Rrf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_from_one_to_a_thousand() {
        assert_eq!(Limit::parse(0), Err(BadLimit(0)));
        assert_eq!(Limit::parse(10_000).unwrap_err().to_string(), "limit must be from 1 to 1000, not 10000");
        assert_eq!(Limit::parse(1_000).unwrap().get(), 1_000);
    }
}
