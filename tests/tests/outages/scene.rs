//! One outage played: a fresh server behind wires, what clients see of it, and what none of them may ever see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use lectern_tests::lectern::{Lectern, Reply, events};
use lectern_tests::wire::{End, Wire};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::outage::{Dependency, Outage, State};
use crate::stage::{Stage, TRUTH};
use crate::table::Cell;

/// Deadline of every request: long enough for a busy machine to do in time what nothing is wrong with.
const DEADLINE: Duration = Duration::from_secs(4);
/// What a response may take beyond its deadline on a busy machine. A request that hangs takes far longer.
const GRACE: Duration = Duration::from_secs(3);
/// When readiness must have noticed: the longest look at a dependency takes 5 seconds.
const NOTICED: Duration = Duration::from_secs(30);

/// The columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Hybrid,
    Dense,
    Sparse,
    Ask,
    Stream,
    Cached,
    Session,
    Ready,
    Live,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 9] = [
        Self::Hybrid,
        Self::Dense,
        Self::Sparse,
        Self::Ask,
        Self::Stream,
        Self::Cached,
        Self::Session,
        Self::Ready,
        Self::Live,
    ];
}

/// What clients saw of an outage, in the order of [`Endpoint::ALL`].
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) outage: Outage,
    pub(crate) cells: Vec<Cell>,
    /// What must not be.
    pub(crate) amiss: Vec<String>,
}

/// A server, and the wires to what it depends on.
struct Scene {
    stage: Arc<Stage>,
    wires: Vec<(Dependency, Wire)>,
    server: Lectern,
    session: String,
    name: String,
}

/// Plays one outage to its end.
pub(crate) async fn play(stage: Arc<Stage>, outage: Outage) -> Row {
    let mut scene = Scene::open(stage, &outage).await;
    for (dependency, state) in &outage.0 {
        scene.inflict(*dependency, *state).await;
    }
    let ready = scene.noticed(&outage).await;
    let mut amiss = Vec::new();
    let mut cells = Vec::new();
    for (endpoint, (cell, faults)) in Endpoint::ALL.iter().zip(scene.look(&ready).await) {
        amiss.extend(faults.into_iter().map(|fault| format!("{outage}: {endpoint:?}: {fault}")));
        cells.push(cell);
    }
    if scene.server.log().contains("panicked") {
        amiss.push(format!("{outage}: {}", scene.server.log()));
    }
    Row { outage, cells, amiss }
}

impl Scene {
    /// A server that is well, has an answer in its cache, and a session.
    async fn open(stage: Arc<Stage>, outage: &Outage) -> Self {
        // One after the other: a start takes the processor from those that are looked at.
        let _turn = stage.opening.lock().await;
        let name = outage.to_string();
        let wire = |dependency| (dependency, Wire::to(honest(&stage, dependency)));
        let wires: Vec<(Dependency, Wire)> = Dependency::ALL.map(wire).into();
        let settings = settings(&stage, &wires);
        let log = stage.world.path().join(format!("{}.log", name.replace([' ', ','], "-")));
        let starting = tokio::task::spawn_blocking(move || Lectern::start(&settings, log));
        let server = starting.await.unwrap();
        server.ready().await;
        let session = server.post("/v1/sessions", &json!({})).await.body["session_id"].clone();
        let session = session.as_str().unwrap().to_owned();
        let scene = Self { stage: Arc::clone(&stage), wires, server, session, name };
        assert_eq!(scene.post("/v1/ask", &scene.ask("cached")).await.body["cache"], "miss");
        scene
    }

    async fn inflict(&mut self, dependency: Dependency, state: State) {
        let wire = self.wires.iter_mut().find(|(of, _)| *of == dependency).map(|(_, wire)| wire).unwrap();
        match state {
            State::Down => wire.cut().await,
            State::Slow => wire.hold(),
            State::Lying => match lie(&self.stage, dependency) {
                Some(liar) => wire.lead_to(liar).await,
                None => self.write_what_lectern_never_writes().await,
            },
        }
    }

    async fn write_what_lectern_never_writes(&self) {
        let mut connection = PgConnection::connect(&self.stage.database.url).await.unwrap();
        let writing = sqlx::query("UPDATE sessions SET turns = -7 WHERE session_id = $1").bind(&self.session);
        assert_eq!(writing.execute(&mut connection).await.unwrap().rows_affected(), 1);
        connection.close().await.unwrap();
    }

