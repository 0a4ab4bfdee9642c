//! Conversations, kept in SQL and never in the process: any replica can take the next question of any session.
//! Never answers a question, and never shows a session to another tenant.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use lectern_boot::database::error::DatabaseError;
use lectern_boot::database::{Database, SqlSection};
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::TenantId;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::sessions::clock::Clock;
use crate::sessions::config::SessionSection;
use crate::sessions::error::SessionError;
use crate::sessions::id::SessionId;
use crate::sessions::store::{Session, SessionStore};
use crate::sessions::turns::{Terms, TurnRow};

pub mod clock;
pub mod config;
pub mod error;
pub mod history;
pub mod id;
pub mod keeper;
pub mod recording;
pub mod store;
pub mod turn;
pub mod turns;

/// The sessions of all tenants. Usable before the database is: until then every call is [`SessionError::Closed`].
#[derive(Debug)]
pub struct Sessions {
    section: SessionSection,
    database: Database,
    connections: u32,
    store: ArcSwapOption<SessionStore>,
    trouble: ArcSwapOption<Trouble>,
    /// Whether the database did not answer when it was looked at last.
    is_down: AtomicBool,
    clock: Clock,
    /// Names this process in the leases of its turns.
    holder: String,
    /// Turns that this process has open.
    open: AtomicUsize,
    runtime: Handle,
    tasks: TaskTracker,
}

/// Why sessions cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server has just started, and the database has not answered yet.
    Opening,
    /// The reason, as operators may see it.
    Failing(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("the session database has not answered yet"),
            Self::Failing(reason) => f.write_str(reason),
        }
    }
}

impl Sessions {
    /// Sessions in the database that the section names. Connects to nothing: [`Self::keep`] does. What has to end although
    /// its request is gone runs on `runtime`.
    pub fn new(sql: &SqlSection, section: SessionSection, runtime: Handle) -> Result<Self, DatabaseError> {
        Ok(Self {
            section,
            database: sql.database()?,
            connections: sql.max_connections.get(),
            store: ArcSwapOption::empty(),
            trouble: ArcSwapOption::from_pointee(Trouble::Opening),
            is_down: AtomicBool::new(false),
            clock: Clock::start(),
            holder: Uuid::new_v4().to_string(),
            open: AtomicUsize::new(0),
            runtime,
            tasks: TaskTracker::new(),
        })
    }

    /// Why sessions cannot be used; `None` when they can.
    pub fn trouble(&self) -> Option<Arc<Trouble>> {
        self.trouble.load_full()
    }

    /// Begins a session.
    pub async fn create(&self, tenant: &TenantId, deadline: Deadline) -> Result<Session, SessionError> {
        let now = self.clock.now();
        let session = Session {
            id: SessionId::random(),
            tenant: tenant.clone(),
            created_at: now,
            used_at: now,
            expires_at: later(now, self.section.ttl),
            turns: 0,
        };
        self.store()?.create(&session, deadline).await?;
        Ok(session)
    }

    /// The tenant's session.
    pub async fn get(
        &self,
        id: SessionId,
        tenant: &TenantId,
        deadline: Deadline,
    ) -> Result<Session, SessionError> {
        self.store()?.get(id, tenant, self.clock.now(), deadline).await
    }

    /// Erases the tenant's session with all its turns. A question that is being answered in it leaves nothing behind.
    pub async fn erase(
        &self,
        id: SessionId,
        tenant: &TenantId,
        deadline: Deadline,
    ) -> Result<(), SessionError> {
        self.store()?.erase(id, tenant, deadline).await
    }

    /// At most `limit` turns of the tenant's session behind number `behind`, oldest first.
    pub async fn turns(
        &self,
        id: SessionId,
        tenant: &TenantId,
        (behind, limit): (u64, u32),
        deadline: Deadline,
    ) -> Result<Vec<TurnRow>, SessionError> {
        let store = self.store()?;
        store.get(id, tenant, self.clock.now(), deadline).await?;
        store.turns(id, behind, limit, deadline).await
    }

    /// The store, for what is begun: nobody waits for a database that is known to be down.
    fn store(&self) -> Result<Arc<SessionStore>, SessionError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(SessionError::Resting);
        }
        self.store.load_full().ok_or(SessionError::Closed)
    }

    fn terms(&self) -> Terms {
        let SessionSection { ttl, max_turns, lease, .. } = self.section;
        Terms { ttl, max_turns: max_turns.get(), lease }
    }
}

/// The time `length` after `now`, or the last there is.
fn later(now: Timestamp, length: Duration) -> Timestamp {
    now.checked_add(length).unwrap_or(Timestamp::MAX)
}
