//! The bare loop as a child process: the floor that the benchmark compares with.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::binaries;

/// A running bare loop. Killed when dropped.
#[derive(Debug)]
pub struct BareLoop {
    child: Child,
    url: String,
}

impl BareLoop {
    /// Starts a loop between this provider and this store.
    pub fn start(provider: &str, store: &str, alias: &str) -> Self {
        let mut child = Command::new(binaries::path("bare-loop"))
            .args([provider, store, alias])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url }
    }

    /// Its address, `http://...`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BareLoop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
