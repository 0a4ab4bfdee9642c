//! The real `lectern` as a child process on free ports, and a client that speaks to it as users do.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::binaries;

/// How long a server may take to start or to become ready in a test, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Lectern {
    child: Child,
    public: String,
    admin: String,
    log: PathBuf,
    http: reqwest::Client,
}

/// A response as a test looks at it.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: StatusCode,
    /// Response headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body as JSON; `null` when it is none.
    pub body: Value,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
}

impl Lectern {
    /// Starts the server with these environment variables, its log in `log`.
    pub fn start(variables: &[(String, String)], log: PathBuf) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new(binaries::path("lectern"))
            .envs(variables.iter().cloned())
            .env("LECTERN_HTTP__BIND", "127.0.0.1:0")
            .env("LECTERN_HTTP__ADMIN_BIND", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |prefix: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let shown =
                || format!("`{line}` on stdout; log: {}", std::fs::read_to_string(&log).unwrap_or_default());
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("{}", shown())).to_owned()
        };
        let (public, admin) = (address("listening on "), address("admin on "));
        let http = reqwest::Client::builder().pool_max_idle_per_host(256).build().unwrap();
        Self { child, public, admin, log, http }
    }

    /// Waits until `/ready` says 200.
    pub async fn ready(&self) -> &Self {
        let began = Instant::now();
        loop {
            let reply = self.admin("/ready").await;
            if reply.status == StatusCode::OK {
                return self;
            }
            assert!(began.elapsed() < PATIENCE, "not ready: {} {}", reply.body, self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the configured alias is served from `generation`.
    pub async fn serves(&self, generation: &str) -> &Self {
        let began = Instant::now();
        loop {
            let aliases = self.admin("/v1/admin/generations").await.body;
            if aliases["aliases"].as_array().unwrap().iter().any(|alias| alias["generation"] == generation) {
                return self;
            }
            assert!(began.elapsed() < PATIENCE, "{generation} is not served: {aliases} {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Address of the public listener, `http://...`.
    pub fn url(&self) -> &str {
        &self.public
    }

    /// The client, for requests that the methods below do not make.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        reply(self.http.post(format!("{}{path}", self.public)).json(body)).await
    }

    /// `POST path` with bytes as they are.
    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.http.post(format!("{}{path}", self.public));
        reply(request.header("content-type", "application/json").body(body)).await
    }

    /// `GET path` of the public listener.
    pub async fn get(&self, path: &str) -> Reply {
        reply(self.http.get(format!("{}{path}", self.public))).await
    }

    /// `GET path` of the admin listener.
    pub async fn admin(&self, path: &str) -> Reply {
        reply(self.http.get(format!("{}{path}", self.admin))).await
    }

    /// The metrics as text.
    pub async fn metrics(&self) -> String {
        self.http.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    /// `POST /v1/ask` as a stream, read to its end.
    pub async fn stream(&self, body: &Value) -> Vec<Event> {
        let request = self.http.post(format!("{}/v1/ask", self.public)).header("accept", "text/event-stream");
        let response = request.json(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        events(&response.text().await.unwrap())
    }

    /// Asks the process to end, and waits until it has: its exit code.
    pub fn terminate(self) -> Option<i32> {
        self.ask_to_end();
        self.ended()
    }

    /// Waits until the process has ended: its exit code.
    pub fn ended(mut self) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not end: {}", self.log())
    }

    /// Asks the process to end, without waiting.
    pub fn ask_to_end(&self) {
        signal(&self.child, "-TERM");
    }

    /// Kills the process where it stands.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Lectern {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

async fn reply(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
    Reply { status, headers, body }
}

/// Cuts a stream into its events. Comments are left out.
pub fn events(text: &str) -> Vec<Event> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        Event {
            name: name.strip_prefix("event: ").unwrap().to_owned(),
            data: serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
        }
    };
    blocks.map(event).collect()
}
