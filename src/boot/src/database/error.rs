//! What can go wrong with the database, split by what the operator can do.
//! Never shows the database's address with its password.

use std::time::Duration;

/// What stood behind an error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Correct the configuration.
    #[error("sql.url: {0}")]
    Setting(&'static str),
    /// Start the database, free its disk, or wait.
    #[error("the database `{database}` is unavailable")]
    Unavailable {
        /// The database, without its password.
        database: String,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The database did not answer in time.
    #[error("the database `{database}` did not answer within {} ms", .bound.as_millis())]
    Late {
        /// The database, without its password.
        database: String,
        /// How long it was waited for.
        bound: Duration,
    },
    /// The database does not let us in, or does not let us do this: correct the credentials or the privileges.
    #[error("the database `{database}` refused access")]
    Refused {
        /// The database, without its password.
        database: String,
        /// Its reason.
        #[source]
        source: Cause,
    },
    /// The database holds something that no version of Lectern writes: restore it from a backup.
    #[error("the database `{database}` is damaged ({what})")]
    Damaged {
        /// The database, without its password.
        database: String,
        /// What is wrong with it.
        what: String,
        /// How it showed.
        #[source]
        source: Option<Cause>,
    },
    /// A newer Lectern has migrated the database: use that version.
    #[error("the database `{database}` was migrated to version {version} by a newer Lectern")]
    Newer {
        /// The database, without its password.
        database: String,
        /// The migration that this program does not know.
        version: i64,
    },
}
