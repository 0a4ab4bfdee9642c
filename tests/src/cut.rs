//! A wire between Lectern and a PostgreSQL on a Unix socket that a test can cut and mend.
//! Never looks at what passes through it.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The name that PostgreSQL's clients look for in the folder that they are given.
const SOCKET: &str = ".s.PGSQL.5432";

/// A wire. Dropping it cuts it.
#[derive(Debug)]
pub struct Cut {
    /// The database's address through the wire, as `sql.url` takes it.
    pub url: String,
    folder: TempDir,
    behind: PathBuf,
    passing: Option<(JoinHandle<()>, Arc<Notify>)>,
}

impl Cut {
    /// A wire, not cut, before the database at `url`, whose socket's folder is its `host`.
    pub async fn before(url: &str) -> Self {
        let (start, rest) = url.split_once("?host=").unwrap();
        let (host, options) = rest.split_once('&').unwrap();
        // Directly below /tmp: a socket's path has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("lectern-cut-").tempdir_in("/tmp").unwrap();
        let url = format!("{start}?host={}&{options}", folder.path().display());
        let behind = PathBuf::from(host).join(SOCKET);
        let mut cut = Self { url, folder, behind, passing: None };
        cut.on().await;
        cut
    }

    /// Cuts all connections; new ones are refused.
    pub async fn off(&mut self) {
        if let Some((passing, stop)) = self.passing.take() {
            stop.notify_one();
            passing.await.unwrap();
            std::fs::remove_file(self.folder.path().join(SOCKET)).unwrap();
        }
    }

    /// Mends the wire.
    pub async fn on(&mut self) {
        self.off().await;
        let listener = UnixListener::bind(self.folder.path().join(SOCKET)).unwrap();
        let stop = Arc::new(Notify::new());
        let passing = tokio::spawn(pass(listener, self.behind.clone(), Arc::clone(&stop)));
        self.passing = Some((passing, stop));
    }
}

async fn pass(listener: UnixListener, behind: PathBuf, stop: Arc<Notify>) {
    // Dropping the set ends every connection.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.notified() => return,
        };
        let (mut client, _) = accepted.unwrap();
        let behind = behind.clone();
        connections.spawn(async move {
            let mut server = UnixStream::connect(behind).await.unwrap();
            // Ends with an error when either side breaks off: that is what it is for.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
