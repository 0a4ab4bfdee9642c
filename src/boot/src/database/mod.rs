//! The SQL database that server and ingest share: its address, its dialect, its connections' settings, its migrations.
//! Never reads or writes a table: who owns one does.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};
use url::Url;

use self::error::{Cause, DatabaseError};

pub mod error;

/// Longest wait for a connection: a reachable database answers in milliseconds, a failing-over one within seconds.
pub const CONNECT_BOUND: Duration = Duration::from_secs(10);
/// Longest wait for all migrations.
const MIGRATE_BOUND: Duration = Duration::from_mins(5);
/// SQLite has no lock for migrating: of several processes that open a new file at once, all but one collide and
/// try again.
const MIGRATE_ATTEMPTS: u32 = 10;
const MIGRATE_PAUSE: Duration = Duration::from_millis(200);

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../../schema/migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../../schema/migrations/postgres");

/// The `sql` section of the configuration: which database holds sessions and registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlSection {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. Secret, because it can carry a password.
    pub url: SecretString,
    /// Most connections of one process.
    pub max_connections: NonZeroU32,
}

impl Default for SqlSection {
    fn default() -> Self {
        Self {
            url: SecretString::from("sqlite:./data/lectern.db"),
            max_connections: NonZeroU32::MIN.saturating_add(15),
        }
    }
}

impl SqlSection {
    /// The database that the section names.
    pub fn database(&self) -> Result<Database, DatabaseError> {
        Database::parse(self.url.expose_secret())
    }

    /// What is wrong with the section, by key.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        match self.database() {
            Err(DatabaseError::Setting(reason)) => vec![("url", reason.to_owned())],
            _ => Vec::new(),
        }
    }
}

/// The kinds of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One file, one writer at a time.
    Sqlite,
    /// A server.
    Postgres,
}

impl Dialect {
    /// Begins a transaction that writes. SQLite must take its write lock at once: a lock taken after reading does not
    /// wait for `busy_timeout` but fails when somebody else has written in between.
    pub fn begin(self) -> &'static str {
        const SQLITE: &str = "BEGIN IMMEDIATE";
        const POSTGRES: &str = "BEGIN";
        match self {
            Self::Sqlite => SQLITE,
            Self::Postgres => POSTGRES,
        }
    }

    /// The database's own clock in milliseconds, the one clock that all its clients share.
    pub fn clock(self) -> &'static str {
        const SQLITE: &str = "SELECT CAST(UNIXEPOCH('subsec') * 1000 AS BIGINT) AS now";
        const POSTGRES: &str = "SELECT CAST(EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000 AS BIGINT) AS now";
        match self {
            Self::Sqlite => SQLITE,
            Self::Postgres => POSTGRES,
        }
    }

    /// Takes deleted text out of what the database keeps beside its tables; `None` where it does so by itself, in its
    /// own time (PostgreSQL's vacuum).
    pub fn tidy(self) -> Option<&'static str> {
        const SQLITE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
        match self {
            Self::Sqlite => Some(SQLITE),
            Self::Postgres => None,
        }
    }

    /// What every new connection is told. `busy_timeout` comes first: switching to WAL waits for other connections.
    /// With WAL, `synchronous = NORMAL` cannot corrupt the file; a power cut may take the last commits, which every
    /// command of the ingest survives, and a conversation loses its last turn to. `secure_delete` overwrites what is
    /// deleted: erased text does not stay in the file's free pages.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA busy_timeout = 10000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA secure_delete = ON",
            ],
            Self::Postgres => &[
                "SET statement_timeout = '30s'",
                "SET lock_timeout = '10s'",
                "SET idle_in_transaction_session_timeout = '60s'",
            ],
        }
    }

    /// Applies [`Self::settings`] to a session.
    async fn settle(self, session: &mut AnyConnection) -> Result<(), sqlx::Error> {
        for setting in self.settings() {
            sqlx::query(*setting).execute(&mut *session).await?;
        }
        Ok(())
    }

    fn migrations(self) -> &'static Migrator {
        match self {
            Self::Sqlite => &SQLITE_MIGRATIONS,
            Self::Postgres => &POSTGRES_MIGRATIONS,
        }
    }
}

