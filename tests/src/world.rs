//! One test's world: a folder of documents, a store, a provider mock, and the real binaries run against them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lectern_test_qdrant::TestQdrant;
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries;
use crate::lectern::Lectern;
use crate::provider::Provider;

/// Everything that one test needs; gone when dropped.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    /// The model provider that server and ingest talk to.
    pub provider: Provider,
    /// The Qdrant test server, when the store is not the embedded one.
    pub qdrant: Option<TestQdrant>,
    settings: Vec<(String, String)>,
}

/// What a run of `lectern-ingest` left behind.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// The JSON object that `--json` prints.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|bad| panic!("{bad} in {self:?}"))
    }

    /// Asserts success.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl World {
    /// A world on the embedded store.
    pub async fn embedded() -> Self {
        Self::new(None).await
    }

    /// A world on the Qdrant test server.
    pub async fn remote() -> Self {
        Self::on(TestQdrant::start().await).await
    }

    /// A world on this Qdrant test server.
    pub async fn on(qdrant: TestQdrant) -> Self {
        Self::new(Some(qdrant)).await
    }

    async fn new(qdrant: Option<TestQdrant>) -> Self {
        let folder = TempDir::new().unwrap();
        let provider = Provider::start().await.unwrap();
        let data = folder.path().join("data");
        let mut world = Self { folder, provider, qdrant, settings: Vec::new() };
        world.set("LECTERN_STORE__PATH", data.to_str().unwrap());
        world.set("LECTERN_SQL__URL", &format!("sqlite:{}", data.join("lectern.db").display()));
        let url = world.provider.url();
        world.set("LECTERN_EMBEDDER__KIND", "openai");
        world.set("LECTERN_EMBEDDER__URL", &url);
        world.set("LECTERN_EMBEDDER__MODEL", "hashed-words");
        world.set("LECTERN_EMBEDDER__DIMENSION", "64");
        if let Some(qdrant) = &world.qdrant {
            let url = qdrant.url();
            world.set("LECTERN_STORE__KIND", "qdrant");
            world.set("LECTERN_STORE__URL", &url);
        }
        world
    }

    /// Lets answers be written by the provider's chat model.
    #[must_use]
    pub fn with_llm(mut self) -> Self {
        let url = self.provider.url();
        self.set("LECTERN_LLM__KIND", "openai");
        self.set("LECTERN_LLM__URL", &url);
        self.set("LECTERN_LLM__MODEL", "mock-chat");
        self
    }

    /// Sets a variable for every process started from here on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The variables.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The test's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that is ingested.
    pub fn documents(&self) -> PathBuf {
        self.folder.path().join("documents")
    }

    /// Writes a document.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.documents().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// `lectern-ingest` with these arguments, not yet started.
    pub fn ingest_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::path("lectern-ingest"));
        command.args(arguments).envs(self.settings.iter().cloned()).current_dir(self.folder.path());
        command
    }

    /// Runs `lectern-ingest` to its end, without blocking the runtime that the provider lives on.
    pub async fn ingest(&self, arguments: &[&str]) -> Ran {
        let mut command = self.ingest_command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    /// Ingests and publishes the folder: the new generation's name.
    pub async fn publish(&self) -> String {
        let ran = self.ingest(&["run", "documents", "--json"]).await.ok();
        ran.json()["generation"].as_str().unwrap().to_owned()
    }

    /// Starts a server.
    pub fn serve(&self) -> Lectern {
        Lectern::start(&self.settings, self.folder.path().join("lectern.log"))
    }
}
