//! Documents per alias: what became of each in the run that saw it last. The plan of the next run compares with it.
//! Never holds a document's text.

use lectern_schema::identifiers::{AliasName, ContentHash, DocumentId};

use crate::partition::Partition;
use crate::registry::error::RegistryError;
use crate::registry::runs::RunId;
use crate::registry::{Registry, storable, stored};

/// Rows per transaction: short enough that other writers get their turn, long enough that commits cost little.
const ROWS_PER_TRANSACTION: usize = 512;
/// Rows per page when all documents are read, to bound the memory of one answer.
const ROWS_PER_PAGE: i64 = 5_000;

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRecord {
    /// Its name.
    pub document_id: DocumentId,
    /// Where it was found.
    pub uri: String,
    /// Hash of its content, `None` when it could not be read.
    pub content_hash: Option<ContentHash>,
    /// Whether it was ingested.
    pub state: DocumentState,
}

/// Whether a document was ingested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentState {
    /// It is in the generation, with this many chunks.
    Ingested {
        /// Number of its chunks.
        chunks: u64,
    },
    /// It is not in the generation.
    Skipped {
        /// Why, for people.
        reason: String,
    },
}

#[derive(sqlx::FromRow)]
struct Row {
    document_id: String,
    uri: String,
    content_hash: Option<String>,
    reason: Option<String>,
    chunks: i64,
}