/// A database's address, checked. Shows itself without the password.
#[derive(Clone)]
pub struct Database {
    dialect: Dialect,
    url: Url,
    shown: String,
    file: Option<PathBuf>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.shown).finish()
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Database {
    /// Takes `sqlite:PATH` and `postgres://...`.
    fn parse(address: &str) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        match address.split_once(':') {
            Some(("sqlite", path)) => Self::sqlite(path.strip_prefix("//").unwrap_or(path)),
            Some(("postgres" | "postgresql", _)) => Self::postgres(address),
            _ => Err(DatabaseError::Setting(
                "must be `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`",
            )),
        }
    }

    fn sqlite(path: &str) -> Result<Self, DatabaseError> {
        if path.is_empty() || path.contains(":memory:") {
            return Err(DatabaseError::Setting(
                "it must outlive the process: name a file, as in `sqlite:./data/lectern.db`",
            ));
        }
        if path.contains('?') {
            return Err(DatabaseError::Setting("`sqlite:PATH` takes no parameters after the path"));
        }
        let unusable = |()| DatabaseError::Setting("the path of the SQLite file cannot be used");
        let file = std::path::absolute(path).map_err(|_| unusable(()))?;
        let mut url = Url::from_file_path(&file)
            .and_then(|file| Url::parse(&["sqlite:", file.path()].concat()).map_err(|_| ()))
            .map_err(unusable)?;
        url.set_query(Some("mode=rwc"));
        Ok(Self { dialect: Dialect::Sqlite, url, shown: format!("sqlite:{path}"), file: Some(file) })
    }

    fn postgres(address: &str) -> Result<Self, DatabaseError> {
        let url = Url::parse(address).map_err(|_| {
            DatabaseError::Setting(
                "is not a URL: `postgres://USER:PASSWORD@HOST/DATABASE` is expected, with special characters of the password percent-encoded",
            )
        })?;
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        // Fails only where there is no password to remove.
        let _ = bare.set_password(None);
        Ok(Self { dialect: Dialect::Postgres, url, shown: bare.to_string(), file: None })
    }

    /// Its kind.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn options(&self) -> Result<AnyConnectOptions, DatabaseError> {
        AnyConnectOptions::from_url(&self.url).map_err(|error| self.fault(error))
    }

    /// At most `connections` connections, each opened when it is needed and waited for at most `patience`.
    pub fn pool(&self, connections: u32, patience: Duration) -> Result<AnyPool, DatabaseError> {
        let dialect = self.dialect;
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(patience)
            .after_connect(move |session, _| Box::pin(async move { dialect.settle(session).await }))
            .connect_lazy_with(self.options()?);
        Ok(pool)
    }

    /// Creates what is missing around a SQLite file, connects once, so that the first fault is told with its cause and
    /// not as a pool's timeout, and brings the schema up to date.
    pub async fn prepare(&self) -> Result<(), DatabaseError> {
        self.create_directory()?;
        let options = self.options()?;
        let mut session = self.within(CONNECT_BOUND, self.first_session(&options)).await?;
        match tokio::time::timeout(MIGRATE_BOUND, self.migrate(&mut session)).await {
            Ok(migrated) => migrated?,
            Err(_) => return Err(self.late(MIGRATE_BOUND)),
        }
        self.within(CONNECT_BOUND, session.close()).await
    }

    /// Switching a new SQLite file to WAL fails at once, whatever `busy_timeout` says, while another process does the
    /// same: then it is tried again, for as long as the caller waits.
    async fn first_session(&self, options: &AnyConnectOptions) -> Result<AnyConnection, sqlx::Error> {
        let mut session = AnyConnection::connect_with(options).await?;
        loop {
            match self.dialect.settle(&mut session).await {
                Err(error) if self.dialect == Dialect::Sqlite && is_busy(&error) => {
                    tokio::time::sleep(MIGRATE_PAUSE).await;
                }
                settled => return settled.map(|()| session),
            }
        }
    }

    fn create_directory(&self) -> Result<(), DatabaseError> {
        let Some(directory) = self.file.as_deref().and_then(Path::parent) else { return Ok(()) };
        std::fs::create_dir_all(directory).map_err(|error| DatabaseError::Unavailable {
            database: self.shown.clone(),
            source: error.into(),
        })
    }

    async fn migrate(&self, session: &mut AnyConnection) -> Result<(), DatabaseError> {
        for _ in 1..MIGRATE_ATTEMPTS {
            match self.dialect.migrations().run_direct(None, session, false).await {
                Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
                    if self.dialect == Dialect::Sqlite =>
                {
                    tokio::time::sleep(MIGRATE_PAUSE).await;
                }
                done => return done.map_err(|error| self.migration_fault(error)),
            }
        }
        let last = self.dialect.migrations().run_direct(None, session, false).await;
        last.map_err(|error| self.migration_fault(error))
    }

    /// Runs database work with a bound, and tells its faults by what can be done about them.
    pub async fn within<T>(
        &self,
        bound: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(bound, work).await {
            Ok(done) => done.map_err(|error| self.fault(error)),
            Err(_) => Err(self.late(bound)),
        }
    }

    fn late(&self, bound: Duration) -> DatabaseError {
        DatabaseError::Late { database: self.shown.clone(), bound }
    }

    /// A fault of the content.
    pub fn damaged(&self, what: &str, source: Option<Cause>) -> DatabaseError {
        DatabaseError::Damaged { database: self.shown.clone(), what: what.to_owned(), source }
    }

    fn migration_fault(&self, error: MigrateError) -> DatabaseError {
        match error {
            MigrateError::VersionMissing(version) => {
                DatabaseError::Newer { database: self.shown.clone(), version }
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.fault(error),
            other => self.damaged("its migrations are not ours", Some(other.into())),
        }
    }

    fn fault(&self, error: sqlx::Error) -> DatabaseError {
        let database = self.shown.clone();
        match reaction(self.dialect, &error) {
            Reaction::Retry => DatabaseError::Unavailable { database, source: error.into() },
            Reaction::Configure => DatabaseError::Refused { database, source: error.into() },
            Reaction::Restore => self.damaged("a statement failed on its content", Some(error.into())),
        }
    }
}

