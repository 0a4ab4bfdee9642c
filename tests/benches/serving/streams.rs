//! Streams: how much later than the provider sends it the first token comes, alone and with many streams open, and what
//! the open streams hold. The provider's first token says when it was sent; both sides read one clock.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lectern_tests::process;
use lectern_tests::provider::{Provider, Stamp, now};
use serde_json::{Value, json};

use crate::load::{CLIENTS, Target, milliseconds, percentile};

/// What one stream showed.
struct Seen {
    /// From the request to its first token.
    first: Duration,
    /// From the provider's sending to the client's reading of that token.
    later: Duration,
    /// From the request to the end, without the time between the provider's receiving the call and its first token.
    overhead: Duration,
}

/// How either server is asked for a stream.
pub(crate) struct Streamed<'a> {
    pub(crate) target: &'a Target,
    pub(crate) path: &'static str,
    pub(crate) body: fn(usize) -> Value,
}

pub(crate) fn ours(turn: usize) -> Value {
    json!({ "question": format!("What about topic {turn}?"), "mode": "dense", "limit": 5, "cache": "off", "stream": true })
}

pub(crate) fn bare(turn: usize) -> Value {
    json!({ "text": format!("What about topic {turn}?"), "limit": 5, "stream": true })
}

impl Streamed<'_> {
    /// Opens a stream and reads it to its end.
    async fn read(&self, turn: usize) -> Seen {
        let began = Instant::now();
        let request = self.target.http.post(format!("{}{}", self.target.url, self.path));
        let response = request.json(&(self.body)(turn)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut bytes = response.bytes_stream();
        let (mut text, mut seen) = (String::new(), None);
        while let Some(chunk) = bytes.next().await {
            if seen.is_none() {
                text.push_str(&String::from_utf8_lossy(&chunk.unwrap()));
                seen = Stamp::find(&text).map(|stamp| (stamp, now(), began.elapsed()));
            }
        }
        let (stamp, read, first) = seen.unwrap_or_else(|| panic!("no stamp in {text}"));
        let provider = stamp.sent.saturating_sub(stamp.called);
        Seen {
            first,
            later: read.saturating_sub(stamp.sent),
            overhead: began.elapsed().saturating_sub(provider),
        }
    }

    /// Opens `count` streams at once.
    async fn open(&self, count: usize) -> Vec<Seen> {
        futures::future::join_all((0..count).map(|turn| self.read(turn))).await
    }
}

/// Prints what asks take beyond the model's own time, one token each, [`CLIENTS`] at a time.
pub(crate) async fn overhead(servers: &[Streamed<'_>], provider: &Provider, scale: impl Fn(usize) -> usize) {
    println!("\n| model's own time | server | beyond it: p50 ms | p99 ms | asks |");
    println!("| --- | --- | --- | --- | --- |");
    for own in [50, 200] {
        provider.set(|knobs| {
            knobs.stamps = true;
            knobs.answer = Some(String::new());
            knobs.delay_before_first_token = Duration::from_millis(own);
        });
        let rounds = scale(400 / CLIENTS).max(2);
        let mut found: Vec<Vec<Duration>> = servers.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for (server, found) in servers.iter().zip(&mut found) {
                let asks =
                    futures::future::join_all((0..CLIENTS).map(|n| server.read(round * CLIENTS + n))).await;
                found.extend(asks.into_iter().map(|seen| seen.overhead));
            }
        }
        for (server, found) in servers.iter().zip(found) {
            let (p50, p99) = (milliseconds(percentile(&found, 50)), milliseconds(percentile(&found, 99)));
            println!("| {own} ms | {} | {p50} | {p99} | {} |", server.target.name, found.len());
        }
    }
}

/// Prints what many streams at once wait and hold: 40 tokens each, one every 50 ms, after 500 ms.
pub(crate) async fn many(servers: &[Streamed<'_>], provider: &Provider, scale: impl Fn(usize) -> usize) {
    provider.set(|knobs| {
        knobs.stamps = true;
        knobs.answer = Some("word ".repeat(40));
        knobs.delay_before_first_token = Duration::from_millis(500);
        knobs.delay_between_tokens = Duration::from_millis(50);
    });
    println!(
        "\n| streams at once | server | first token p50 ms | p99 ms | later than sent p50 ms | p99 ms | CPU s / 1,000 | MiB before | peak MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for streams in [200, 1_000] {
        let count = scale(streams);
        for server in servers {
            // Connections are opened once, as between a load balancer and a server.
            server.open(count).await;
            process::forget_peak(server.target.pid);
            let before = process::peak_mib(server.target.pid);
            let cpu = process::cpu_seconds(server.target.pid);
            let seen = server.open(count).await;
            let spent = process::cpu_seconds(server.target.pid) - cpu;
            let of = |part: fn(&Seen) -> Duration| -> String {
                let all: Vec<Duration> = seen.iter().map(part).collect();
                format!("{} | {}", milliseconds(percentile(&all, 50)), milliseconds(percentile(&all, 99)))
            };
            println!(
                "| {count} | {} | {} | {} | {:.3} | {before} | {} |",
                server.target.name,
                of(|seen| seen.first),
                of(|seen| seen.later),
                spent * 1_000.0 / f64::from(u32::try_from(count).unwrap()),
                process::peak_mib(server.target.pid),
            );
        }
    }
    provider.set(|knobs| *knobs = lectern_tests::provider::Knobs::default());
}
