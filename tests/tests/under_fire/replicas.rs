//! One replica against four behind a load balancer, ten clients against a hundred, and a new index in the middle of each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lectern_tests::lectern::Lectern;
use lectern_tests::postgres;
use lectern_tests::proxy::RoundRobin;
use lectern_tests::world::World;
use serde_json::{Value, json};

const REPLICAS: usize = 4;
/// Documents of each release, each of one sentence that names the release.
const DOCUMENTS: usize = 12;
/// Clients' pause between requests, so that the build gets its share of two cores.
const PAUSE: Duration = Duration::from_millis(20);

fn write_release(world: &World, release: usize) {
    for n in 0..DOCUMENTS {
        let text = format!(
            "# Handbook {n}\n\nRelease {release} of the handbook explains topic {n} to its readers.\n"
        );
        world.write(&format!("handbook-{n}.md"), &text);
    }
}

fn question(topic: usize) -> String {
    format!("What does the handbook explain about topic {topic}?")
}

/// The releases that a text speaks of.
fn releases(text: &str) -> impl Iterator<Item = usize> {
    text.split("Release ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
}

/// An answer as all replicas must give it, and whence.
#[derive(Debug)]
struct Told {
    generation: String,
    question: String,
    answer: String,
    releases: HashSet<usize>,
}

/// Speaks to one address, with a new connection for each request: a balancer then sends each to another replica.
#[derive(Debug, Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    fn of(url: &str) -> Self {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { http, url: url.to_owned() }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.succeeds(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.succeeds(self.http.get(format!("{}{path}", self.url))).await
    }

    async fn succeeds(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn ask(&self, topic: usize, session: Option<&str>, cache: &str) -> Told {
        let question = question(topic);
        let mut body = json!({ "question": question, "cache": cache });
        if let Some(session) = session {
            body["session_id"] = json!(session);
        }
        let said = self.post("/v1/ask", &body).await;
        let (answer, generation) = (said["answer"].as_str().unwrap(), said["generation"].as_str().unwrap());
        let quotes =
            said["citations"].as_array().unwrap().iter().map(|cited| cited["quote"].as_str().unwrap());
        let releases: HashSet<usize> = quotes.chain([answer]).flat_map(releases).collect();
        assert_eq!((&said["degraded"], releases.len()), (&json!([]), 1), "{said}");
        Told { generation: generation.to_owned(), answer: answer.to_owned(), question, releases }
    }
}

/// Talks in a session of its own until it is told to stop, then finds there what it asked, in that order.
async fn converse(client: Client, number: usize, stop: Arc<AtomicBool>) -> Vec<Told> {
    let begun = client.post("/v1/sessions", &json!({})).await;
    let session = begun["session_id"].as_str().unwrap();
    let mut told = Vec::new();
    let mut topic = number;
    while told.len() < 3 || !stop.load(Ordering::Relaxed) {
        let cache = ["use", "off"][topic % 2];
        told.push(client.ask(topic % DOCUMENTS, Some(session), cache).await);
        topic += 1;
        tokio::time::sleep(PAUSE).await;
    }
    let kept = client.get(&format!("/v1/sessions/{session}/turns?limit=200")).await;
    let turns = kept["turns"].as_array().unwrap().iter();
    let kept: Vec<(&str, &str)> =
        turns.map(|turn| (turn["question"].as_str().unwrap(), turn["answer"].as_str().unwrap())).collect();
    let said: Vec<(&str, &str)> = told.iter().map(|told| (&*told.question, &*told.answer)).collect();
    assert_eq!(kept, said);
    told
}

/// So many clients talk to one address while the next release is published.
async fn under_load(
    world: &World,
    servers: &[Lectern],
    (url, clients): (&str, usize),
    release: usize,
) -> Vec<Told> {
    let (stop, began, client) = (Arc::new(AtomicBool::new(false)), Instant::now(), Client::of(url));
    let clients: Vec<_> = (0..clients)
        .map(|number| tokio::spawn(converse(client.clone(), number, Arc::clone(&stop))))
        .collect();
    write_release(world, release);
    let generation = world.publish().await;
    for server in servers {
        server.serves(&generation).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut all, count) = (Vec::new(), clients.len());
    for client in clients {
        all.extend(client.await.unwrap());
    }
    let rate = f64::from(u32::try_from(all.len()).unwrap()) / began.elapsed().as_secs_f64();
    println!("{count} clients: {} answers, {rate:.0} a second beside an ingest", all.len());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_against_four_behind_a_proxy_with_ten_clients_against_a_hundred() {
    let mut world = World::remote().await.with_llm();
    world.set("LECTERN_SQL__URL", &postgres::database().await.url);
    write_release(&world, 0);
    world.publish().await;
    let servers: Vec<Lectern> = (0..REPLICAS).map(|_| world.serve()).collect();
    for server in &servers {
        server.ready().await;
    }
    let urls: Vec<&str> = servers.iter().map(Lectern::url).collect();
    let (alone, balanced) = (RoundRobin::over(&urls[..1]).await, RoundRobin::over(&urls).await);
    let mut all = Vec::new();
    for (release, load) in
        (1..).zip([(alone.url(), 10), (alone.url(), 100), (balanced.url(), 10), (balanced.url(), 100)])
    {
        all.extend(under_load(&world, &servers, load, release).await);
    }
    // At last, every question to each replica itself, in no session and from no cache.
    for url in urls {
        let client = Client::of(url);
        for topic in 0..DOCUMENTS {
            all.push(client.ask(topic, None, "off").await);
        }
    }
    let (mut answers, mut of) = (HashMap::new(), HashMap::new());
    for told in &all {
        let first = answers.entry((&told.generation, &told.question)).or_insert(&told.answer);
        assert_eq!(*first, &told.answer, "two answers to one question: {told:?}");
        let first = of.entry(&told.generation).or_insert(&told.releases);
        assert_eq!(*first, &told.releases, "a generation of two releases: {told:?}");
    }
    assert_eq!(of.len(), 5, "the load did not meet each release: {of:?}");
}
