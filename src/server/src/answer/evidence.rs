//! Evidence: the checked, deduplicated hits that a prompt is made of, numbered from 1.
//! Never holds more text than the token budget allows.

use std::collections::HashSet;

use lectern_schema::chunk::ChunkPayload;
use lectern_schema::identifiers::ChunkId;
use lectern_search::query::Hit;

/// The numbered pieces of evidence for one question, best first.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pieces: Vec<Piece>,
}

/// One piece of evidence. Its marker is what the answer cites.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Number in the prompt, from 1.
    pub marker: u32,
    /// The chunk.
    pub chunk_id: ChunkId,
    /// The chunk's content.
    pub payload: ChunkPayload,
    /// The hit's score.
    pub score: f32,
}

impl Evidence {
    /// Keeps the best hits with different texts that fit `token_budget` together. The first one always stays.
    pub fn select(hits: Vec<Hit>, token_budget: u32) -> Self {
        let mut seen = HashSet::new();
        let mut left = token_budget;
        let mut pieces: Vec<Piece> = Vec::new();
        for hit in hits {
            if !seen.insert(hit.payload.text.clone()) {
                continue;
            }
            if !pieces.is_empty() && hit.payload.tokens > left {
                continue;
            }
            left = left.saturating_sub(hit.payload.tokens);
            let marker = u32::try_from(pieces.len()).map_or(u32::MAX, |n| n.saturating_add(1));
            pieces.push(Piece { marker, chunk_id: hit.chunk_id, payload: hit.payload, score: hit.score });
        }
        Self { pieces }
    }

    /// The pieces, best first.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The piece that a marker points at.
    pub fn piece(&self, marker: u32) -> Option<&Piece> {
        self.pieces.iter().find(|piece| piece.marker == marker)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// Hits for the tests of this module and of those that take evidence.
#[cfg(test)]
pub(crate) mod example {
    use lectern_schema::chunk::ChunkPayload;
    use lectern_schema::identifiers::{ChunkId, ContentHash, DocumentId, TenantId};
    use lectern_search::query::{Hit, ScoreKind};

    /// A hit with this text, counted as so many tokens.
    pub(crate) fn hit(text: &str, tokens: u32) -> Hit {
        let document_id = DocumentId::parse("docs/a.md").unwrap();
        let content_hash = ContentHash::of(&[text]);
        Hit {
            chunk_id: ChunkId::derive(&document_id, 0, &content_hash),
            score: 1.0,
            score_kind: ScoreKind::Rrf,
            payload: ChunkPayload {
                document_id,
                uri: "docs/a.md".into(),
                title: "A".into(),
                heading_path: vec![],
                text: text.into(),
                position: 0,
                tokens,
                content_hash,
                tenant: TenantId::public(),
                metadata: serde_json::Map::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::example::hit;
    use super::*;

    fn texts(evidence: &Evidence) -> Vec<(u32, &str)> {
        evidence.pieces().iter().map(|piece| (piece.marker, piece.payload.text.as_str())).collect()
    }

    #[test]
    fn equal_texts_become_one_piece() {
        let evidence = Evidence::select(vec![hit("a", 1), hit("a", 1), hit("b", 1)], 100);
        assert_eq!(texts(&evidence), [(1, "a"), (2, "b")]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_but_the_best_always_stays() {
        let evidence = Evidence::select(vec![hit("long", 90), hit("too much", 20), hit("fits", 5)], 100);
        assert_eq!(texts(&evidence), [(1, "long"), (2, "fits")]);
        let evidence = Evidence::select(vec![hit("longer than the budget", 500)], 100);
        assert_eq!(texts(&evidence), [(1, "longer than the budget")]);
    }
}