impl Registry {
    /// Remembers what `run` made of these documents, in place of what earlier runs made of them.
    pub async fn record_documents(
        &self,
        alias: &AliasName,
        run: RunId,
        documents: &[DocumentRecord],
    ) -> Result<(), RegistryError> {
        const RECORD: &str = "
            INSERT INTO documents (alias, document_id, uri, content_hash, state, reason, chunks, run_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (alias, document_id) DO UPDATE
            SET uri = excluded.uri, content_hash = excluded.content_hash, state = excluded.state,
                reason = excluded.reason, chunks = excluded.chunks, run_id = excluded.run_id";
        // One order for all writers: two that lock the same rows in different orders would block each other.
        let mut ordered: Vec<&DocumentRecord> = documents.iter().collect();
        ordered.sort_by(|a, b| a.document_id.cmp(&b.document_id));
        for rows in ordered.chunks(ROWS_PER_TRANSACTION) {
            self.bounded(async {
                let mut transaction = self.begin().await?;
                for document in rows {
                    let (state, reason, chunks) = columns(&document.state);
                    sqlx::query(RECORD)
                        .bind(alias.as_str())
                        .bind(document.document_id.as_str())
                        .bind(storable(&document.uri).as_ref())
                        .bind(document.content_hash.as_ref().map(ContentHash::as_str))
                        .bind(state)
                        .bind(reason)
                        .bind(chunks)
                        .bind(run.to_string())
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await
            })
            .await?;
        }
        Ok(())
    }

    /// All documents of `alias`, by name.
    pub async fn documents(&self, alias: &AliasName) -> Result<Vec<DocumentRecord>, RegistryError> {
        self.documents_in(alias, Partition::whole()).await
    }

    /// Those documents of `alias` that fall into a part, by name.
    pub async fn documents_in(
        &self,
        alias: &AliasName,
        partition: Partition,
    ) -> Result<Vec<DocumentRecord>, RegistryError> {
        let mut all: Vec<DocumentRecord> = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.documents_after(alias, &after).await?;
            let Some(last) = page.last() else { return Ok(all) };
            last.document_id.as_str().clone_into(&mut after);
            all.extend(page.into_iter().filter(|record| partition.owns(&record.document_id)));
        }
    }

    async fn documents_after(
        &self,
        alias: &AliasName,
        after: &str,
    ) -> Result<Vec<DocumentRecord>, RegistryError> {
        const PAGE: &str = "
            SELECT document_id, uri, content_hash, reason, chunks FROM documents
            WHERE alias = $1 AND document_id > $2 ORDER BY document_id LIMIT $3";
        let asking = sqlx::query_as::<_, Row>(PAGE).bind(alias.as_str()).bind(after).bind(ROWS_PER_PAGE);
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        rows.into_iter().map(|row| self.document_record(row)).collect()
    }

    /// Forgets the documents of `alias` that `run` should have seen and did not: those of its partition that are gone from the
    /// source. Tells how many.
    pub async fn forget_documents_unseen_by(
        &self,
        alias: &AliasName,
        run: RunId,
        partition: Partition,
    ) -> Result<u64, RegistryError> {
        const FORGET: &str = "DELETE FROM documents WHERE alias = $1 AND run_id <> $2";
        if partition.is_whole() {
            let forgetting = sqlx::query(FORGET).bind(alias.as_str()).bind(run.to_string());
            return Ok(self.bounded(forgetting.execute(&self.pool)).await?.rows_affected());
        }
        let (mut forgotten, mut last) = (0, String::new());
        loop {
            let unseen = self.unseen_documents_after(alias, run, &last).await?;
            let Some(end) = unseen.last() else { return Ok(forgotten) };
            last = end.as_str().to_owned();
            let ours: Vec<&DocumentId> = unseen.iter().filter(|document| partition.owns(document)).collect();
            forgotten += self.forget_unseen_documents(alias, run, &ours).await?;
        }
    }

    async fn unseen_documents_after(
        &self,
        alias: &AliasName,
        run: RunId,
        after: &str,
    ) -> Result<Vec<DocumentId>, RegistryError> {
        const PAGE: &str = "
            SELECT document_id FROM documents
            WHERE alias = $1 AND run_id <> $2 AND document_id > $3 ORDER BY document_id LIMIT $4";
        let asking = sqlx::query_scalar::<_, String>(PAGE)
            .bind(alias.as_str())
            .bind(run.to_string())
            .bind(after)
            .bind(ROWS_PER_PAGE);
        let names = self.bounded(asking.fetch_all(&self.pool)).await?;
        names.iter().map(|name| self.read("a document's name", DocumentId::parse(name))).collect()
    }

    async fn forget_unseen_documents(
        &self,
        alias: &AliasName,
        run: RunId,
        documents: &[&DocumentId],
    ) -> Result<u64, RegistryError> {
        const FORGET: &str = "DELETE FROM documents WHERE alias = $1 AND document_id = $2 AND run_id <> $3";
        let mut forgotten = 0;
        for rows in documents.chunks(ROWS_PER_TRANSACTION) {
            let forgetting = async {
                let (mut transaction, mut deleted) = (self.begin().await?, 0);
                for document in rows {
                    let row = sqlx::query(FORGET).bind(alias.as_str()).bind(document.as_str());
                    let row = row.bind(run.to_string()).execute(&mut *transaction).await?;
                    deleted += row.rows_affected();
                }
                transaction.commit().await.map(|()| deleted)
            };
            forgotten += self.bounded(forgetting).await?;
        }
        Ok(forgotten)
    }

    fn document_record(&self, row: Row) -> Result<DocumentRecord, RegistryError> {
        let hash = row.content_hash.as_deref().map(ContentHash::parse).transpose();
        let state = match row.reason {
            Some(reason) => DocumentState::Skipped { reason },
            None => DocumentState::Ingested { chunks: self.count("a document's chunks", row.chunks)? },
        };
        Ok(DocumentRecord {
            document_id: self.read("a document's name", DocumentId::parse(&row.document_id))?,
            uri: row.uri,
            content_hash: self.read("a document's hash", hash)?,
            state,
        })
    }
}

fn columns(state: &DocumentState) -> (&'static str, Option<String>, i64) {
    match state {
        DocumentState::Ingested { chunks } => ("ingested", None, stored(*chunks)),
        DocumentState::Skipped { reason } => ("skipped", Some(storable(reason).into_owned()), 0),
    }
}
