//! What the gates said of generations, and what they measured of them.
//! Never judges anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lectern_schema::identifiers::{AliasName, GenerationId};
use uuid::Uuid;

use crate::examine::measured::Measured;
use crate::lifecycle::gate::Verdict;
use crate::registry::error::RegistryError;
use crate::registry::{Registry, storable};

/// One time that the gates were asked about a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// The generation.
    pub generation: GenerationId,
    /// What it was compared with, `None` when nothing was live.
    pub live: Option<GenerationId>,
    /// When.
    pub at: Timestamp,
    /// The program and its version.
    pub program: String,
    /// Why refusals were overruled.
    pub forced: Option<String>,
    /// What the gates said.
    pub verdicts: Vec<Verdict>,
}

#[derive(sqlx::FromRow)]
struct Row {
    generation: String,
    live: Option<String>,
    examined_at: i64,
    program: String,
    forced: Option<String>,
    verdicts: String,
}

impl Registry {
    /// Remembers what the gates said.
    pub async fn record_examination(&self, examination: &Examination) -> Result<(), RegistryError> {
        const RECORD: &str = "
            INSERT INTO examinations
                (examination_id, alias, generation, live, examined_at, program, forced, verdicts)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let verdicts = self.read("a gate's verdict", serde_json::to_string(&examination.verdicts))?;
        let recording = sqlx::query(RECORD)
            .bind(Uuid::now_v7().to_string())
            .bind(examination.generation.alias().as_str())
            .bind(examination.generation.as_str())
            .bind(examination.live.as_ref().map(GenerationId::as_str))
            .bind(examination.at.as_millisecond())
            .bind(examination.program.as_str())
            .bind(examination.forced.as_deref().map(storable).as_deref())
            .bind(storable(&verdicts).as_ref());
        self.bounded(recording.execute(&self.pool)).await.map(drop)
    }

    /// The last examination of each generation of `alias`.
    pub async fn last_examinations(
        &self,
        alias: &AliasName,
    ) -> Result<BTreeMap<GenerationId, Examination>, RegistryError> {
        const LAST: &str = "
            SELECT generation, live, examined_at, program, forced, verdicts FROM examinations AS one
            WHERE alias = $1 AND NOT EXISTS (
                SELECT 1 FROM examinations AS later
                WHERE later.alias = one.alias AND later.generation = one.generation
                AND (later.examined_at > one.examined_at
                    OR later.examined_at = one.examined_at AND later.examination_id > one.examination_id))";
        let asking = sqlx::query_as::<_, Row>(LAST).bind(alias.as_str());
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        let examinations = rows.into_iter().map(|row| {
            let examination = self.examination(row)?;
            Ok((examination.generation.clone(), examination))
        });
        examinations.collect()
    }

    fn examination(&self, row: Row) -> Result<Examination, RegistryError> {
        let live = row.live.as_deref().map(GenerationId::parse).transpose();
        Ok(Examination {
            generation: self.read("an examined generation", GenerationId::parse(&row.generation))?,
            live: self.read("an examination's comparison", live)?,
            at: self.time("an examination's time", row.examined_at)?,
            program: row.program,
            forced: row.forced,
            verdicts: self.read("a gate's verdict", serde_json::from_str(&row.verdicts))?,
        })
    }

    /// Remembers what was measured of a generation, in place of what was measured earlier.
    pub async fn record_measured(
        &self,
        generation: &GenerationId,
        measured: &Measured,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        const RECORD: &str = "
            INSERT INTO measurements (generation, measured_at, measured) VALUES ($1, $2, $3)
            ON CONFLICT (generation) DO UPDATE
            SET measured_at = excluded.measured_at, measured = excluded.measured";
        let measured = self.read("a measurement", serde_json::to_string(measured))?;
        let recording =
            sqlx::query(RECORD).bind(generation.as_str()).bind(now.as_millisecond()).bind(measured);
        self.bounded(recording.execute(&self.pool)).await.map(drop)
    }

    /// What was measured of a generation, `None` when nothing was, or by a version that measured something else.
    pub async fn measured(&self, generation: &GenerationId) -> Result<Option<Measured>, RegistryError> {
        const MEASURED: &str = "SELECT measured FROM measurements WHERE generation = $1";
        let asking = sqlx::query_scalar::<_, String>(MEASURED).bind(generation.as_str());
        let found = self.bounded(asking.fetch_optional(&self.pool)).await?;
        Ok(found.and_then(|measured| serde_json::from_str(&measured).ok()))
    }
}
