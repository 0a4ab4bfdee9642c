//! More requests than there is capacity for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::json;

use super::{question, served, until};

/// Places for answers, and how long the provider takes: together the capacity, 8 / 0.1 s = 80 answers a second.
const PLACES: usize = 8;
const LLM_TAKES: Duration = Duration::from_millis(100);
/// Deadline of every ask: time for eight answers in a row.
const DEADLINE: Duration = Duration::from_millis(1_500);

/// What became of the asks of one phase.
#[derive(Debug, Default)]
struct Outcome {
    good: usize,
    refused: usize,
    other: Vec<String>,
    latencies: Vec<Duration>,
    took: Duration,
}

impl Outcome {
    fn goodput(&self) -> f64 {
        f64::from(u32::try_from(self.good).unwrap()) / self.took.as_secs_f64()
    }

    fn p99(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * 99 / 100).min(sorted.len() - 1)]
    }
}

/// `clients` ask one question after the other for `length`; a client that is refused pauses a little, as a hurried one does.
async fn load(server: &Arc<Lectern>, clients: usize, length: Duration) -> Outcome {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let began = Instant::now();
    let client = |server: Arc<Lectern>| async move {
        let mut outcome = Outcome::default();
        while began.elapsed() < length {
            let mut body = question(NEXT.fetch_add(1, Ordering::Relaxed));
            body["deadline_ms"] = json!(DEADLINE.as_millis());
            let asked = Instant::now();
            let reply = server.post("/v1/ask", &body).await;
            match reply.status.as_u16() {
                200 if reply.body["degraded"] == json!([]) => {
                    outcome.good += 1;
                    outcome.latencies.push(asked.elapsed());
                }
                429 | 503 => {
                    assert!(reply.headers.contains_key("retry-after"));
                    outcome.refused += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => outcome.other.push(reply.body.to_string()),
            }
        }
        outcome
    };
    let running: Vec<_> = (0..clients).map(|_| tokio::spawn(client(Arc::clone(server)))).collect();
    let mut sum = Outcome::default();
    for client in running {
        let outcome = client.await.unwrap();
        sum.good += outcome.good;
        sum.refused += outcome.refused;
        sum.other.extend(outcome.other);
        sum.latencies.extend(outcome.latencies);
    }
    sum.took = began.elapsed();
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_at_ten_times_the_capacity_costs_no_goodput_and_ends_when_it_ends() {
    let places = PLACES.to_string();
    let settings = [("LECTERN_LIMITS__CONCURRENCY", places.as_str()), ("LECTERN_LIMITS__QUEUE", "64")];
    let (world, server) = served(World::embedded().await, &settings).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = LLM_TAKES);
    let server = Arc::new(server);
    let peak = load(&server, PLACES * 2, Duration::from_secs(4)).await;
    let flood = load(&server, PLACES * 10, Duration::from_secs(6)).await;
    let after = load(&server, PLACES, Duration::from_secs(2)).await;
    println!(
        "peak {:.0}/s, flood {:.0}/s, p99 {:?}, refused {}",
        peak.goodput(),
        flood.goodput(),
        flood.p99(),
        flood.refused
    );
    assert!(peak.good > 0 && peak.other.is_empty(), "{:?}", peak.other);
    assert!(flood.refused > 0 && flood.other.is_empty(), "{:?}", flood.other);
    assert!(flood.goodput() >= 0.9 * peak.goodput(), "{} of {}", flood.goodput(), peak.goodput());
    assert!(flood.p99() <= DEADLINE, "{:?}", flood.p99());
    assert_eq!((after.refused, after.other.len()), (0, 0), "{:?}", after.other);
}

#[tokio::test]
async fn a_cached_answer_needs_no_place() {
    let settings = [("LECTERN_LIMITS__CONCURRENCY", "1"), ("LECTERN_LIMITS__QUEUE", "0")];
    let (world, server) = served(World::embedded().await, &settings).await;
    assert_eq!(server.post("/v1/ask", &question(1)).await.status, 200);
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_secs(10));
    let slow = question(2);
    let busy = server.post("/v1/ask", &slow);
    let looks = async {
        until("the place is taken", async || world.provider.chat().in_flight, |calls| *calls == 1).await;
        let refused = server.post("/v1/ask", &question(3)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("overloaded")));
        let hit = server.post("/v1/ask", &question(1)).await;
        assert_eq!((hit.status.as_u16(), &hit.body["cache"]), (200, &json!("hit")));
    };
    tokio::select! {
        reply = busy => panic!("answered: {reply:?}"),
        () = looks => {}
    }
}

#[tokio::test]
async fn a_server_that_turns_requests_away_for_a_while_is_unready_and_stays_alive() {
    let settings = [
        ("LECTERN_LIMITS__CONCURRENCY", "1"),
        ("LECTERN_LIMITS__QUEUE", "0"),
        ("LECTERN_LIMITS__UNREADY_AFTER_MS", "100"),
    ];
    let (world, server) = served(World::embedded().await, &settings).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_secs(20));
    let slow = question(1);
    let busy = server.post("/v1/ask", &slow);
    let looks = async {
        until("the place is taken", async || world.provider.chat().in_flight, |calls| *calls == 1).await;
        assert_eq!(server.post("/v1/ask", &question(2)).await.status, 503);
        let unready =
            until("unready", async || server.admin("/ready").await, |ready| ready.status == 503).await;
        assert_eq!(unready.body["failing"][0]["dependency"], "capacity", "{}", unready.body);
        assert_eq!(server.admin("/live").await.status, 200);
    };
    tokio::select! {
        reply = busy => panic!("answered: {reply:?}"),
        () = looks => {}
    }
    until("ready again", async || server.admin("/ready").await.status, |status| *status == 200).await;
}
