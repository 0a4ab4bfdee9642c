//! A server's life: start on a port, stop with its data kept.
//! Never answers a call itself, but for the health check.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::{Qdrant, QdrantServer};
use qdrant_client::qdrant::{HealthCheckReply, HealthCheckRequest};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::admission::{Gate, Gated, Keys};
use crate::collections::CollectionsService;
use crate::knobs::Knobs;
use crate::points::PointsService;
use crate::state::State;
use crate::status::internal;

/// Calls in flight may end for so long when the server stops; then they are cut off.
const GRACE: Duration = Duration::from_secs(5);
/// The release of Qdrant whose protocol and behaviour this is.
const QDRANT_VERSION: &str = "1.19.0";

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Choose another port, or 0.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Port {
        /// The port that was asked for.
        port: u16,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Make the directory writable, or give another one.
    #[error("cannot make a temporary directory")]
    Directory(#[source] io::Error),
    /// Look at the directory: it holds something that this server did not write, or that is torn.
    #[error("cannot open the data in `{directory}`")]
    Data {
        /// Where the data is.
        directory: PathBuf,
        /// What was wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The machine has no threads left.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
}

/// A running server. Dropping it stops it at once; [`Self::stop`] lets the calls in flight end first.
#[derive(Debug)]
pub struct TestQdrant {
    address: SocketAddr,
    knobs: Arc<Knobs>,
    // Threads of its own: a test's single thread, or its end, does not hold up the server.
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    // After the runtime: it goes when nothing uses it any more.
    temporary: Option<tempfile::TempDir>,
}

/// How a server is to be started.
#[derive(Debug, Default)]
#[must_use]
pub struct Builder {
    port: u16,
    directory: Option<PathBuf>,
    keys: Keys,
    knobs: Arc<Knobs>,
}

impl Builder {
    /// Listens on this port of 127.0.0.1; 0, which is the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Keeps its data here, over a stop and a start; without it the data goes with the server.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Asks for this key, or for the read-only one.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.keys.full = Some(key.into());
        self
    }

    /// Lets calls that only read pass with this key.
    pub fn read_only_api_key(mut self, key: impl Into<String>) -> Self {
        self.keys.read_only = Some(key.into());
        self
    }

    /// Turns these knobs: set before the start, or kept over a restart.
    pub fn knobs(mut self, knobs: Arc<Knobs>) -> Self {
        self.knobs = knobs;
        self
    }

    /// Starts the server. It is ready to be called when this returns.
    pub async fn start(self) -> Result<TestQdrant, StartError> {
        let temporary = match &self.directory {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(StartError::Directory)?),
        };
        let given = self.directory.or_else(|| temporary.as_ref().map(|made| made.path().to_path_buf()));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("test-qdrant")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let opened = prepare(&runtime, given.unwrap_or_default(), self.port).await;
        let (state, listener, address) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (stop, stopped) = oneshot::channel();
        let gate = Arc::new(Gate { keys: self.keys, knobs: Arc::clone(&self.knobs) });
        let serving = runtime.spawn(serve(listener, Arc::new(state), gate, stopped));
        Ok(TestQdrant {
            address,
            knobs: self.knobs,
            runtime: Some(runtime),
            stop: Some(stop),
            serving: Some(serving),
            temporary,
        })
    }
}

/// Opens the data and the port, on the threads that will use them.
async fn prepare(
    runtime: &Runtime,
    directory: PathBuf,
    port: u16,
) -> Result<(State, TcpListener, SocketAddr), StartError> {
    let listening = runtime.spawn(listen(port)).await.unwrap_or_else(|ended| Err(io::Error::other(ended)));
    let (listener, address) = listening.map_err(|source| StartError::Port { port, source })?;
    let root = directory.clone();
    let opening = runtime.spawn_blocking(move || State::open(root)).await;
    let state = opening
        .unwrap_or_else(|ended| Err(internal(ended)))
        .map_err(|status| StartError::Data { directory, source: Box::new(status) })?;
    Ok((state, listener, address))
}

impl TestQdrant {
    /// Starts a server on a free port with an empty temporary directory and no keys; [`Builder::start`] is for
    /// callers that want to see why a start failed.
    ///
    /// # Panics
    ///
    /// When it does not start, with the reason.
    #[expect(clippy::panic, reason = "a test whose server does not start has failed, and says why")]
    pub async fn start() -> Self {
        match Self::builder().start().await {
            Ok(server) => server,
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    /// A server with a port, a directory, keys or knobs of your own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its gRPC address: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Delays, failures and counts of its calls.
    pub fn knobs(&self) -> &Arc<Knobs> {
        &self.knobs
    }

    /// How many calls of `method` arrived so far (`Query`, or `Points/Delete`).
    pub fn calls(&self, method: &str) -> u64 {
        self.knobs.calls(method)
    }

    /// Takes no new calls, lets those in flight end within five seconds, writes its data and lets go of its port.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens any more when the server ended by itself: then there is nothing to stop.
            let _ = stop.send(());
        }
        if let Some(serving) = self.serving.take() {
            // Late or failed, the runtime is shut down next in any case.
            let _ = tokio::time::timeout(GRACE, serving).await;
        }
        // Waits for work in the engine, so it may block.
        let _ = tokio::task::spawn_blocking(move || self.shut_down()).await;
    }

    fn shut_down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
        self.temporary.take();
    }
}

impl Drop for TestQdrant {
    fn drop(&mut self) {
        if self.runtime.is_none() {
            return;
        }
        // A runtime must not be waited for on a thread of another one, where a test's server is usually dropped.
        std::thread::scope(|scope| {
            scope.spawn(|| self.shut_down());
        });
    }
}

async fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, state: Arc<State>, gate: Arc<Gate>, stopped: oneshot::Receiver<()>) {
    // As with Qdrant, messages may have any size: batches of points exceed tonic's 4 MB.
    let points = PointsServer::new(PointsService { state: Arc::clone(&state) })
        .accept_compressed(Gzip)
        .send_compressed(Gzip)
        .max_decoding_message_size(usize::MAX);
    let collections = CollectionsServer::new(CollectionsService { state })
        .accept_compressed(Gzip)
        .send_compressed(Gzip)
        .max_decoding_message_size(usize::MAX);
    let health = QdrantServer::new(Health).accept_compressed(Gzip).send_compressed(Gzip);
    let served = tonic::transport::Server::builder()
        .add_service(Gated { service: points, gate: Arc::clone(&gate) })
        .add_service(Gated { service: collections, gate: Arc::clone(&gate) })
        .add_service(Gated { service: health, gate })
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
            // A handle that is gone without a word has the server stop, too.
            let _ = stopped.await;
        });
    // It ends with an error only when the listener breaks; clients then see that nothing answers.
    let _ = served.await;
}

#[derive(Debug)]
struct Health;

#[tonic::async_trait]
impl Qdrant for Health {
    async fn health_check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckReply>, Status> {
        Ok(Response::new(HealthCheckReply {
            title: "qdrant - vector search engine".to_owned(),
            version: QDRANT_VERSION.to_owned(),
            commit: Some("lectern-test-qdrant".to_owned()),
        }))
    }
}
