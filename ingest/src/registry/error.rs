//! What can go wrong between the ingest and its registry, split by what the operator can do.
//! Never shows the database's address with its password.

use std::time::Duration;

use jiff::Timestamp;
use lectern_boot::database::error::{Cause, DatabaseError};

use crate::registry::leases::LeaseName;

/// Why the registry could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Correct the configuration.
    #[error("sql.url: {0}")]
    Setting(&'static str),
    /// Start the database, free its disk, or wait: then run the same command again.
    #[error(
        "the registry `{database}` is unavailable: check that it runs, can be reached and has disk space, then run the command again"
    )]
    Unavailable {
        /// The database, without its password.
        database: String,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The database did not answer in time: run the same command again when it is less busy.
    #[error("the registry `{database}` did not answer within {} s: check its load, then run the command again", .bound.as_secs())]
    Late {
        /// The database, without its password.
        database: String,
        /// How long it was waited for.
        bound: Duration,
    },
    /// The database does not let us in, or does not let us do this: correct the credentials or the privileges.
    #[error(
        "the registry `{database}` refused access: check the file's permissions, or user, password, database name and privileges, in sql.url"
    )]
    Refused {
        /// The database, without its password.
        database: String,
        /// Its reason.
        #[source]
        source: Cause,
    },
    /// The registry holds something that no version of Lectern writes: restore it from a backup, or start with an empty one.
    #[error(
        "the registry `{database}` is damaged ({what}): restore it from a backup, or point sql.url at an empty database and ingest again"
    )]
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
    #[error(
        "the registry `{database}` was migrated to version {version} by a newer Lectern: use that version, or restore the backup made before it"
    )]
    Newer {
        /// The database, without its password.
        database: String,
        /// The migration that this program does not know.
        version: i64,
    },
    /// Somebody else is doing it now: wait for them.
    #[error(
        "{name} is held by {holder} until {until} at least: wait for it to finish, then run the command again"
    )]
    Held {
        /// What is held.
        name: LeaseName,
        /// By whom.
        holder: String,
        /// When the lease ends if it is not renewed.
        until: Timestamp,
    },
    /// We were stopped or cut off for so long that the lease ended: run the command again.
    #[error(
        "{name} was lost: this process, or its way to the registry, stood still for too long; run the command again"
    )]
    Lost {
        /// What was held.
        name: LeaseName,
    },
}

impl From<DatabaseError> for RegistryError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Setting(reason) => Self::Setting(reason),
            DatabaseError::Unavailable { database, source } => Self::Unavailable { database, source },
            DatabaseError::Late { database, bound } => Self::Late { database, bound },
            DatabaseError::Refused { database, source } => Self::Refused { database, source },
            DatabaseError::Damaged { database, what, source } => Self::Damaged { database, what, source },
            DatabaseError::Newer { database, version } => Self::Newer { database, version },
        }
    }
}
