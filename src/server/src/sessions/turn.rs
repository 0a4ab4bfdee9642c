//! A turn under way: begun behind those before it, ended exactly once, also when the one who asked has gone.
//! Never makes an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::TenantId;

use crate::sessions::error::SessionError;
use crate::sessions::history::History;
use crate::sessions::id::SessionId;
use crate::sessions::store::SessionStore;
use crate::sessions::turns::{NewTurn, Outcome, TurnKey};
use crate::sessions::{Sessions, later};

/// A question for a session.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The session.
    pub session: SessionId,
    /// Who asks.
    pub tenant: TenantId,
    /// The request that asks.
    pub request_id: String,
    /// The question as asked.
    pub question: String,
}

/// A turn that holds its session: later ones wait for its end. One that is dropped without an end has failed.
#[derive(Debug)]
pub struct OpenTurn {
    sessions: Arc<Sessions>,
    store: Arc<SessionStore>,
    key: TurnKey,
    /// When its lease has run out at the latest.
    lapses: Deadline,
    history: Arc<History>,
    is_ended: bool,
}

impl Sessions {
    /// How long saving may take once the answer is there.
    pub const SAVE_BOUND: Duration = SessionStore::PATIENCE;
    /// Pause before a database that was down is told again that a turn has failed.
    const TOLD_AGAIN: Duration = Duration::from_millis(250);
    /// First and longest pause between two looks at whether the turn before has ended.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));

    /// Begins a turn: takes the next place in the session, waits until all turns before it have ended, on whichever
    /// replica, and reads what they said.
    pub async fn begin_turn(
        self: &Arc<Self>,
        request: TurnRequest,
        deadline: Deadline,
    ) -> Result<OpenTurn, SessionError> {
        let store = self.store()?;
        // In a task of its own: a caller who leaves while the place is being taken leaves a turn that fails, not one
        // that nobody knows of.
        let sessions = Arc::clone(self);
        let taking = self
            .tasks
            .spawn_on(async move { sessions.take_place(store, request, deadline).await }, &self.runtime);
        let mut turn = taking.await.map_err(|_| SessionError::Damaged(None))??;
        turn.wait(deadline).await?;
        turn.remember(deadline).await?;
        Ok(turn)
    }

    async fn take_place(
        self: Arc<Self>,
        store: Arc<SessionStore>,
        request: TurnRequest,
        deadline: Deadline,
    ) -> Result<OpenTurn, SessionError> {
        let now = self.clock.now();
        let TurnRequest { session, tenant, request_id, question } = request;
        let holder = self.holder.clone();
        let closes = deadline.extended_by(Self::SAVE_BOUND);
        let (closes_at, lapses) =
            (later(now, closes.remaining(Instant::now())), closes.extended_by(self.section.lease));
        let turn = NewTurn { session, tenant, request_id, question, holder, closes_at };
        let key = store.begin_turn(&turn, self.terms(), now, deadline).await?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(OpenTurn { sessions: self, store, key, lapses, history: Arc::default(), is_ended: false })
    }

    /// Lets a turn have failed, as soon as the database can be told: the next question of its session waits for that, or for
    /// the end of the lease.
    async fn fail(&self, store: &SessionStore, key: TurnKey, lapses: Deadline) -> Result<(), SessionError> {
        loop {
            let deadline = Deadline::after(Instant::now(), Self::SAVE_BOUND);
            let told = store.fail_turn(key, self.clock.now(), deadline).await;
            let is_over = lapses.has_passed(Instant::now()) || self.tasks.is_closed();
            match told {
                Err(SessionError::Unavailable(_) | SessionError::Late { .. }) if !is_over => {
                    self.reachable(lapses).await;
                }
                told => return told,
            }
        }
    }

    /// Waits a moment, and on while the database is known to be down, but not for longer than it makes sense.
    async fn reachable(&self, until: Deadline) {
        loop {
            tokio::time::sleep(Self::TOLD_AGAIN).await;
            let is_over = until.has_passed(Instant::now()) || self.tasks.is_closed();
            if is_over || !self.is_down.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl OpenTurn {
    /// The session.
    pub fn session(&self) -> SessionId {
        self.key.session
    }

    /// What was said before.
    pub fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    /// Saves the answer.
    pub async fn finish(mut self, outcome: &Outcome) -> Result<(), SessionError> {
        let deadline = Deadline::after(Instant::now(), Sessions::SAVE_BOUND);
        self.store.finish_turn(self.key, outcome, self.sessions.clock.now(), deadline).await?;
        self.is_ended = true;
        Ok(())
    }

    async fn wait(&self, deadline: Deadline) -> Result<(), SessionError> {
        // The first turn has none before it.
        if self.key.number == 1 {
            return Ok(());
        }
        let (mut pause, longest) = Sessions::PAUSES;
        loop {
            let now = self.sessions.clock.now();
            match self.store.held_until(self.key, deadline).await? {
                None => return Ok(()),
                Some(until) if until <= now => {
                    self.store.give_up_before(self.key, now, deadline).await?;
                }
                Some(_) if deadline.has_passed(Instant::now()) => {
                    return Err(SessionError::Late { stage: "waiting for the session's question before" });
                }
                Some(_) => {
                    tokio::time::sleep(pause.min(deadline.remaining(Instant::now()))).await;
                    pause = longest.min(pause * 2);
                }
            }
        }
    }

    async fn remember(&mut self, deadline: Deadline) -> Result<(), SessionError> {
        let budget = self.sessions.section.history_tokens;
        if self.key.number > 1 && budget > 0 {
            let past = self.store.past(self.key, deadline).await?;
            self.history = Arc::new(History::newest(past, budget));
        }
        Ok(())
    }
}

impl Drop for OpenTurn {
    fn drop(&mut self) {
        self.sessions.open.fetch_sub(1, Ordering::Relaxed);
        if self.is_ended {
            return;
        }
        let (sessions, store) = (Arc::clone(&self.sessions), Arc::clone(&self.store));
        let (key, lapses) = (self.key, self.lapses);
        let failing = async move {
            // Where it cannot be told, the lease's end tells it.
            if let Err(error) = sessions.fail(&store, key, lapses).await {
                tracing::warn!(error = %crate::api::error::chain(&error), "failed turn not saved");
            }
        };
        self.sessions.tasks.spawn_on(failing, &self.sessions.runtime);
    }
}
