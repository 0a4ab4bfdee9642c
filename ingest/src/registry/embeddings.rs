//! The embedding cache: vectors by embedding model and content hash, so that unchanged text is never embedded twice.
//! Never computes a vector.

use std::collections::{BTreeMap, HashMap};

use lectern_schema::embedding::DenseVector;
use lectern_schema::fingerprint::Embedding;
use lectern_schema::identifiers::ContentHash;
use sqlx::{Any, Transaction};

use crate::registry::Registry;
use crate::registry::error::RegistryError;

/// Rows of one statement: enough that a round trip of a millisecond allows for 16,000 rows a second.
const ROWS_PER_INSERT: usize = 16;
/// Hashes of one look-up, for the same reason.
const HASHES_PER_LOOKUP: usize = 32;
/// Rows per transaction: short enough that other writers get their turn, long enough that commits cost little.
const ROWS_PER_TRANSACTION: usize = 512;

/// Names the embedding that a vector was computed with. The rest of a fingerprint does not matter here: the same text
/// has the same vector however its document was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingDigest(ContentHash);

impl EmbeddingDigest {
    /// Hashes what decides whether two vectors are comparable.
    pub fn of(embedding: &Embedding) -> Self {
        let Embedding { model, dimension, pooling } = embedding;
        Self(ContentHash::of(&[model, &dimension.to_string(), &format!("{pooling:?}")]))
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Registry {
    /// The cached vectors of these contents. What is missing from the answer must be computed; an entry that cannot be
    /// read counts as missing.
    pub async fn cached_vectors(
        &self,
        embedding: &EmbeddingDigest,
        contents: &[ContentHash],
    ) -> Result<HashMap<ContentHash, DenseVector>, RegistryError> {
        let mut found = HashMap::with_capacity(contents.len());
        for hashes in contents.chunks(HASHES_PER_LOOKUP) {
            for (hash, bytes) in self.look_up(embedding, hashes).await? {
                let hash = self.read("a cached embedding's hash", ContentHash::parse(&hash))?;
                if let Some(vector) = decode(&bytes) {
                    found.insert(hash, vector);
                }
            }
        }
        Ok(found)
    }

    async fn look_up(
        &self,
        embedding: &EmbeddingDigest,
        hashes: &[ContentHash],
    ) -> Result<Vec<(String, Vec<u8>)>, RegistryError> {
        const LOOK_UP: &str = "
            SELECT content_hash, vector FROM embeddings
            WHERE embedding = $1 AND content_hash IN (
                $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
                $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)";
        let mut asking = sqlx::query_as::<_, (String, Vec<u8>)>(LOOK_UP).bind(embedding.as_str());
        // The last batch is filled up with what is no hash and finds nothing.
        let padded = hashes.iter().map(ContentHash::as_str).chain(std::iter::repeat(""));
        for hash in padded.take(HASHES_PER_LOOKUP) {
            asking = asking.bind(hash);
        }
        self.bounded(asking.fetch_all(&self.pool)).await
    }

    /// Remembers vectors, in place of what is there for the same contents.
    pub async fn cache_vectors(
        &self,
        embedding: &EmbeddingDigest,
        vectors: &[(ContentHash, DenseVector)],
    ) -> Result<(), RegistryError> {
        // Each content once, and in one order for all writers: a statement may not write a row twice, and two writers
        // that lock the same rows in different orders would block each other.
        let unique: BTreeMap<&ContentHash, &DenseVector> =
            vectors.iter().map(|(hash, vector)| (hash, vector)).collect();
        let rows: Vec<(&ContentHash, Vec<u8>)> =
            unique.into_iter().map(|(hash, vector)| (hash, encode(vector))).collect();
        for batch in rows.chunks(ROWS_PER_TRANSACTION) {
            self.bounded(async {
                let mut transaction = self.begin().await?;
                insert(&mut transaction, embedding, batch).await?;
                transaction.commit().await
            })
            .await?;
        }
        Ok(())
    }

    /// Forgets the vectors of embeddings that no generation in the store was built with. Tells how many.
    pub async fn forget_unused_embeddings(&self) -> Result<u64, RegistryError> {
        const FORGET: &str = "
            DELETE FROM embeddings
            WHERE embedding NOT IN (SELECT embedding FROM generations WHERE state <> 'deleted')";
        Ok(self.bounded(sqlx::query(FORGET).execute(&self.pool)).await?.rows_affected())
    }
}

async fn insert(
    transaction: &mut Transaction<'static, Any>,
    embedding: &EmbeddingDigest,
    rows: &[(&ContentHash, Vec<u8>)],
) -> Result<(), sqlx::Error> {
    const INSERT_MANY: &str = "
        INSERT INTO embeddings (embedding, content_hash, vector)
        VALUES ($1, $2, $3), ($1, $4, $5), ($1, $6, $7), ($1, $8, $9),
               ($1, $10, $11), ($1, $12, $13), ($1, $14, $15), ($1, $16, $17),
               ($1, $18, $19), ($1, $20, $21), ($1, $22, $23), ($1, $24, $25),
               ($1, $26, $27), ($1, $28, $29), ($1, $30, $31), ($1, $32, $33)
        ON CONFLICT (embedding, content_hash) DO UPDATE SET vector = excluded.vector";
    const INSERT_ONE: &str = "
        INSERT INTO embeddings (embedding, content_hash, vector) VALUES ($1, $2, $3)
        ON CONFLICT (embedding, content_hash) DO UPDATE SET vector = excluded.vector";
    let mut batches = rows.chunks_exact(ROWS_PER_INSERT);
    for batch in &mut batches {
        let mut inserting = sqlx::query(INSERT_MANY).bind(embedding.as_str());
        for (hash, vector) in batch {
            inserting = inserting.bind(hash.as_str()).bind(vector.as_slice());
        }
        inserting.execute(&mut **transaction).await?;
    }
    for (hash, vector) in batches.remainder() {
        sqlx::query(INSERT_ONE)
            .bind(embedding.as_str())
            .bind(hash.as_str())
            .bind(vector.as_slice())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

fn encode(vector: &DenseVector) -> Vec<u8> {
    vector.as_slice().iter().flat_map(|element| element.to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Option<DenseVector> {
    let (elements, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    DenseVector::parse(elements.iter().map(|element| f32::from_le_bytes(*element)).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_survives_its_bytes_bit_by_bit() {
        let vector = DenseVector::parse(vec![0.1, -3.5e-20, f32::MAX]).unwrap();
        assert_eq!(decode(&encode(&vector)), Some(vector));
    }

    #[test]
    fn bytes_that_are_no_vector_are_a_miss() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0, 0, 128, 63, 1]), None);
        assert_eq!(decode(&f32::NAN.to_le_bytes()), None);
    }
}