/// What an operator can do about a fault.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    Retry,
    Configure,
    Restore,
}

fn reaction(dialect: Dialect, error: &sqlx::Error) -> Reaction {
    match error {
        sqlx::Error::Database(fault) => match (dialect, fault.code()) {
            (_, None) => Reaction::Retry,
            (Dialect::Sqlite, Some(code)) => of_sqlite(&code),
            (Dialect::Postgres, Some(code)) => of_postgres(&code),
        },
        sqlx::Error::Configuration(_) => Reaction::Configure,
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::AnyDriverError(_) => Reaction::Restore,
        _ => Reaction::Retry,
    }
}

/// Appendix A of PostgreSQL's manual: class 28 and 3D refuse the login, 42501 the privilege; 22, 23, 42 and XX001 up
/// are about content.
fn of_postgres(code: &str) -> Reaction {
    match (code, code.get(..2).unwrap_or_default()) {
        ("42501", _) | (_, "28" | "3D") => Reaction::Configure,
        ("XX001" | "XX002", _) | (_, "22" | "23" | "42") => Reaction::Restore,
        _ => Reaction::Retry,
    }
}

/// SQLite's primary result code is the low byte: 3, 8, 14 and 23 are about permissions; 1 (no such table), 11 (corrupt),
/// 19 (constraint), 20 (type) and 26 (not a database) about content.
fn of_sqlite(code: &str) -> Reaction {
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(3 | 8 | 14 | 23) => Reaction::Configure,
        Ok(1 | 11 | 19 | 20 | 26) => Reaction::Restore,
        _ => Reaction::Retry,
    }
}

/// Whether SQLite says that another session is in the way: `SQLITE_BUSY`, 5.
fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "5")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_neither_shown_nor_debugged() {
        let database =
            Database::parse("postgres://lectern:hunter2@db.example:5433/registry?password=hunter2").unwrap();
        assert_eq!(database.to_string(), "postgres://lectern@db.example:5433/registry");
        assert!(!format!("{database:?}").contains("hunter2"));
    }

    #[test]
    fn a_url_that_cannot_be_parsed_is_not_repeated() {
        let error = Database::parse("postgres://lectern:hunter2@[broken/registry").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_database_in_memory_is_refused_with_the_reason() {
        let error = Database::parse("sqlite::memory:").unwrap_err().to_string();
        assert!(error.contains("outlive the process"), "{error}");
    }

    #[test]
    fn other_databases_are_refused() {
        assert!(matches!(Database::parse("mysql://localhost/x"), Err(DatabaseError::Setting(_))));
        assert!(matches!(Database::parse("lectern.db"), Err(DatabaseError::Setting(_))));
    }

    #[test]
    fn faults_are_told_apart_by_what_can_be_done() {
        let postgres = [
            ("28P01", Reaction::Configure),
            ("3D000", Reaction::Configure),
            ("42501", Reaction::Configure),
            ("42P01", Reaction::Restore),
            ("57014", Reaction::Retry),
            ("53100", Reaction::Retry),
        ];
        for (code, expected) in postgres {
            assert_eq!(of_postgres(code), expected, "{code}");
        }
        let sqlite = [
            ("5", Reaction::Retry),
            ("517", Reaction::Retry),
            ("13", Reaction::Retry),
            ("26", Reaction::Restore),
            ("14", Reaction::Configure),
        ];
        for (code, expected) in sqlite {
            assert_eq!(of_sqlite(code), expected, "{code}");
        }
    }
}
