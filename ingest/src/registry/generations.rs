//! Generations as the registry remembers them: built from what, when, and whether they were ever live.
//! Never overrules the vector store on what exists, is whole or is live.

use jiff::Timestamp;
use lectern_schema::fingerprint::Fingerprint;
use lectern_schema::generation::{Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ContentHash, GenerationId};

use crate::registry::embeddings::EmbeddingDigest;
use crate::registry::error::RegistryError;
use crate::registry::{Registry, stored};

/// How far a generation has come, as the registry last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationState {
    /// Being built, or abandoned.
    Staging,
    /// Whole.
    Complete,
    /// Its build failed.
    Failed,
    /// Deleted from the store.
    Deleted,
}

impl GenerationState {
    /// The state as the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Staging, Self::Complete, Self::Failed, Self::Deleted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What the registry knows of one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRecord {
    /// Its name.
    pub generation: GenerationId,
    /// How far it came.
    pub state: GenerationState,
    /// Digest of what it was built with.
    pub fingerprint: String,
    /// Its counts, once it was whole.
    pub counts: Option<Counts>,
    /// Digest of what it holds, once it was whole; `None` when it is not known.
    pub content: Option<ContentHash>,
    /// When its build began.
    pub begun_at: Timestamp,
    /// When it became whole.
    pub built_at: Option<Timestamp>,
    /// When it last went live, `None` when it never was live.
    pub published_at: Option<Timestamp>,
    /// When it last ceased to be live.
    pub superseded_at: Option<Timestamp>,
    /// When a successor without erased documents took its place.
    pub condemned_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct Row {
    generation: String,
    state: String,
    fingerprint: String,
    documents: Option<i64>,
    chunks: Option<i64>,
    content: Option<String>,
    begun_at: i64,
    built_at: Option<i64>,
    published_at: Option<i64>,
    superseded_at: Option<i64>,
    condemned_at: Option<i64>,
}

impl Registry {
    /// Announces a generation that is about to be created, unless it is known already. Tells whether it was not.
    pub async fn announce_generation(
        &self,
        generation: &GenerationId,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<bool, RegistryError> {
        const ANNOUNCE: &str = "
            INSERT INTO generations (generation, alias, state, fingerprint, embedding, begun_at)
            VALUES ($1, $2, 'staging', $3, $4, $5)
            ON CONFLICT (generation) DO NOTHING";
        let announcing = sqlx::query(ANNOUNCE)
            .bind(generation.as_str())
            .bind(generation.alias().as_str())
            .bind(fingerprint.digest())
            .bind(EmbeddingDigest::of(&fingerprint.encoding.embedding).as_str().to_owned())
            .bind(now.as_millisecond());
        Ok(self.bounded(announcing.execute(&self.pool)).await?.rows_affected() == 1)
    }

    /// Takes back the announcement of a generation whose name was taken in the store.
    pub async fn withdraw_generation(&self, generation: &GenerationId) -> Result<(), RegistryError> {
        const WITHDRAW: &str = "DELETE FROM generations WHERE generation = $1 AND state = 'staging'";
        let withdrawing = sqlx::query(WITHDRAW).bind(generation.as_str());
        self.bounded(withdrawing.execute(&self.pool)).await.map(drop)
    }

    /// Remembers the digest of what a generation holds.
    pub async fn set_content(
        &self,
        generation: &GenerationId,
        content: &ContentHash,
    ) -> Result<(), RegistryError> {
        const SET_CONTENT: &str = "UPDATE generations SET content = $2 WHERE generation = $1";
        let setting = sqlx::query(SET_CONTENT).bind(generation.as_str()).bind(content.as_str());
        self.bounded(setting.execute(&self.pool)).await.map(drop)
    }

    /// Remembers that a build of `generation` begins, or begins again.
    pub async fn begin_generation(
        &self,
        generation: &GenerationId,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        const BEGIN: &str = "
            INSERT INTO generations (generation, alias, state, fingerprint, embedding, begun_at)
            VALUES ($1, $2, 'staging', $3, $4, $5)
            ON CONFLICT (generation) DO UPDATE
            SET state = 'staging', fingerprint = excluded.fingerprint, embedding = excluded.embedding";
        let beginning = sqlx::query(BEGIN)
            .bind(generation.as_str())
            .bind(generation.alias().as_str())
            .bind(fingerprint.digest())
            .bind(EmbeddingDigest::of(&fingerprint.encoding.embedding).as_str().to_owned())
            .bind(now.as_millisecond());
        self.bounded(beginning.execute(&self.pool)).await.map(drop)
    }

    /// Remembers that the generation of `manifest` is whole, also when it was not known before.
    /// Does nothing for a manifest without counts.
    pub async fn complete_generation(&self, manifest: &Manifest) -> Result<(), RegistryError> {
        const COMPLETE: &str = "
            INSERT INTO generations
                (generation, alias, state, fingerprint, embedding, documents, chunks, begun_at, built_at)
            VALUES ($1, $2, 'complete', $3, $4, $5, $6, $7, $8)
            ON CONFLICT (generation) DO UPDATE
            SET state = 'complete', fingerprint = excluded.fingerprint, embedding = excluded.embedding,
                documents = excluded.documents, chunks = excluded.chunks,
                built_at = COALESCE(generations.built_at, excluded.built_at)";
        let Some(counts) = manifest.counts() else { return Ok(()) };
        let completing = sqlx::query(COMPLETE)
            .bind(manifest.generation.as_str())
            .bind(manifest.generation.alias().as_str())
            .bind(manifest.fingerprint.digest())
            .bind(EmbeddingDigest::of(&manifest.fingerprint.encoding.embedding).as_str().to_owned())
            .bind(stored(counts.documents))
            .bind(stored(counts.chunks))
            .bind(manifest.generation.named_at().as_millisecond())
            .bind(manifest.written_at.as_millisecond());
        self.bounded(completing.execute(&self.pool)).await.map(drop)
    }

    /// Remembers that a generation's build failed.
    pub async fn fail_generation(&self, generation: &GenerationId) -> Result<(), RegistryError> {
        self.set_state(generation, GenerationState::Failed).await
    }

    /// Remembers that a generation is no longer in the store, and forgets what was in it and what was measured of it.
    pub async fn delete_generation(&self, generation: &GenerationId) -> Result<(), RegistryError> {
        const FORGET: [&str; 2] = [
            "DELETE FROM generation_documents WHERE generation = $1",
            "DELETE FROM measurements WHERE generation = $1",
        ];
        for forget in FORGET {
            self.bounded(sqlx::query(forget).bind(generation.as_str()).execute(&self.pool)).await?;
        }
        self.set_state(generation, GenerationState::Deleted).await
    }

    /// Remembers that a generation must not be used any more, since a successor without erased documents took its place.
    pub async fn condemn_generation(
        &self,
        generation: &GenerationId,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        const CONDEMN: &str = "UPDATE generations SET condemned_at = $2 WHERE generation = $1";
        let condemning = sqlx::query(CONDEMN).bind(generation.as_str()).bind(now.as_millisecond());
        self.bounded(condemning.execute(&self.pool)).await.map(drop)
    }

    async fn set_state(
        &self,
        generation: &GenerationId,
        state: GenerationState,
    ) -> Result<(), RegistryError> {
        const SET_STATE: &str = "UPDATE generations SET state = $2 WHERE generation = $1";
        let setting = sqlx::query(SET_STATE).bind(generation.as_str()).bind(state.as_str());
        self.bounded(setting.execute(&self.pool)).await.map(drop)
    }

    /// Remembers that a generation was live at `now` at the latest, when that is not known yet.
    pub async fn note_live(&self, generation: &GenerationId, now: Timestamp) -> Result<(), RegistryError> {
        const NOTE_LIVE: &str =
            "UPDATE generations SET published_at = $2 WHERE generation = $1 AND published_at IS NULL";
        let noting = sqlx::query(NOTE_LIVE).bind(generation.as_str()).bind(now.as_millisecond());
        self.bounded(noting.execute(&self.pool)).await.map(drop)
    }

    /// Remembers that a generation was found to be live no more at `now`, when its end is not known yet.
    pub async fn note_superseded(
        &self,
        generation: &GenerationId,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        const NOTE_SUPERSEDED: &str = "
            UPDATE generations SET superseded_at = $2
            WHERE generation = $1 AND superseded_at IS NULL";
        let noting = sqlx::query(NOTE_SUPERSEDED).bind(generation.as_str()).bind(now.as_millisecond());
        self.bounded(noting.execute(&self.pool)).await.map(drop)
    }

    /// All generations of `alias` that were ever begun, oldest first.
    pub async fn generations(&self, alias: &AliasName) -> Result<Vec<GenerationRecord>, RegistryError> {
        const OF_ALIAS: &str = "
            SELECT generation, state, fingerprint, documents, chunks, content,
                   begun_at, built_at, published_at, superseded_at, condemned_at
            FROM generations WHERE alias = $1";
        let asking = sqlx::query_as::<_, Row>(OF_ALIAS).bind(alias.as_str());
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        let mut records =
            rows.into_iter().map(|row| self.generation_record(row)).collect::<Result<Vec<_>, _>>()?;
        records.sort_by(|a, b| a.generation.cmp(&b.generation));
        Ok(records)
    }

    fn generation_record(&self, row: Row) -> Result<GenerationRecord, RegistryError> {
        let unknown = || RegistryError::from(self.database.damaged("a generation's state", None));
        let counts = row.documents.zip(row.chunks).map(|(documents, chunks)| {
            Ok::<_, RegistryError>(Counts {
                documents: self.count("a generation's documents", documents)?,
                chunks: self.count("a generation's chunks", chunks)?,
            })
        });
        let content = row.content.as_deref().map(ContentHash::parse).transpose();
        Ok(GenerationRecord {
            generation: self.read("a generation's name", GenerationId::parse(&row.generation))?,
            state: GenerationState::parse(&row.state).ok_or_else(unknown)?,
            fingerprint: row.fingerprint,
            counts: counts.transpose()?,
            content: self.read("a generation's digest", content)?,
            begun_at: self.time("a generation's beginning", row.begun_at)?,
            built_at: self.optional_time("a generation's completion", row.built_at)?,
            published_at: self.optional_time("a generation's publication", row.published_at)?,
            superseded_at: self.optional_time("a generation's end", row.superseded_at)?,
            condemned_at: self.optional_time("a generation's condemnation", row.condemned_at)?,
        })
    }
}
