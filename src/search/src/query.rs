//! What is asked of a collection and what comes back.
//! Never embeds text: vectors come ready-made.

use lectern_schema::chunk::ChunkPayload;
use lectern_schema::embedding::{DenseVector, SparseVector};
use lectern_schema::identifiers::ChunkId;
use serde::{Deserialize, Serialize};

use crate::error::SearchError;
use crate::filter::Filter;

/// The constant k of reciprocal rank fusion, the same in both stores: a hit at rank r (from 0) of an arm adds 1 / (k + r).
/// Measured nDCG@10 on `SciFact`: 0.719 with 2, which is the engine's default, 0.711 with the 60 of the original paper.
pub const RRF_K: u32 = 2;

/// Fewest candidates that each arm brings into the fusion: what RRF was measured with, and enough for a limit of 10 to
/// profit from both arms.
pub(crate) const CANDIDATES: u64 = 100;

/// Hits fetched beyond the limit. Stores break ties at random, and fused ranks tie often: with a few more at hand, the
/// ones that are kept do not depend on chance.
pub(crate) const SPARE_HITS: u64 = 8;

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

/// What a store is really asked for: arms that can find something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plan<'a> {
    /// No term to search for: nothing is found.
    Nothing,
    /// The dense arm alone.
    Dense(&'a DenseVector),
    /// The sparse arm alone.
    Sparse(&'a SparseVector),
    /// Both arms, fused.
    Fused(&'a DenseVector, &'a SparseVector),
}

impl Arms {
    pub(crate) fn plan(&self) -> Plan<'_> {
        match self {
            Self::Dense(dense) => Plan::Dense(dense),
            Self::Sparse(sparse) if sparse.is_empty() => Plan::Nothing,
            Self::Sparse(sparse) => Plan::Sparse(sparse),
            Self::Hybrid(dense, sparse) if sparse.is_empty() => Plan::Dense(dense),
            Self::Hybrid(dense, sparse) => Plan::Fused(dense, sparse),
        }
    }
}

impl Plan<'_> {
    /// What the scores of this search are.
    pub(crate) fn score_kind(self) -> ScoreKind {
        match self {
            Self::Dense(_) => ScoreKind::Cosine,
            Self::Sparse(_) | Self::Nothing => ScoreKind::Bm25,
            Self::Fused(..) => ScoreKind::Rrf,
        }
    }
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

impl Mode {
    /// The name that clients use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }
}

/// Number of hits asked for, 1 to [`Limit::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit(u16);

/// The limit is zero or too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit must be from 1 to {max}, not {0}", max = Limit::MAX)]
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

impl Query {
    /// Number of hits to fetch from a store.
    pub(crate) fn fetched(&self) -> u64 {
        u64::from(self.limit.get()) + SPARE_HITS
    }

    /// Number of candidates to fetch per arm for a fusion.
    pub(crate) fn candidates(&self) -> u64 {
        self.fetched().max(CANDIDATES)
    }

    /// Puts hits in their one order, best first and ties by chunk id, and keeps as many as were asked for.
    pub(crate) fn best(&self, mut hits: Vec<Hit>) -> Vec<Hit> {
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk_id.cmp(&b.chunk_id)));
        hits.truncate(usize::from(self.limit.get()));
        hits
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

impl Hit {
    /// Checks what a store returned. `payload` is the stored JSON object.
    pub(crate) fn parse(
        id: Option<&str>,
        score: f32,
        score_kind: ScoreKind,
        payload: Result<ChunkPayload, impl std::error::Error + Send + Sync + 'static>,
    ) -> Result<Self, SearchError> {
        let chunk_id = ChunkId::parse(id.unwrap_or_default()).map_err(SearchError::garbled)?;
        if !score.is_finite() {
            return Err(SearchError::garbled(format!("chunk `{chunk_id}` has the score {score}")));
        }
        let payload = payload.map_err(SearchError::garbled)?;
        Ok(Self { chunk_id, score, score_kind, payload })
    }
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
    use lectern_schema::identifiers::{ContentHash, DocumentId, TenantId};

    use super::*;

    fn hit(id: u128, score: f32) -> Hit {
        let payload = ChunkPayload {
            document_id: DocumentId::parse("a.md").unwrap(),
            uri: "a.md".into(),
            title: "A".into(),
            heading_path: vec![],
            text: "text".into(),
            position: 0,
            tokens: 1,
            content_hash: ContentHash::of(&["text"]),
            tenant: TenantId::public(),
            metadata: serde_json::Map::new(),
        };
        let id = format!("{id:032x}");
        Hit::parse(Some(&id), score, ScoreKind::Rrf, Ok::<_, std::fmt::Error>(payload)).unwrap()
    }

    fn sparse(indices: Vec<u32>) -> SparseVector {
        let values = vec![1.0; indices.len()];
        SparseVector::parse(indices, values).unwrap()
    }

    #[test]
    fn hits_are_ordered_by_score_then_by_id_and_cut_at_the_limit() {
        let query =
            Query { arms: Arms::Sparse(sparse(vec![1])), filter: None, limit: Limit::parse(3).unwrap() };
        let hits = query.best(vec![hit(9, 0.5), hit(2, 0.5), hit(1, 0.1), hit(7, 0.9)]);
        assert_eq!(hits, [hit(7, 0.9), hit(2, 0.5), hit(9, 0.5)]);
    }

    #[test]
    fn words_without_terms_leave_the_search_to_the_dense_arm() {
        let dense = DenseVector::parse(vec![1.0]).unwrap();
        assert_eq!(Arms::Sparse(sparse(vec![])).plan(), Plan::Nothing);
        let hybrid = Arms::Hybrid(dense.clone(), sparse(vec![]));
        assert_eq!((hybrid.plan(), hybrid.plan().score_kind()), (Plan::Dense(&dense), ScoreKind::Cosine));
    }

    #[test]
    fn a_hit_that_is_not_a_chunk_of_ours_is_garbled() {
        let payload = || Ok::<_, std::fmt::Error>(hit(1, 1.0).payload);
        for (id, score) in
            [(None, 1.0), (Some("7"), 1.0), (Some("00000000000000000000000000000001"), f32::NAN)]
        {
            let parsed = Hit::parse(id, score, ScoreKind::Bm25, payload());
            assert!(matches!(parsed, Err(SearchError::Garbled(_))), "{id:?} {score}");
        }
    }

    #[test]
    fn a_limit_is_from_one_to_a_thousand() {
        assert_eq!(Limit::parse(0), Err(BadLimit(0)));
        assert_eq!(Limit::parse(10_000).unwrap_err().to_string(), "limit must be from 1 to 1000, not 10000");
        assert_eq!(Limit::parse(1_000).unwrap().get(), 1_000);
    }
}
