//! What can go wrong with a session, split by what the caller can do.
//! Never shows text of users or the database's address with its password.

use lectern_boot::database::error::DatabaseError;

/// Why a session could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Begin another session: this one never was, is somebody else's, has expired, or was erased.
    #[error("there is no such session")]
    Unknown,
    /// Wait for the answers: too many questions of the session are under way.
    #[error("too many questions of the session are under way")]
    Crowded,
    /// The deadline passed in the named stage.
    #[error("the deadline passed while {stage}")]
    Late {
        /// What the time ran out in.
        stage: &'static str,
    },
    /// The turn was given up before it could be saved: its lease had run out, or its session was erased.
    #[error("the turn was given up before it was saved")]
    Lost,
    /// Retry later: the database is not open yet.
    #[error("the database is not open")]
    Closed,
    /// Retry later: the database did not answer a moment ago, and is not asked until it does.
    #[error("the database is left alone for now")]
    Resting,
    /// Retry later: the database is down, or does not let us in.
    #[error("the database is unavailable")]
    Unavailable(#[source] DatabaseError),
    /// The database holds something that we did not write, or a task of ours failed: a bug, or damage.
    #[error("the session cannot be read")]
    Damaged(#[source] Option<DatabaseError>),
}

impl From<DatabaseError> for SessionError {
    fn from(error: DatabaseError) -> Self {
        match error {
            damaged @ DatabaseError::Damaged { .. } => Self::Damaged(Some(damaged)),
            DatabaseError::Setting(_)
            | DatabaseError::Unavailable { .. }
            | DatabaseError::Late { .. }
            | DatabaseError::Refused { .. }
            | DatabaseError::Newer { .. } => Self::Unavailable(error),
        }
    }
}
