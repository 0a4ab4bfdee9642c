//! What must be equal for vectors to be comparable: stored with each generation, checked before it is served.
//! Never repairs a difference: it names it.

use serde::{Deserialize, Serialize};

use crate::identifiers::ContentHash;

/// Everything that shaped a generation's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// What the server must share with the ingest to ask sensible questions.
    pub encoding: Encoding,
    /// How documents were cut; decides whether the ingest may reuse vectors, not whether a server may serve.
    pub chunker: Chunker,
}

impl Fingerprint {
    /// A short name of the whole: the first 64 bits of a SHA-256, in hexadecimal.
    pub fn digest(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        ContentHash::of(&[&json]).as_str().chars().take(16).collect()
    }
}

/// How text becomes vectors and payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    /// The dense embedding.
    pub embedding: Embedding,
    /// The sparse embedding.
    pub sparse: Sparse,
    /// Shape of the stored payload, [`crate::chunk::PAYLOAD_VERSION`].
    pub payload_version: u32,
}

/// A dense embedding model, as far as it decides whether two vectors are comparable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Name of the model as its authors publish it.
    pub model: String,
    /// Elements per vector.
    pub dimension: u32,
    /// How token vectors become one.
    pub pooling: Pooling,
}

/// How a model's token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Mean over the attention mask, then L2-normalised.
    Mean,
    /// Whatever the provider behind an endpoint does.
    Provider,
}

/// Settings of the sparse embedding: BM25 term weights, with IDF applied by the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sparse {
    /// Language of stemmer and stop words.
    pub language: String,
    /// Term-frequency saturation.
    pub k1: f64,
    /// Weight of the document's length.
    pub b: f64,
    /// Length in words of the average chunk that weights are normalised by.
    pub average_length: f64,
}

impl Default for Sparse {
    /// Qdrant's own BM25 defaults: k1 = 1.2, b = 0.75, 256 words, English.
    fn default() -> Self {
        Self { language: "english".to_owned(), k1: 1.2, b: 0.75, average_length: 256.0 }
    }
}

/// How documents are cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunker {
    /// Raised whenever the same document would be cut differently.
    pub version: u32,
    /// Most tokens of the embedder in what is embedded.
    pub max_tokens: u32,
    /// Tokens that a chunk repeats of the one before it.
    pub overlap_tokens: u32,
}

/// One difference between what a generation was built with and what a server would ask with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} is {stored} in the generation and {configured} in this server")]
pub struct Mismatch {
    part: &'static str,
    stored: String,
    configured: String,
}

impl Encoding {
    /// How this version of Lectern encodes text with the given embedding.
    pub fn current(embedding: Embedding) -> Self {
        Self { embedding, sparse: Sparse::default(), payload_version: crate::chunk::PAYLOAD_VERSION }
    }

    /// Every difference that would make answers wrong, none when `self` (stored) can be served with `configured`.
    pub fn mismatches(&self, configured: &Self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut compare = |part, stored: String, configured: String| {
            if stored != configured {
                found.push(Mismatch { part, stored, configured });
            }
        };
        let (stored, ours) = (&self.embedding, &configured.embedding);
        compare("the embedding model", format!("`{}`", stored.model), format!("`{}`", ours.model));
        compare("the dimension", stored.dimension.to_string(), ours.dimension.to_string());
        compare("the pooling", format!("{:?}", stored.pooling), format!("{:?}", ours.pooling));
        compare("the sparse encoding", format!("{:?}", self.sparse), format!("{:?}", configured.sparse));
        compare(
            "the payload version",
            self.payload_version.to_string(),
            configured.payload_version.to_string(),
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding() -> Encoding {
        Encoding::current(Embedding {
            model: "all-MiniLM-L6-v2".into(),
            dimension: 384,
            pooling: Pooling::Mean,
        })
    }

    #[test]
    fn equal_encodings_have_no_mismatch() {
        assert_eq!(encoding().mismatches(&encoding()), vec![]);
    }

    #[test]
    fn every_part_that_differs_is_named() {
        let mut other = encoding();
        other.embedding = Embedding { model: "bge-small".into(), dimension: 512, pooling: Pooling::Provider };
        other.sparse.k1 = 0.9;
        other.payload_version = 2;
        let named: Vec<&str> = encoding().mismatches(&other).iter().map(|m| m.part).collect();
        assert_eq!(
            named,
            [
                "the embedding model",
                "the dimension",
                "the pooling",
                "the sparse encoding",
                "the payload version"
            ]
        );
        assert_eq!(
            encoding().mismatches(&other)[1].to_string(),
            "the dimension is 384 in the generation and 512 in this server"
        );
    }

    #[test]
    fn the_digest_changes_with_the_chunker() {
        let chunker = Chunker { version: 1, max_tokens: 256, overlap_tokens: 0 };
        let a = Fingerprint { encoding: encoding(), chunker: chunker.clone() };
        let b = Fingerprint { encoding: encoding(), chunker: Chunker { max_tokens: 128, ..chunker } };
        assert_eq!(a.digest().len(), 16);
        assert_ne!(a.digest(), b.digest());
    }
}
