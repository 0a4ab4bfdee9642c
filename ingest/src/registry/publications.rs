//! Every move of an alias, and every canary: from what, to what, when, by which program, past which verdicts.
//! Never moves an alias.

use jiff::Timestamp;
use lectern_schema::canary::Share;
use lectern_schema::identifiers::{AliasName, GenerationId};
use uuid::Uuid;

use crate::lifecycle::gate::Verdict;
use crate::registry::error::RegistryError;
use crate::registry::{Registry, storable};

/// Which command moved the alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicationKind {
    /// Forward, past the gates.
    Publish,
    /// Back, to a generation that was live before.
    Rollback,
    /// Nowhere: a generation serves a share beside the live one.
    Canary,
    /// Forward, to the canary.
    Promote,
    /// Nowhere: the canary ends.
    Withdraw,
}

impl PublicationKind {
    const ALL: [Self; 5] = [Self::Publish, Self::Rollback, Self::Canary, Self::Promote, Self::Withdraw];

    /// The kind as the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Rollback => "rollback",
            Self::Canary => "canary",
            Self::Promote => "promote",
            Self::Withdraw => "withdraw",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One move of an alias, or the beginning or end of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Which command moved it.
    pub kind: PublicationKind,
    /// What it pointed at before; of a canary, what is live beside it; of a withdrawal, the canary.
    pub from: Option<GenerationId>,
    /// What it points at since; of a canary, the generation; of a withdrawal, what is live.
    pub to: GenerationId,
    /// When.
    pub at: Timestamp,
    /// The program and its version.
    pub program: String,
    /// Why it was moved past a refusing gate.
    pub forced: Option<String>,
    /// What the gates said.
    pub verdicts: Vec<Verdict>,
    /// A canary's share of the traffic.
    pub share: Option<Share>,
    /// Why a canary was withdrawn.
    pub reason: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    from_generation: Option<String>,
    to_generation: String,
    moved_at: i64,
    program: String,
    forced: Option<String>,
    verdicts: String,
    share: Option<i64>,
    reason: Option<String>,
}

impl Registry {
    /// Remembers a move, and with it that the one generation went live and the other ceased to be. Of a canary it remembers
    /// when it ended: a server may read it for a while longer.
    pub async fn record_publication(&self, publication: &Publication) -> Result<(), RegistryError> {
        const RECORD: &str = "
            INSERT INTO publications
                (publication_id, alias, kind, from_generation, to_generation, moved_at, program, forced, verdicts,
                 share, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        const WENT_LIVE: &str =
            "UPDATE generations SET published_at = $2, superseded_at = NULL WHERE generation = $1";
        const CEASED: &str = "
            UPDATE generations SET superseded_at = $2, published_at = COALESCE(published_at, $2)
            WHERE generation = $1";
        const WITHDRAWN: &str = "UPDATE generations SET superseded_at = $2 WHERE generation = $1";
        let at = publication.at.as_millisecond();
        let from = publication.from.as_ref().map(GenerationId::as_str);
        let verdicts = self.read("a gate's verdict", serde_json::to_string(&publication.verdicts))?;
        self.bounded(async {
            let mut transaction = self.begin().await?;
            sqlx::query(RECORD)
                .bind(Uuid::now_v7().to_string())
                .bind(publication.to.alias().as_str())
                .bind(publication.kind.as_str())
                .bind(from)
                .bind(publication.to.as_str())
                .bind(at)
                .bind(publication.program.as_str())
                .bind(publication.forced.as_deref().map(storable).as_deref())
                .bind(verdicts)
                .bind(publication.share.map(|share| i64::from(share.percent())))
                .bind(publication.reason.as_deref().map(storable).as_deref())
                .execute(&mut *transaction)
                .await?;
            let (ended, live) = match publication.kind {
                PublicationKind::Publish | PublicationKind::Promote | PublicationKind::Rollback => {
                    (from.map(|from| (CEASED, from)), Some(publication.to.as_str()))
                }
                PublicationKind::Withdraw => (from.map(|from| (WITHDRAWN, from)), None),
                PublicationKind::Canary => (None, None),
            };
            for (statement, generation) in ended.into_iter().chain(live.map(|live| (WENT_LIVE, live))) {
                sqlx::query(statement).bind(generation).bind(at).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// The last `limit` moves and canaries of `alias`, newest first.
    pub async fn publications(
        &self,
        alias: &AliasName,
        limit: u32,
    ) -> Result<Vec<Publication>, RegistryError> {
        const NEWEST: &str = "
            SELECT kind, from_generation, to_generation, moved_at, program, forced, verdicts, share, reason
            FROM publications WHERE alias = $1
            ORDER BY moved_at DESC, publication_id DESC LIMIT $2";
        let asking = sqlx::query_as::<_, Row>(NEWEST).bind(alias.as_str()).bind(i64::from(limit));
        let rows = self.bounded(asking.fetch_all(&self.pool)).await?;
        rows.into_iter().map(|row| self.publication(row)).collect()
    }

    fn publication(&self, row: Row) -> Result<Publication, RegistryError> {
        let unknown = || RegistryError::from(self.database.damaged("a publication's kind", None));
        let from = row.from_generation.as_deref().map(GenerationId::parse).transpose();
        Ok(Publication {
            kind: PublicationKind::parse(&row.kind).ok_or_else(unknown)?,
            from: self.read("a publication's origin", from)?,
            to: self.read("a publication's target", GenerationId::parse(&row.to_generation))?,
            at: self.time("a publication's time", row.moved_at)?,
            program: row.program,
            forced: row.forced,
            verdicts: self.read("a gate's verdict", serde_json::from_str(&row.verdicts))?,
            share: row.share.map(|share| self.share(share)).transpose()?,
            reason: row.reason,
        })
    }

    fn share(&self, percent: i64) -> Result<Share, RegistryError> {
        let share = u8::try_from(percent).ok().and_then(|percent| Share::parse(percent).ok());
        share.ok_or_else(|| self.database.damaged("a canary's share", None).into())
    }
}