    /// Waits until readiness names all that it must.
    async fn noticed(&self, outage: &Outage) -> Reply {
        let began = Instant::now();
        loop {
            let ready = self.server.admin("/ready").await;
            let named = culprits(&ready);
            if outage.culprits().iter().all(|culprit| named.iter().any(|named| named == culprit)) {
                return ready;
            }
            assert!(began.elapsed() < NOTICED, "{outage}: readiness does not name it: {}", ready.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What each endpoint shows, all asked at once.
    async fn look(&self, ready: &Reply) -> Vec<(Cell, Vec<String>)> {
        let look = async |endpoint| match endpoint {
            Endpoint::Hybrid => self.search("hybrid").await,
            Endpoint::Dense => self.search("dense").await,
            Endpoint::Sparse => self.search("sparse").await,
            Endpoint::Ask => self.judge("/v1/ask", &self.ask("whole")).await,
            Endpoint::Stream => {
                let mut ask = self.ask("streamed");
                ask["stream"] = json!(true);
                self.judge("/v1/ask", &ask).await
            }
            Endpoint::Cached => {
                let (cell, mut faults) = self.judge("/v1/ask", &self.ask("cached")).await;
                if cell != Cell::ok() {
                    faults.push("a cached answer must always be served".to_owned());
                }
                (cell, faults)
            }
            Endpoint::Session => {
                let mut ask = self.ask("in a session");
                ask["session_id"] = json!(self.session);
                self.judge("/v1/ask", &ask).await
            }
            Endpoint::Ready => (Cell::of_ready(ready, culprits(ready)), retry_after_is_missing(ready)),
            Endpoint::Live => {
                let status = self.server.admin("/live").await.status.as_u16();
                let faults = if status == 200 { vec![] } else { vec![format!("not live: {status}")] };
                (Cell::of(status, vec![]), faults)
            }
        };
        join_all(Endpoint::ALL.map(look)).await
    }

    async fn search(&self, mode: &str) -> (Cell, Vec<String>) {
        let query = format!("On which port does the gateway listen, {mode}, with {}?", self.name);
        let body = json!({ "query": query, "mode": mode, "deadline_ms": DEADLINE.as_millis() });
        self.judge("/v1/search", &body).await
    }

    fn ask(&self, how: &str) -> Value {
        let question = format!("On which port does the gateway listen, {how}, with {}?", self.name);
        json!({ "question": question, "deadline_ms": DEADLINE.as_millis() })
    }

    /// The last that a client gets of a response, an event or a body.
    async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.server.http().post(format!("{}{path}", self.server.url())).json(body);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) => events(&text).last().unwrap().data.clone(),
        };
        Reply { status, headers, body }
    }

    async fn judge(&self, path: &str, body: &Value) -> (Cell, Vec<String>) {
        let began = Instant::now();
        let reply = self.post(path, body).await;
        let took = began.elapsed();
        let cell = Cell::of_reply(&reply);
        let mut faults = retry_after_is_missing(&reply);
        if took > DEADLINE + GRACE {
            faults.push(format!("took {took:?}"));
        }
        if !matches!(cell.status, 200 | 503 | 504) {
            faults.push(format!("neither an answer nor a dependency's failure: {}", reply.body));
        }
        let told = if path == "/v1/ask" { &reply.body["answer"] } else { &reply.body["hits"][0]["text"] };
        if cell.is_good() && !told.as_str().is_some_and(|text| text.contains(TRUTH)) {
            faults.push(format!("not the truth: {}", reply.body));
        }
        (cell, faults)
    }
}

fn honest(stage: &Stage, dependency: Dependency) -> End {
    match dependency {
        Dependency::Sql => End::Unix(stage.postgres.socket()),
        Dependency::Redis => End::of(&stage.redis.url()),
        Dependency::Embedder | Dependency::Llm => End::of(&stage.world.provider.url()),
        Dependency::Store => End::of(&stage.world.qdrant.as_ref().unwrap().url()),
    }
}

/// Who lies in the place of a dependency; the database does it itself.
fn lie(stage: &Stage, dependency: Dependency) -> Option<End> {
    match dependency {
        Dependency::Sql => None,
        Dependency::Redis | Dependency::Llm => Some(End::of(&stage.page.url())),
        Dependency::Embedder => Some(End::of(&stage.lying_embedder.url())),
        Dependency::Store => Some(End::of(&stage.lying_store.url())),
    }
}

fn settings(stage: &Stage, wires: &[(Dependency, Wire)]) -> Vec<(String, String)> {
    let mut settings = stage.world.settings().to_vec();
    for (dependency, wire) in wires {
        let address = wire.address();
        let (name, value) = match dependency {
            Dependency::Sql => {
                let (start, _) = stage.database.url.split_once("?host=").unwrap();
                let url = start.replace("@localhost/", &format!("@{address}/"));
                ("LECTERN_SQL__URL", format!("{url}?sslmode=disable"))
            }
            Dependency::Redis => ("LECTERN_CACHE__REDIS_URL", format!("redis://{address}/0")),
            Dependency::Embedder => ("LECTERN_EMBEDDER__URL", format!("http://{address}/v1")),
            Dependency::Store => ("LECTERN_STORE__URL", format!("http://{address}")),
            Dependency::Llm => ("LECTERN_LLM__URL", format!("http://{address}/v1")),
        };
        settings.retain(|(known, _)| known != name);
        settings.push((name.to_owned(), value));
    }
    settings
}

/// What readiness names.
fn culprits(ready: &Reply) -> Vec<String> {
    let failing = ready.body["failing"].as_array().cloned().unwrap_or_default();
    failing.iter().map(|failing| failing["dependency"].as_str().unwrap().to_owned()).collect()
}

/// Whoever is told to come back is told when: in the header, and in the body, which the last event of a stream is.
fn retry_after_is_missing(reply: &Reply) -> Vec<String> {
    let is_problem = reply.body.get("code").is_some();
    let status = reply.body["status"].as_u64().unwrap_or(reply.status.as_u16().into());
    let in_header = reply.status == 200 || reply.headers.contains_key("retry-after");
    let in_body = !is_problem || reply.body["retry_after_ms"].is_number();
    if matches!(status, 429 | 503) && !(in_header && in_body) {
        vec![format!("no Retry-After: {:?} {}", reply.headers, reply.body)]
    } else {
        vec![]
    }
}
