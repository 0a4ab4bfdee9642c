//! Documents that were erased by command, and must not come back by a build, a publish or a rollback.
//! Never erases anything: it only remembers.

use std::collections::HashMap;

use jiff::Timestamp;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};

use crate::lifecycle::selection::FilterText;
use crate::registry::error::RegistryError;
use crate::registry::{Registry, storable, stored};

/// When and why a document was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// When.
    pub erased_at: Timestamp,
    /// Why, as whoever erased it said.
    pub reason: String,
}

impl Registry {
    /// Remembers that these documents are erased from `alias`. What was erased before keeps its time and reason.
    pub async fn bury_documents(
        &self,
        alias: &AliasName,
        documents: &[DocumentId],
        tombstone: &Tombstone,
    ) -> Result<(), RegistryError> {
        const BURY: &str = "
            INSERT INTO tombstones (alias, document_id, erased_at, reason) VALUES ($1, $2, $3, $4)
            ON CONFLICT (alias, document_id) DO NOTHING";
        const FORGET: &str = "DELETE FROM documents WHERE alias = $1 AND document_id = $2";
        let mut ordered: Vec<&DocumentId> = documents.iter().collect();
        ordered.sort();
        self.bounded(async {
            let mut transaction = self.begin().await?;
            for document in ordered {
                sqlx::query(BURY)
                    .bind(alias.as_str())
                    .bind(document.as_str())
                    .bind(tombstone.erased_at.as_millisecond())
                    .bind(storable(&tombstone.reason).as_ref())
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(FORGET)
                    .bind(alias.as_str())
                    .bind(document.as_str())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// Remembers that what passes a filter is erased from `alias`, for builds that are under way.
    pub async fn bury_filter(
        &self,
        alias: &AliasName,
        filter: &FilterText,
        tombstone: &Tombstone,
    ) -> Result<(), RegistryError> {
        const BURY: &str =
            "INSERT INTO erased_filters (alias, filter, erased_at, reason) VALUES ($1, $2, $3, $4)";
        let burying = sqlx::query(BURY)
            .bind(alias.as_str())
            .bind(filter.to_string())
            .bind(tombstone.erased_at.as_millisecond())
            .bind(storable(&tombstone.reason).into_owned());
        self.bounded(burying.execute(&self.pool)).await.map(drop)
    }

    /// The filters by which documents were erased since the build of `generation` began, oldest first.
    pub async fn filters_erased_since(
        &self,
        generation: &GenerationId,
    ) -> Result<Vec<(FilterText, Tombstone)>, RegistryError> {
        const SINCE: &str = "
            SELECT filter, erased_at, reason FROM erased_filters
            JOIN generations ON generations.alias = erased_filters.alias
            WHERE generation = $1 AND begun_at <= erased_at
            ORDER BY erased_at";
        let asking = sqlx::query_as::<_, (String, i64, String)>(SINCE).bind(generation.as_str());
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|(filter, erased_at, reason)| {
                let filter = self.read("a filter of erased documents", filter.parse())?;
                let erased_at = self.time("an erasure's time", erased_at)?;
                Ok((filter, Tombstone { erased_at, reason }))
            })
            .collect()
    }

    /// Allows documents again that were erased. Tells which of them were not.
    pub async fn allow_documents(
        &self,
        alias: &AliasName,
        documents: &[DocumentId],
    ) -> Result<Vec<DocumentId>, RegistryError> {
        const ALLOW: &str = "DELETE FROM tombstones WHERE alias = $1 AND document_id = $2";
        let mut unknown = Vec::new();
        for document in documents {
            let allowing = sqlx::query(ALLOW).bind(alias.as_str()).bind(document.as_str());
            if self.bounded(allowing.execute(&self.pool)).await?.rows_affected() == 0 {
                unknown.push(document.clone());
            }
        }
        Ok(unknown)
    }

    /// All documents that are erased from `alias`.
    pub async fn tombstones(
        &self,
        alias: &AliasName,
    ) -> Result<HashMap<DocumentId, Tombstone>, RegistryError> {
        const ALL: &str = "SELECT document_id, erased_at, reason FROM tombstones WHERE alias = $1";
        let asking = sqlx::query_as::<_, (String, i64, String)>(ALL).bind(alias.as_str());
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|(document, erased_at, reason)| {
                let document = self.read("an erased document's name", DocumentId::parse(&document))?;
                let erased_at = self.time("an erasure's time", erased_at)?;
                Ok((document, Tombstone { erased_at, reason }))
            })
            .collect()
    }

    /// Erased documents that are in `generation` all the same: its build began before they were erased.
    pub async fn erased_but_written(
        &self,
        generation: &GenerationId,
    ) -> Result<Vec<DocumentId>, RegistryError> {
        const PRESENT: &str = "
            SELECT tombstones.document_id FROM tombstones
            JOIN generation_documents ON generation_documents.document_id = tombstones.document_id
            WHERE tombstones.alias = $1 AND generation_documents.generation = $2
            ORDER BY tombstones.document_id";
        let asking = sqlx::query_scalar::<_, String>(PRESENT)
            .bind(generation.alias().as_str())
            .bind(generation.as_str());
        let names = self.bounded(asking.fetch_all(&self.pool)).await?;
        names.iter().map(|name| self.read("an erased document's name", DocumentId::parse(name))).collect()
    }

    /// Remembers a generation that was derived from another one: it holds what that held, was live when that was, and
    /// what was measured of that one stands for it.
    pub async fn derive_generation(&self, from: &GenerationId, to: &Manifest) -> Result<(), RegistryError> {
        const DERIVE: &str = "
            INSERT INTO generations
                (generation, alias, state, fingerprint, embedding, documents, chunks,
                 begun_at, built_at, published_at, superseded_at)
            SELECT $2, alias, 'complete', fingerprint, embedding, CAST($3 AS BIGINT), CAST($4 AS BIGINT),
                   begun_at, CAST($5 AS BIGINT), published_at, superseded_at
            FROM generations WHERE generation = $1
            ON CONFLICT (generation) DO UPDATE
            SET state = 'complete', documents = excluded.documents, chunks = excluded.chunks";
        const COPY: [&str; 2] = [
            "INSERT INTO generation_documents (generation, document_id, content_hash, chunks)
            SELECT $2, document_id, content_hash, chunks FROM generation_documents WHERE generation = $1
            ON CONFLICT (generation, document_id) DO NOTHING",
            "INSERT INTO measurements (generation, measured_at, measured)
            SELECT $2, measured_at, measured FROM measurements WHERE generation = $1
            ON CONFLICT (generation) DO NOTHING",
        ];
        let counts = to.counts().unwrap_or_default();
        self.bounded(async {
            let mut transaction = self.begin().await?;
            sqlx::query(DERIVE)
                .bind(from.as_str())
                .bind(to.generation.as_str())
                .bind(stored(counts.documents))
                .bind(stored(counts.chunks))
                .bind(to.written_at.as_millisecond())
                .execute(&mut *transaction)
                .await?;
            for copy in COPY {
                let copying = sqlx::query(copy).bind(from.as_str()).bind(to.generation.as_str());
                copying.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
        .await
    }
}
