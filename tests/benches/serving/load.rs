//! Requests by the thousand, and what they cost the process that answers them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lectern_tests::process;
use serde_json::Value;

/// Clients that ask at the same time.
pub(crate) const CLIENTS: usize = 16;

/// A server under load.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

impl Target {
    pub(crate) fn new(name: &'static str, pid: u32, url: &str) -> Self {
        let http = reqwest::Client::builder().pool_max_idle_per_host(2_048).build().unwrap();
        Self { name, pid, url: url.to_owned(), http }
    }

    /// Sends the request of this turn, and reads the answer to its end.
    async fn send(&self, call: Call, turn: usize) {
        let url = format!("{}{}", self.url, call.path);
        let request = match call.body {
            None => self.http.get(url),
            Some(body) => self.http.post(url).json(&body(turn)),
        };
        let response = request.send().await.unwrap();
        let status = response.status();
        let body = response.bytes().await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
}

/// One kind of request.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    /// The body by turn; none for a `GET`.
    pub(crate) body: Option<fn(usize) -> Value>,
}

/// What requests cost.
#[derive(Default)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    pub(crate) wall: Duration,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) peak_mib: u64,
}

impl Cost {
    pub(crate) fn add(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.wall += other.wall;
        self.latencies.extend(other.latencies);
        self.peak_mib = self.peak_mib.max(other.peak_mib);
    }

    fn thousands(&self) -> f64 {
        f64::from(u32::try_from(self.latencies.len()).unwrap()) / 1_000.0
    }

    /// CPU seconds per 1,000 requests.
    pub(crate) fn per_thousand(&self) -> f64 {
        self.cpu_seconds / self.thousands()
    }

    /// The columns of a row: CPU, rate, latencies, memory.
    pub(crate) fn columns(&self) -> String {
        format!(
            "{:.3} | {:.0} | {} | {} | {}",
            self.per_thousand(),
            self.thousands() * 1_000.0 / self.wall.as_secs_f64(),
            milliseconds(percentile(&self.latencies, 50)),
            milliseconds(percentile(&self.latencies, 99)),
            self.peak_mib,
        )
    }
}

/// The percentile of durations in any order; zero when there are none.
pub(crate) fn percentile(durations: &[Duration], percent: usize) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

/// Makes `requests` requests, [`CLIENTS`] at a time, once all connections are warm. Turns count from `from`.
pub(crate) async fn measure(target: &Target, call: Call, from: usize, requests: usize) -> Cost {
    for turn in 0..CLIENTS {
        target.send(call, from + turn).await;
    }
    process::forget_peak(target.pid);
    let (cpu, began) = (process::cpu_seconds(target.pid), Instant::now());
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (target, next) = (target.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= requests {
                        return latencies;
                    }
                    let began = Instant::now();
                    target.send(call, from + turn).await;
                    latencies.push(began.elapsed());
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await.unwrap());
    }
    Cost {
        cpu_seconds: process::cpu_seconds(target.pid) - cpu,
        wall: began.elapsed(),
        latencies,
        peak_mib: process::peak_mib(target.pid),
    }
}

/// Loads a target until told to stop: when each request ended, since `began`, and how long it took.
pub(crate) async fn keep_loading(
    target: &Target,
    call: Call,
    began: Instant,
    stop: tokio_util::sync::CancellationToken,
) -> Vec<(Duration, Duration)> {
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (target, next, stop) = (target.clone(), Arc::clone(&next), stop.clone());
            tokio::spawn(async move {
                let mut ended = Vec::new();
                while !stop.is_cancelled() {
                    let sent = Instant::now();
                    target.send(call, next.fetch_add(1, Ordering::Relaxed)).await;
                    ended.push((began.elapsed(), sent.elapsed()));
                }
                ended
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await.unwrap());
    }
    all
}
