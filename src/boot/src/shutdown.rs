//! Tells the rest of the process when it has been asked to end.
//! Never ends work itself, but for the second request: then the process exits where it stands.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Knows whether the process has been asked to end. Clones know the same.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
    _listener: Option<Arc<Listener>>,
}

/// Asks for the end in a test, or where another part of the process decides.
#[derive(Debug, Clone)]
pub struct Trigger(watch::Sender<bool>);

impl Trigger {
    /// Asks for the end. Asking again changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT, inside a tokio runtime. The first asks for the end; the second ends the process at
    /// once with 128 + its number, as shells report it: what is written here survives that at any moment.
    pub fn on_signals() -> io::Result<Self> {
        let (trigger, shutdown) = Self::manual();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = Listener(tokio::spawn(listen(trigger, terminate, interrupt)));
        Ok(Self { _listener: Some(Arc::new(listener)), ..shutdown })
    }

    /// One that only its trigger sets off.
    pub fn manual() -> (Trigger, Self) {
        let (sender, requested) = watch::channel(false);
        (Trigger(sender), Self { requested, _listener: None })
    }

    /// Whether the end has been asked for.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns when the end is asked for, at once when it has been. When nobody is left who could ask, never.
    pub async fn requested(&self) {
        let mut requested = self.requested.clone();
        if requested.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Owns the task that listens: it ends with the last [`Shutdown`].
#[derive(Debug)]
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(trigger: Trigger, mut terminate: Signal, mut interrupt: Signal) {
    let name = next(&mut terminate, &mut interrupt).await.0;
    tracing::info!(signal = name, "shutdown requested");
    trigger.request();
    let (name, number) = next(&mut terminate, &mut interrupt).await;
    tracing::warn!(signal = name, "shutdown forced");
    std::process::exit(128 + number);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
        _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_request_reaches_every_clone_and_those_who_ask_later() {
        let (trigger, shutdown) = Shutdown::manual();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        assert!(!shutdown.is_requested());
        trigger.request();
        early.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn nobody_left_to_ask_is_no_request() {
        let (trigger, shutdown) = Shutdown::manual();
        drop(trigger);
        let asked = tokio::time::timeout(Duration::from_millis(20), shutdown.requested()).await;
        assert!(asked.is_err());
    }

    /// The process that the signal tests send signals to: it says so when the first one arrives, and works on.
    #[tokio::test]
    #[ignore = "run by the tests of the signals, as a process of its own"]
    async fn a_process_that_works_on() {
        let shutdown = Shutdown::on_signals().unwrap();
        println!("ready");
        shutdown.requested().await;
        println!("asked");
        tokio::time::sleep(Duration::from_mins(1)).await;
    }

    fn start() -> (Child, impl Iterator<Item = String>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shutdown::tests::a_process_that_works_on", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        (child, lines)
    }

    fn send(child: &Child, signal: &str) {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }

    fn wait(mut child: Child) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        panic!("the process is still there");
    }

    #[test]
    fn the_first_signal_asks_and_the_second_ends_the_process() {
        for (first, second, code) in [("-TERM", "-TERM", 143), ("-INT", "-INT", 130), ("-INT", "-TERM", 143)]
        {
            let (child, mut lines) = start();
            assert!(lines.any(|line| line.ends_with("ready")));
            send(&child, first);
            assert!(lines.any(|line| line.ends_with("asked")));
            send(&child, second);
            assert_eq!(wait(child), Some(code), "{first} {second}");
        }
    }
}
