//! Turns in SQL: begun in order, ended once, exported, held by a lease. One statement text serves SQLite and PostgreSQL.
//! Never reads a clock, and never waits for another turn: it tells until when to wait.

use std::time::Duration;

use jiff::Timestamp;
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::TenantId;

use crate::sessions::error::SessionError;
use crate::sessions::history::Past;
use crate::sessions::id::SessionId;
use crate::sessions::store::{SessionStore, stored};

/// A turn to begin.
#[derive(Debug, Clone)]
pub struct NewTurn {
    /// In which session.
    pub session: SessionId,
    /// Whose session it must be.
    pub tenant: TenantId,
    /// The request that asks.
    pub request_id: String,
    /// The question as asked.
    pub question: String,
    /// The process that will prolong the lease.
    pub holder: String,
    /// By when the turn has ended, whatever happens.
    pub closes_at: Timestamp,
}

/// How long things are held and kept.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a session is kept after its last question.
    pub ttl: Duration,
    /// Turns that are kept.
    pub max_turns: u32,
    /// How long a lease lasts that is not prolonged.
    pub lease: Duration,
}

/// Names a turn: its session, and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnKey {
    /// The session.
    pub session: SessionId,
    /// The place, from 1.
    pub number: u64,
}

/// What an answered turn keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The question as it stands alone, when it was rewritten.
    pub standalone: Option<String>,
    /// The answer's text.
    pub answer: String,
    /// Its citations as JSON.
    pub citations: String,
    /// The generation that it comes from.
    pub generation: String,
    /// The model that wrote it.
    pub model: String,
    /// What was skipped or replaced, as JSON.
    pub degraded: String,
    /// Tokens sent for it.
    pub prompt_tokens: u64,
    /// Tokens generated for it.
    pub completion_tokens: u64,
}

/// A turn as it is exported.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TurnRow {
    /// Its place in the session, from 1.
    pub number: i64,
    /// `open`, `answered` or `failed`.
    pub state: String,
    /// The request that asked.
    pub request_id: String,
    /// The question as asked.
    pub question: String,
    /// The question as it stands alone, when it was rewritten.
    pub standalone: Option<String>,
    /// The answer's text.
    pub answer: Option<String>,
    /// Its citations as JSON.
    pub citations: Option<String>,
    /// The generation that it comes from.
    pub generation: Option<String>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// What was skipped or replaced, as JSON.
    pub degraded: Option<String>,
    /// Tokens sent for it.
    pub prompt_tokens: i64,
    /// Tokens generated for it.
    pub completion_tokens: i64,
    /// When it was asked.
    pub began_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

impl SessionStore {
    /// Questions of one session that may be under way at once: more is a client that does not wait for its answers.
    pub const MOST_OPEN: i64 = 8;
    /// Turns that are looked at for a history: far more than any budget takes.
    const MOST_PAST: i64 = 64;

