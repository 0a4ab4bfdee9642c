//! A real PostgreSQL for tests: one server per test process, started when first asked for, or one of a test's own that it
//! can stop and start again; one database per test.
//! Never outlives the test process, however that ends, and never listens on a network.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::migrate::MigrateDatabase;
use sqlx::{Connection, PgConnection, Postgres};

/// The password is checked by the server, so that tests notice one that gets lost.
pub const PASSWORD: &str = "planted-secret";

const USER: &str = "lectern";
/// A cold start takes half a second on an idle machine; CI machines are not idle.
const START_BOUND: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The system's `nobody`, the same on every Debian and Ubuntu.
const NOBODY: u32 = 65_534;
/// Runs the server in the background, stops and starts it as it is told, and waits for its own input to end, which happens
/// when the test process does. The traps keep it alive through signals meant for the test process, until it has cleaned up.
const WATCHDOG: &str = r#"
    trap : HUP INT TERM
    start() {
        "$1/postgres" -D "$2/data" >>"$2/log" 2>&1 </dev/null &
        server=$!
    }
    start "$@"
    while read -r order; do
        case "$order" in
            stop) kill -INT "$server"; wait "$server" ;;
            start) start "$@" ;;
        esac
    done
    kill -QUIT "$server" 2>/dev/null
    wait "$server"
    rm -rf "$2"
"#;

/// A database of a test's own, empty.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its address, as `sql.url` takes it.
    pub url: String,
}

/// Creates an empty database, on the server that this process starts when it asks for the first time.
///
/// # Panics
/// When PostgreSQL is not installed or does not start: a test that needs it must not pass without it.
pub async fn database() -> Database {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start().unwrap_or_else(|reason| panic!("{reason}"))).database().await
}

/// A PostgreSQL server. Ended when dropped.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    started: Instant,
    /// What the watchdog is told. Open as long as this process lives: its sign of life.
    orders: ChildStdin,
}

impl Server {
    /// A server of the test's own.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub async fn own() -> Self {
        let server = Self::start().unwrap_or_else(|reason| panic!("{reason}"));
        server.wait_until_it_answers().await;
        server
    }

    /// Creates an empty database.
    pub async fn database(&self) -> Database {
        static NAMED: AtomicU32 = AtomicU32::new(0);
        self.wait_until_it_answers().await;
        let url = self.url(&format!("test_{}", NAMED.fetch_add(1, Ordering::Relaxed)));
        Postgres::create_database(&url).await.expect("a database on our own server");
        Database { url }
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// Stops the server as an operator does: connections are ended, what was committed is kept.
    pub async fn stop(&mut self) {
        self.orders.write_all(b"stop\n").unwrap();
        let began = Instant::now();
        while self.folder.join("data/postmaster.pid").exists() {
            assert!(began.elapsed() < START_BOUND, "PostgreSQL does not stop");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Starts it again. It answers when this returns.
    pub async fn start_again(&mut self) {
        self.orders.write_all(b"start\n").unwrap();
        self.started = Instant::now();
        self.wait_until_it_answers().await;
    }

    fn start() -> Result<Self, String> {
        let programs = programs().ok_or(
            "these tests need PostgreSQL's `initdb` and `postgres`, and found neither on PATH nor by pg_config nor in /usr/lib/postgresql: `make test` installs them, or `apt-get install postgresql`",
        )?;
        let folder = folder().map_err(|error| format!("no folder for PostgreSQL's data: {error}"))?;
        initialise(&programs, &folder)?;
        let mut watchdog = watch(&programs, &folder).map_err(|error| format!("no watchdog: {error}"))?;
        let orders = watchdog.stdin.take().ok_or("the watchdog has no input")?;
        Ok(Self { folder, started: Instant::now(), orders })
    }

    fn url(&self, database: &str) -> String {
        let folder = self.folder.display();
        format!("postgres://{USER}:{PASSWORD}@localhost/{database}?host={folder}&sslmode=disable")
    }

    async fn wait_until_it_answers(&self) {
        loop {
            match PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return drop(connection.close().await),
                Err(error) if START_BOUND < self.started.elapsed() => {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    panic!("PostgreSQL does not start: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }
}

/// A fresh folder that the server's user owns. Directly below /tmp: a socket's path has at most 107 bytes.
fn folder() -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix("lectern-postgres-").tempdir_in("/tmp")?.keep();
    if is_root(&folder)? {
        chown(&folder, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(folder)
}

fn is_root(ours: &Path) -> io::Result<bool> {
    Ok(fs::metadata(ours)?.uid() == 0)
}

/// PostgreSQL refuses to run as root: a folder that was given to `nobody` is served by `nobody`.
fn as_owner_of(folder: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let owner = fs::metadata(folder).map(|folder| (folder.uid(), folder.gid()));
    if let Ok((uid @ NOBODY, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder);
    command
}

fn initialise(programs: &Path, folder: &Path) -> Result<(), String> {
    let secret = folder.join("password");
    fs::write(&secret, PASSWORD).map_err(|error| format!("cannot write {}: {error}", secret.display()))?;
    let done = as_owner_of(folder, programs.join("initdb"))
        .args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", "--username", USER])
        .arg("--pwfile")
        .arg(&secret)
        .arg(folder.join("data"))
        .output()
        .map_err(|error| format!("initdb cannot be run: {error}"))?;
    if !done.status.success() {
        return Err(format!("initdb failed: {}", String::from_utf8_lossy(&done.stderr)));
    }
    // Nothing here must survive a crash, and no other machine may connect.
    let settings = format!(
        "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nsynchronous_commit = off\n\
         full_page_writes = off\nshared_buffers = '16MB'\nmax_connections = 100\n",
        folder.display()
    );
    fs::write(folder.join("data/postgresql.auto.conf"), settings)
        .map_err(|error| format!("PostgreSQL cannot be configured: {error}"))
}

fn watch(programs: &Path, folder: &Path) -> io::Result<Child> {
    as_owner_of(folder, "/bin/sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .args([programs, folder])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Where `initdb` and `postgres` are: what `pg_config` says, the newest of Debian's versions, or PATH.
fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|told| String::from_utf8(told.stdout).ok());
    let told = told.map(|text| PathBuf::from(text.trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    told.into_iter().chain(packaged()).chain(std::env::split_paths(&path)).find(|folder| {
        folder.is_absolute() && ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
    })
}

fn packaged() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    folders.sort();
    folders.into_iter().rev().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_test_has_a_database_of_its_own_behind_a_password() {
        let (one, other) = (database().await, database().await);
        assert_ne!(one.url, other.url);
        PgConnection::connect(&one.url).await.unwrap().close().await.unwrap();
        let refused = PgConnection::connect(&one.url.replace(PASSWORD, "guessed")).await;
        assert!(refused.is_err());
    }

    #[test]
    fn the_server_ends_with_the_process_that_started_it() {
        let server = Server::start().unwrap();
        let pid = server.folder.join("data/postmaster.pid");
        let deadline = Instant::now() + START_BOUND;
        while !pid.exists() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
        assert!(pid.exists());
        let folder = server.folder.clone();
        // What the kernel does with the pipe when a process dies, by whatever signal.
        drop(server);
        while folder.exists() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
        assert!(!folder.exists(), "the server is still there");
    }
}
