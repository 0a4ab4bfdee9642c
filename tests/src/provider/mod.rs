//! A mock of a provider on a real socket, which speaks OpenAI's, Anthropic's and TEI's protocols and whose failures are set while it runs.
//! Never shares a thread with the test: a blocked test does not block it, and dropping it closes every connection.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::serve::ListenerExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

mod chat;
mod counters;
mod embeddings;
mod faults;
mod knobs;
mod messages;
mod script;
mod stamp;
mod written;

pub use counters::Counts;
pub use knobs::{Ending, Failure, Knobs, Raw};
pub use stamp::{Stamp, now};

use counters::Counters;

/// A running mock. Dropping it stops it.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A call as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The path that was called.
    pub path: &'static str,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

/// What the handlers share with the handle.
#[derive(Debug, Default)]
struct State {
    knobs: Mutex<Knobs>,
    chat: Arc<Counters>,
    embeddings: Arc<Counters>,
    connections: Arc<AtomicUsize>,
    last: Mutex<VecDeque<Recorded>>,
}

impl Provider {
    /// Calls that are kept for [`Self::requests`].
    const KEPT: usize = 1_000;

    /// Starts a mock on a free port of the loopback interface.
    pub async fn start() -> std::io::Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let mut provider = Self { address, state: Arc::new(State::default()), stop: None, thread: None };
        provider.start_again().await?;
        Ok(provider)
    }

    /// Stops it: connections are closed, and new ones refused.
    pub fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed when it happened; the test fails by what it asserts.
            let _ = thread.join();
        }
    }

    /// Starts it again at the same address, with the same knobs and counts.
    pub async fn start_again(&mut self) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/v1/chat/completions", post(chat::complete))
            .route("/v1/messages", post(messages::create))
            .route("/v1/embeddings", post(embeddings::embed))
            .route("/v1/embed", post(embeddings::embed_bare))
            .with_state(Arc::clone(&self.state));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("provider".to_owned()).spawn({
            let (address, connections) = (self.address, Arc::clone(&self.state.connections));
            move || serve(address, routes, &connections, tell, stopped)
        })?;
        self.address = told.await.map_err(std::io::Error::other)??;
        (self.stop, self.thread) = (Some(stop), Some(thread));
        Ok(())
    }

    /// The base address that clients are configured with.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Changes what the provider does from the next call on.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.state.knobs.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What happened to the chat calls so far, in either protocol.
    pub fn chat(&self) -> Counts {
        self.state.chat.read()
    }

    /// What happened to the embedding calls so far.
    pub fn embeddings(&self) -> Counts {
        self.state.embeddings.read()
    }

    /// Connections that were opened so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The last calls, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.last.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn knobs(&self) -> Knobs {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, recorded: Recorded) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == Provider::KEPT {
            last.pop_front();
        }
        last.push_back(recorded);
    }
}

/// Serves until it is stopped; the runtime's end closes all connections.
fn serve(
    address: SocketAddr,
    routes: Router,
    connections: &Arc<AtomicUsize>,
    tell: oneshot::Sender<std::io::Result<SocketAddr>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(tell.send(Err(error))),
    };
    runtime.block_on(async {
        let bound = TcpListener::bind(address).await;
        match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Err(error) => drop(tell.send(Err(error))),
            Ok((address, listener)) => {
                let _ = tell.send(Ok(address));
                let connections = Arc::clone(connections);
                let listener = listener.tap_io(move |_| {
                    connections.fetch_add(1, Ordering::SeqCst);
                });
                tokio::select! {
                    _ = axum::serve(listener, routes) => {}
                    _ = stopped => {}
                }
            }
        }
    });
}