    /// Begins a turn behind all that were begun before, and deletes those beyond the ones that are kept.
    pub async fn begin_turn(
        &self,
        turn: &NewTurn,
        terms: Terms,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<TurnKey, SessionError> {
        const COUNT: &str = "
            UPDATE sessions SET turns = turns + 1, used_at = $1, expires_at = $2
            WHERE session_id = $3 AND tenant = $4 AND expires_at > $1
            RETURNING turns";
        const OPEN: &str =
            "SELECT COUNT(*) FROM turns WHERE session_id = $1 AND state = 'open' AND leased_until > $2";
        const BEGIN: &str = "
            INSERT INTO turns (session_id, number, state, request_id, question, began_at, holder, leased_until, closes_at)
            VALUES ($1, $2, 'open', $3, $4, $5, $6, $7, $8)";
        const FORGET: &str = "DELETE FROM turns WHERE session_id = $1 AND number <= $2 AND state <> 'open'";
        let session = turn.session.to_string();
        let (at, leased_until) = (now.as_millisecond(), after(now, terms.lease));
        let begun = self.writing(deadline, async {
            let mut work = self.begin().await?;
            let count = sqlx::query_scalar::<_, i64>(COUNT)
                .bind(at)
                .bind(after(now, terms.ttl))
                .bind(&session)
                .bind(turn.tenant.as_str());
            let Some(number) = count.fetch_optional(&mut *work).await? else {
                return work.rollback().await.map(|()| Begun::Unknown);
            };
            let open = sqlx::query_scalar::<_, i64>(OPEN).bind(&session).bind(at);
            if open.fetch_one(&mut *work).await? >= Self::MOST_OPEN {
                return work.rollback().await.map(|()| Begun::Crowded);
            }
            let begin = sqlx::query(BEGIN).bind(&session).bind(number).bind(&turn.request_id);
            let begin = begin.bind(storable(&turn.question)).bind(at).bind(&turn.holder);
            begin.bind(leased_until).bind(turn.closes_at.as_millisecond()).execute(&mut *work).await?;
            let last_forgotten = number - i64::from(terms.max_turns);
            if last_forgotten > 0 {
                sqlx::query(FORGET).bind(&session).bind(last_forgotten).execute(&mut *work).await?;
            }
            work.commit().await.map(|()| Begun::Turn(number))
        });
        match begun.await? {
            Begun::Unknown => Err(SessionError::Unknown),
            Begun::Crowded => Err(SessionError::Crowded),
            Begun::Turn(number) => {
                Ok(TurnKey { session: turn.session, number: self.count("a turn's number", number)? })
            }
        }
    }

    /// Until when the open turns before this one are leased; `None` when none is open.
    pub async fn held_until(
        &self,
        turn: TurnKey,
        deadline: Deadline,
    ) -> Result<Option<Timestamp>, SessionError> {
        const HELD: &str =
            "SELECT MAX(leased_until) FROM turns WHERE session_id = $1 AND number < $2 AND state = 'open'";
        let asking = sqlx::query_scalar::<_, Option<i64>>(HELD)
            .bind(turn.session.to_string())
            .bind(stored(turn.number));
        let until = self.bounded(deadline, asking.fetch_one(&self.pool)).await?;
        until.map(|until| self.time("a lease's end", until)).transpose()
    }

    /// Fails the open turns before this one: their leases have run out. What they answer from now on is not saved.
    pub async fn give_up_before(
        &self,
        turn: TurnKey,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), SessionError> {
        const GIVE_UP: &str = "
            UPDATE turns SET state = 'failed', ended_at = $3
            WHERE session_id = $1 AND number < $2 AND state = 'open' AND leased_until <= $3";
        let giving_up = sqlx::query(GIVE_UP)
            .bind(turn.session.to_string())
            .bind(stored(turn.number))
            .bind(now.as_millisecond());
        self.writing(deadline, giving_up.execute(&self.pool)).await.map(drop)
    }

    /// Fails all open turns whose leases have run out, in whatever session.
    pub async fn give_up_abandoned(&self, now: Timestamp, deadline: Deadline) -> Result<u64, SessionError> {
        const GIVE_UP: &str =
            "UPDATE turns SET state = 'failed', ended_at = $1 WHERE state = 'open' AND leased_until <= $1";
        let giving_up = sqlx::query(GIVE_UP).bind(now.as_millisecond());
        Ok(self.writing(deadline, giving_up.execute(&self.pool)).await?.rows_affected())
    }

    /// The answered turns before this one, newest first.
    pub async fn past(&self, turn: TurnKey, deadline: Deadline) -> Result<Vec<Past>, SessionError> {
        const PAST: &str = "
            SELECT question, standalone, answer FROM turns
            WHERE session_id = $1 AND number < $2 AND state = 'answered'
            ORDER BY number DESC LIMIT $3";
        let asking = sqlx::query_as::<_, (String, Option<String>, Option<String>)>(PAST)
            .bind(turn.session.to_string())
            .bind(stored(turn.number))
            .bind(Self::MOST_PAST);
        let rows = self.bounded(deadline, asking.fetch_all(&self.pool)).await?;
        let past = |(question, standalone, answer): (String, Option<String>, Option<String>)| {
            Past::new(question, standalone, answer.as_deref().unwrap_or_default())
        };
        Ok(rows.into_iter().map(past).collect())
    }

    /// Ends an open turn with its answer. One that is not open any more stays as it is: [`SessionError::Lost`].
    pub async fn finish_turn(
        &self,
        turn: TurnKey,
        outcome: &Outcome,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), SessionError> {
        const FINISH: &str = "
            UPDATE turns
            SET state = 'answered', standalone = $3, answer = $4, citations = $5, generation = $6, model = $7,
                degraded = $8, prompt_tokens = $9, completion_tokens = $10, ended_at = $11
            WHERE session_id = $1 AND number = $2 AND state = 'open'";
        let finishing = sqlx::query(FINISH)
            .bind(turn.session.to_string())
            .bind(stored(turn.number))
            .bind(outcome.standalone.as_deref().map(storable))
            .bind(storable(&outcome.answer))
            .bind(storable(&outcome.citations))
            .bind(&outcome.generation)
            .bind(&outcome.model)
            .bind(&outcome.degraded)
            .bind(stored(outcome.prompt_tokens))
            .bind(stored(outcome.completion_tokens))
            .bind(now.as_millisecond());
        let ended = self.writing(deadline, finishing.execute(&self.pool)).await?.rows_affected();
        if ended == 1 { Ok(()) } else { Err(SessionError::Lost) }
    }

    /// Ends an open turn without an answer. One that is not open any more stays as it is.
    pub async fn fail_turn(
        &self,
        turn: TurnKey,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), SessionError> {
        const FAIL: &str = "
            UPDATE turns SET state = 'failed', ended_at = $3
            WHERE session_id = $1 AND number = $2 AND state = 'open'";
        let failing = sqlx::query(FAIL)
            .bind(turn.session.to_string())
            .bind(stored(turn.number))
            .bind(now.as_millisecond());
        self.writing(deadline, failing.execute(&self.pool)).await.map(drop)
    }

    /// Prolongs the leases of all turns that `holder` has open, but none past the time by which it must have closed.
    pub async fn renew_turns(
        &self,
        holder: &str,
        lease: Duration,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), SessionError> {
        const RENEW: &str =
            "UPDATE turns SET leased_until = $2 WHERE holder = $1 AND state = 'open' AND closes_at > $3";
        let renewing = sqlx::query(RENEW).bind(holder).bind(after(now, lease)).bind(now.as_millisecond());
        self.writing(deadline, renewing.execute(&self.pool)).await.map(drop)
    }

    /// At most `limit` turns behind number `behind`, oldest first.
    pub async fn turns(
        &self,
        session: SessionId,
        behind: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<TurnRow>, SessionError> {
        const TURNS: &str = "
            SELECT number, state, request_id, question, standalone, answer, citations, generation, model, degraded,
                   prompt_tokens, completion_tokens, began_at, ended_at
            FROM turns WHERE session_id = $1 AND number > $2
            ORDER BY number LIMIT $3";
        let asking = sqlx::query_as::<_, TurnRow>(TURNS)
            .bind(session.to_string())
            .bind(stored(behind))
            .bind(i64::from(limit));
        self.bounded(deadline, asking.fetch_all(&self.pool)).await
    }
}

enum Begun {
    Unknown,
    Crowded,
    Turn(i64),
}

fn after(now: Timestamp, length: Duration) -> i64 {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_add(length)
}

/// PostgreSQL's TEXT cannot hold NUL; the text stays recognisable without it.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
