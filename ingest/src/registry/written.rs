//! Which documents are wholly in which generation, and with which content: what a build that was interrupted need not
//! write again, and what a generation's digest is made of.
//! Never looks into a store: a row says that the store had the document when the row was written.

use lectern_schema::generation::Counts;
use lectern_schema::identifiers::{ContentHash, DocumentId, GenerationId};
use sqlx::{Any, Transaction};

use crate::registry::error::RegistryError;
use crate::registry::{Registry, stored};

/// Rows of one statement: enough that a round trip of a millisecond allows for 16,000 rows a second.
const ROWS_PER_INSERT: usize = 16;
/// Rows per transaction: short enough that other writers get their turn, long enough that commits cost little.
const ROWS_PER_TRANSACTION: usize = 512;
/// Rows per page when all are read, to bound the memory of one answer.
const ROWS_PER_PAGE: i64 = 5_000;

/// A document that is wholly in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenDocument {
    /// Its name.
    pub document_id: DocumentId,
    /// Hash of its content.
    pub content_hash: ContentHash,
    /// Number of its chunks.
    pub chunks: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    document_id: String,
    content_hash: String,
    chunks: i64,
}

impl Registry {
    /// Remembers that these documents are wholly in `generation`. Each may be named once.
    pub async fn record_written(
        &self,
        generation: &GenerationId,
        documents: &[WrittenDocument],
    ) -> Result<(), RegistryError> {
        // One order for all writers: two that lock the same rows in different orders would block each other.
        let mut ordered: Vec<&WrittenDocument> = documents.iter().collect();
        ordered.sort_by(|a, b| a.document_id.cmp(&b.document_id));
        for rows in ordered.chunks(ROWS_PER_TRANSACTION) {
            self.bounded(async {
                let mut transaction = self.begin().await?;
                insert(&mut transaction, generation, rows).await?;
                transaction.commit().await
            })
            .await?;
        }
        Ok(())
    }

    /// Forgets that these documents are in `generation`: they are about to be changed or deleted there.
    pub async fn forget_written(
        &self,
        generation: &GenerationId,
        documents: &[DocumentId],
    ) -> Result<(), RegistryError> {
        const FORGET: &str = "DELETE FROM generation_documents WHERE generation = $1 AND document_id = $2";
        let mut ordered: Vec<&DocumentId> = documents.iter().collect();
        ordered.sort();
        for rows in ordered.chunks(ROWS_PER_TRANSACTION) {
            self.bounded(async {
                let mut transaction = self.begin().await?;
                for document in rows {
                    sqlx::query(FORGET)
                        .bind(generation.as_str())
                        .bind(document.as_str())
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await
            })
            .await?;
        }
        Ok(())
    }

    /// All documents that are wholly in `generation`, by name.
    pub async fn written(&self, generation: &GenerationId) -> Result<Vec<WrittenDocument>, RegistryError> {
        let mut all: Vec<WrittenDocument> = Vec::new();
        loop {
            let page = self.written_after(generation, all.last().map(|last| &last.document_id)).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// How much is wholly in `generation`.
    pub async fn written_counts(&self, generation: &GenerationId) -> Result<Counts, RegistryError> {
        const COUNT: &str = "
            SELECT COUNT(*), CAST(COALESCE(SUM(chunks), 0) AS BIGINT)
            FROM generation_documents WHERE generation = $1";
        let counting = sqlx::query_as::<_, (i64, i64)>(COUNT).bind(generation.as_str());
        let (documents, chunks) = self.bounded(counting.fetch_one(&self.pool)).await?;
        Ok(Counts {
            documents: self.count("a generation's documents", documents)?,
            chunks: self.count("a generation's chunks", chunks)?,
        })
    }

    /// Digest of all that is wholly in `generation`: the same for the same documents with the same content, whatever the
    /// order in which they were written, and by how many.
    pub async fn content_digest(&self, generation: &GenerationId) -> Result<ContentHash, RegistryError> {
        let mut digest = ContentHash::of(&[]);
        let mut last: Option<DocumentId> = None;
        loop {
            let page = self.written_after(generation, last.as_ref()).await?;
            let Some(end) = page.last() else { return Ok(digest) };
            last = Some(end.document_id.clone());
            for document in &page {
                let (name, content) = (document.document_id.as_str(), document.content_hash.as_str());
                digest = ContentHash::of(&[digest.as_str(), name, content]);
            }
        }
    }

    async fn written_after(
        &self,
        generation: &GenerationId,
        after: Option<&DocumentId>,
    ) -> Result<Vec<WrittenDocument>, RegistryError> {
        const PAGE: &str = "
            SELECT document_id, content_hash, chunks FROM generation_documents
            WHERE generation = $1 AND document_id > $2 ORDER BY document_id LIMIT $3";
        let asking = sqlx::query_as::<_, Row>(PAGE)
            .bind(generation.as_str())
            .bind(after.map_or("", DocumentId::as_str))
            .bind(ROWS_PER_PAGE);
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        rows.into_iter().map(|row| self.written_document(&row)).collect()
    }

    fn written_document(&self, row: &Row) -> Result<WrittenDocument, RegistryError> {
        Ok(WrittenDocument {
            document_id: self.read("a document's name", DocumentId::parse(&row.document_id))?,
            content_hash: self.read("a document's hash", ContentHash::parse(&row.content_hash))?,
            chunks: self.count("a document's chunks", row.chunks)?,
        })
    }
}

async fn insert(
    transaction: &mut Transaction<'static, Any>,
    generation: &GenerationId,
    rows: &[&WrittenDocument],
) -> Result<(), sqlx::Error> {
    const INSERT_MANY: &str = "
        INSERT INTO generation_documents (generation, document_id, content_hash, chunks)
        VALUES ($1, $2, $3, $4), ($1, $5, $6, $7), ($1, $8, $9, $10), ($1, $11, $12, $13),
               ($1, $14, $15, $16), ($1, $17, $18, $19), ($1, $20, $21, $22), ($1, $23, $24, $25),
               ($1, $26, $27, $28), ($1, $29, $30, $31), ($1, $32, $33, $34), ($1, $35, $36, $37),
               ($1, $38, $39, $40), ($1, $41, $42, $43), ($1, $44, $45, $46), ($1, $47, $48, $49)
        ON CONFLICT (generation, document_id) DO UPDATE
        SET content_hash = excluded.content_hash, chunks = excluded.chunks";
    const INSERT_ONE: &str = "
        INSERT INTO generation_documents (generation, document_id, content_hash, chunks)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (generation, document_id) DO UPDATE
        SET content_hash = excluded.content_hash, chunks = excluded.chunks";
    let mut batches = rows.chunks_exact(ROWS_PER_INSERT);
    let singles = batches.remainder().chunks(1);
    for (statement, batch) in
        batches.by_ref().map(|batch| (INSERT_MANY, batch)).chain(singles.map(|one| (INSERT_ONE, one)))
    {
        let mut inserting = sqlx::query(statement).bind(generation.as_str());
        for document in batch {
            inserting = inserting
                .bind(document.document_id.as_str())
                .bind(document.content_hash.as_str())
                .bind(stored(document.chunks));
        }
        inserting.execute(&mut **transaction).await?;
    }
    Ok(())
}
