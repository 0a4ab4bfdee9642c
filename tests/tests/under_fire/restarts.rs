//! Dependencies that are stopped and started again under load: what does not need them goes on, the rest is refused with the
//! time to come back, readiness names the culprit, and nobody restarts the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lectern_test_qdrant::TestQdrant;
use lectern_tests::lectern::{Lectern, Reply};
use lectern_tests::postgres;
use lectern_tests::wire::{End, Wire};
use lectern_tests::world::World;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{question, served, until};

const DEADLINE: Duration = Duration::from_secs(4);
/// What a response may take beyond its deadline on a busy machine.
const GRACE: Duration = Duration::from_secs(3);
/// A probe is let through that often, so that the test need not wait for it.
const SETTINGS: [(&str, &str); 1] = [("LECTERN_RETRY__BREAKER_OPEN_MS", "300")];

/// An ask in time, and how it went.
#[derive(Debug)]
struct Asked {
    reply: Reply,
    took: Duration,
}

/// Clients that ask all the time, each its own way, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Asked>>>,
}

impl Load {
    /// Each client asks what its function makes of a number that no ask had before.
    fn of<const N: usize>(server: &Arc<Lectern>, clients: [Box<dyn Fn(usize) -> Value + Send>; N]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |body| tokio::spawn(client(Arc::clone(server), Arc::clone(&stop), body));
        Self { clients: clients.into_iter().map(spawn).collect(), stop: Arc::clone(&stop) }
    }

    /// What each client saw; none waited longer than its deadline, and none was refused without the time to come back.
    async fn seen(self) -> Vec<Vec<Reply>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Vec::new();
        for client in self.clients {
            let asked = client.await.unwrap();
            for Asked { reply, took } in &asked {
                assert!(*took < DEADLINE + GRACE, "{took:?} {reply:?}");
                assert!([200, 503, 504].contains(&reply.status.as_u16()), "{reply:?}");
                assert_eq!(reply.headers.contains_key("retry-after"), reply.status == 503, "{reply:?}");
            }
            seen.push(asked.into_iter().map(|asked| asked.reply).collect());
        }
        seen
    }
}

async fn client(
    server: Arc<Lectern>,
    stop: Arc<AtomicBool>,
    body: Box<dyn Fn(usize) -> Value + Send>,
) -> Vec<Asked> {
    static NEXT: AtomicUsize = AtomicUsize::new(1_000);
    let mut asked = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut body = body(NEXT.fetch_add(1, Ordering::Relaxed));
        body["deadline_ms"] = json!(DEADLINE.as_millis());
        let began = Instant::now();
        let reply = server.post("/v1/ask", &body).await;
        asked.push(Asked { reply, took: began.elapsed() });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asked
}

fn cached(_: usize) -> Value {
    question(1)
}

fn in_session(session: String) -> impl Fn(usize) -> Value + Send {
    move |number| {
        let mut ask = question(number);
        ask["session_id"] = json!(session);
        ask
    }
}

async fn session(server: &Lectern) -> String {
    server.post("/v1/sessions", &json!({})).await.body["session_id"].as_str().unwrap().to_owned()
}

async fn open_turns(server: &Lectern, session: &str) -> usize {
    let turns = server.get(&format!("/v1/sessions/{session}/turns")).await.body["turns"].clone();
    turns.as_array().unwrap().iter().filter(|turn| turn["state"] == "open").count()
}

/// Waits until readiness says this of this dependency.
async fn named(server: &Lectern, dependency: &str, status: u16) {
    let ready = async || server.admin("/ready").await;
    let seen =
        until("readiness names it", ready, |ready| ready.body["failing"][0]["dependency"] == dependency);
    assert_eq!(seen.await.status, status);
    assert_eq!(server.admin("/live").await.status, 200);
}

async fn ready_again(server: &Lectern) {
    until("ready", async || server.admin("/ready").await.body, |ready| ready["status"] == "ready").await;
}

fn all_are(replies: &[Reply], status: u16) -> bool {
    !replies.is_empty() && replies.iter().all(|reply| reply.status == status)
}

/// The codes of what was refused.
fn refusals(replies: &[Reply]) -> Vec<String> {
    let refused = replies.iter().filter(|reply| reply.status != 200);
    let mut codes: Vec<String> =
        refused.map(|reply| reply.body["code"].as_str().unwrap_or_default().to_owned()).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// Asserts that nothing else was refused. Nothing at all is, when the outage was short enough for the retries.
fn only(replies: &[Reply], code: &str) {
    let codes = refusals(replies);
    assert!(codes.iter().all(|refused| refused == code), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_qdrant_that_is_stopped_and_started_again_takes_what_is_not_cached_and_needs_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let qdrant = TestQdrant::builder().directory(folder.path()).start().await.unwrap();
    let port = qdrant.port();
    let (mut world, server) = served(World::on(qdrant).await, &SETTINGS).await;
    let server = Arc::new(server);
    assert_eq!(server.post("/v1/ask", &question(1)).await.status, 200);
    let load = Load::of(&server, [Box::new(cached), Box::new(question)]);
    world.qdrant.take().unwrap().stop().await;
    named(&server, "store", 503).await;
    for path in ["/v1/search", "/v1/ask"] {
        let text = if path == "/v1/ask" { "question" } else { "query" };
        let refused = server.post(path, &json!({ text: format!("Which port, {path}?") })).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("store_unavailable")));
        assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    }
    world.qdrant = Some(TestQdrant::builder().port(port).directory(folder.path()).start().await.unwrap());
    ready_again(&server).await;
    let asked = async || server.post("/v1/ask", &question(2)).await;
    until("answers are made again", asked, |reply| reply.status == 200).await;
    let seen = load.seen().await;
    assert!(all_are(&seen[0], 200), "{:?}", refusals(&seen[0]));
    assert!(seen[0].iter().all(|reply| reply.body["cache"] == "hit"));
    only(&seen[1], "store_unavailable");
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 9000.\n");
    server.serves(&world.publish().await).await;
    let new = server.post("/v1/ask", &question(1)).await.body;
    assert!(new["answer"].as_str().unwrap().contains("9000"), "{new}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_is_stopped_and_started_again_takes_sessions_alone_and_needs_no_restart() {
    let mut postgres = postgres::Server::own().await;
    let database = postgres.database().await;
    let settings =
        [("LECTERN_SQL__URL", database.url.as_str()), ("LECTERN_SESSION__LEASE_MS", "30000"), SETTINGS[0]];
    let (world, server) = served(World::embedded().await, &settings).await;
    let server = Arc::new(server);
    let (kept, busy) = (session(&server).await, session(&server).await);
    let first = server.post("/v1/ask", &in_session(kept.clone())(1)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(server.post("/v1/ask", &question(1)).await.status, 200);
    // So that the database is stopped in the middle of a turn.
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_millis(500));
    let load = Load::of(&server, [Box::new(cached), Box::new(question), Box::new(in_session(busy.clone()))]);
    until("a turn is open", async || open_turns(&server, &busy).await, |open| *open == 1).await;
    postgres.stop().await;
    named(&server, "sql", 200).await;
    let refused = server.post("/v1/ask", &in_session(kept.clone())(2)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("sql_unavailable")));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    postgres.start_again().await;
    ready_again(&server).await;
    let seen = load.seen().await;
    assert!(
        all_are(&seen[0], 200) && all_are(&seen[1], 200),
        "{:?}",
        [&seen[0], &seen[1]].map(|r| refusals(r))
    );
    only(&seen[2], "sql_unavailable");
    // Nobody waits for the lease of the turn that the outage broke: it lasts for 30 seconds here.
    for id in [kept, busy] {
        let asked = async || server.post("/v1/ask", &in_session(id.clone())(3)).await;
        until("the session goes on", asked, |reply| {
            reply.status == 200 && reply.body["degraded"] == json!([])
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_stopped_and_started_again_takes_what_needs_it_and_needs_no_restart() {
    let (mut world, server) = served(World::embedded().await, &SETTINGS).await;
    let server = Arc::new(server);
    assert_eq!(server.post("/v1/ask", &question(1)).await.status, 200);
    let load = Load::of(&server, [Box::new(cached), Box::new(question)]);
    world.provider.stop();
    let search = async |mode: &str, text: &str| {
        server.post("/v1/search", &json!({ "query": format!("Which port, {text}?"), "mode": mode })).await
    };
    let asked = async || server.post("/v1/ask", &question(2)).await;
    let refused = asked().await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("llm_unavailable")));
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    let dense = search("dense", "down").await;
    assert_eq!((dense.status.as_u16(), &dense.body["code"]), (503, &json!("embedder_unavailable")));
    assert_eq!(search("hybrid", "down").await.body["degraded"], json!(["dense_skipped"]));
    assert_eq!(search("sparse", "down").await.body["degraded"], json!([]));
    assert_eq!(server.admin("/ready").await.status, 200);
    world.provider.start_again().await.unwrap();
    until("answers are made again", asked, |reply| reply.status == 200).await;
    let hybrid = async || search("hybrid", "up").await.body;
    until("meaning is searched again", hybrid, |found| found["degraded"] == json!([])).await;
    let seen = load.seen().await;
    assert!(all_are(&seen[0], 200), "{:?}", refusals(&seen[0]));
    only(&seen[1], "llm_unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_known_to_be_down_is_not_waited_for() {
    let postgres = postgres::Server::own().await;
    let database = postgres.database().await;
    let mut wire = Wire::to(End::Unix(postgres.socket()));
    let (start, _) = database.url.split_once("?host=").unwrap();
    let url = start.replace("@localhost/", &format!("@{}/", wire.address())) + "?sslmode=disable";
    let (_world, server) = served(World::embedded().await, &[("LECTERN_SQL__URL", &url)]).await;
    let session = session(&server).await;
    wire.cut().await;
    named(&server, "sql", 200).await;
    // The connection pool tries for two seconds: there is no time for that, and no need.
    let mut ask = in_session(session)(1);
    ask["deadline_ms"] = json!(1_000);
    let refused = server.post("/v1/ask", &ask).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("sql_unavailable")));
}
