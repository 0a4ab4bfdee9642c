//! The composition root: builds everything from the configuration, binds the listeners, runs until told to stop.
//! Decides nothing about a request.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server as ActixServer;
use actix_web::middleware::from_fn;
use actix_web::{App as ActixApp, HttpServer, web};
use lectern_boot::database::error::DatabaseError;
use lectern_boot::shutdown::Shutdown;
use lectern_models::embedder::{Embedder, ModelIdentity};
use lectern_models::error::SetupError;
use lectern_models::http::Http;
use lectern_models::llm::Llm;
use lectern_resilience::upstream::Snapshot;
use lectern_schema::fingerprint::{Embedding, Encoding, Pooling};
use lectern_search::bm25::{BadSparse, Bm25};
use lectern_search::config::BadStore;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::answer::Answerer;
use crate::answer::rewrite::Rewrite;
use crate::answer::writer::Writer;
use crate::api;
use crate::cache::answers::AnswerCache;
use crate::cache::semantic::SemanticCache;
use crate::cache::shared::{BadShared, SharedAnswers};
use crate::config::Config;
use crate::connection::Connection;
use crate::flight::Flights;
use crate::generations::Generations;
use crate::metrics::Metrics;
use crate::retrieve::Retriever;
use crate::sessions::Sessions;

/// What all requests share. Nothing in it belongs to one of them.
#[derive(Debug)]
pub struct App {
    /// What was configured.
    pub config: Config,
    /// The generations that are served.
    pub generations: Generations,
    /// The answer pipeline.
    pub answerer: Answerer,
    /// Whole answers.
    pub cache: AnswerCache,
    /// Whole answers that replicas share.
    pub shared: Option<SharedAnswers>,
    /// Questions that were answered, by what they mean.
    pub semantic: Option<SemanticCache>,
    /// Answers that are being made.
    pub flights: Arc<Flights>,
    /// Conversations.
    pub sessions: Arc<Sessions>,
    /// Counts and measures.
    pub metrics: Arc<Metrics>,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A model is missing or misconfigured.
    #[error(transparent)]
    Model(#[from] SetupError),
    /// The sparse settings are unusable.
    #[error(transparent)]
    Sparse(#[from] BadSparse),
    /// The session database is misconfigured.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store is misconfigured.
    #[error(transparent)]
    Store(#[from] BadStore),
    /// The shared cache is misconfigured.
    #[error(transparent)]
    Shared(#[from] BadShared),
    /// The address is taken or not ours.
    #[error("cannot listen on {address} (`{key}`)")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The system does not give us what any server needs.
    #[error("cannot start")]
    System(#[source] io::Error),
}

impl App {
    /// Loads the models and prepares the clients. Opens no connection that could fail: what is down when the server
    /// starts is found by readiness.
    pub async fn build(config: Config) -> Result<Arc<Self>, StartError> {
        let metrics = Arc::new(Metrics::default());
        let http = Http::new()?;
        let embedder = Embedder::new(&config.embedder, &config.retry, &http)?;
        let encoding = encoding(embedder.identity());
        let writer = match Llm::new(&config.llm, &config.retry, &http)? {
            None => Writer::Extractive,
            Some(llm) => Writer::Llm(llm, Arc::clone(&metrics)),
        };
        let store = lectern_search::connect(&config.store, &config.retry).await?;
        let retriever =
            Retriever::new(embedder, Bm25::new(&encoding.sparse)?, &config.cache, Arc::clone(&metrics));
        Ok(Arc::new(Self {
            generations: Generations::new(
                store,
                encoding,
                Arc::clone(&metrics),
                tokio::runtime::Handle::current(),
            ),
            answerer: Answerer {
                admission: Admission::new(&config.limits),
                retriever,
                writer,
                rewrite: Rewrite::new(config.session.rewrite),
                limits: config.limits.clone(),
                metrics: Arc::clone(&metrics),
            },
            cache: AnswerCache::new(&config.cache),
            shared: SharedAnswers::of(&config.cache)?,
            semantic: SemanticCache::of(&config.cache),
            flights: Arc::new(Flights::new(tokio::runtime::Handle::current())),
            sessions: Arc::new(Sessions::new(
                &config.sql,
                config.session.clone(),
                tokio::runtime::Handle::current(),
            )?),
            metrics,
            config,
        }))
    }
}

impl App {
    /// What the dependencies look like from here.
    pub fn upstreams(&self) -> Vec<Snapshot> {
        let answerer = &self.answerer;
        let shared = self.shared.as_ref().map(SharedAnswers::snapshot);
        let store = self.generations.upstream();
        let one = [store, answerer.retriever.upstream(), shared];
        one.into_iter().flatten().chain(answerer.writer.upstreams()).collect()
    }
}

/// How questions are encoded; a generation must have been built the same way.
fn encoding(identity: &ModelIdentity) -> Encoding {
    Encoding::current(Embedding {
        model: identity.model.clone(),
        dimension: identity.dimension,
        pooling: if identity.pooled_here { Pooling::Mean } else { Pooling::Provider },
    })
}

/// A server whose listeners are bound.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    public: TcpListener,
    admin: TcpListener,
}

impl Server {
    /// How long connections wait for the kernel to hand them over, in connections.
    const BACKLOG: u32 = 4_096;
    /// How long work without listeners may take to notice at the end.
    const DRAIN: Duration = Duration::from_secs(1);

    /// Binds both listeners.
    pub fn bind(app: Arc<App>) -> Result<Self, StartError> {
        let listen = |key, address: SocketAddr| {
            TcpListener::bind(address).map_err(|source| StartError::Listen { key, address, source })
        };
        let public = listen("http.bind", app.config.http.bind)?;
        let admin = listen("http.admin_bind", app.config.http.admin_bind)?;
        Ok(Self { app, public, admin })
    }

    /// The addresses that were bound: public, admin.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `shutdown`, then lets requests and streams finish within `http.shutdown_ms`. The admin listener stays
    /// to the end, so that probes see what happens.
    pub async fn run(self, shutdown: Shutdown) -> io::Result<()> {
        let app = self.app;
        let stop = CancellationToken::new();
        let follow = tokio::spawn({
            let (app, stop) = (Arc::clone(&app), stop.clone());
            let (alias, interval) = (app.config.store.alias.clone(), app.config.limits.alias_refresh);
            async move { app.generations.follow(alias, interval, stop).await }
        });
        let keep = tokio::spawn(Arc::clone(&app.sessions).keep(stop.clone()));
        let data = web::Data::from(Arc::clone(&app));
        let public = public(data.clone(), self.public)?;
        let admin = admin(data, self.admin)?;
        let (public_handle, admin_handle) = (public.handle(), admin.handle());
        let serving = tokio::spawn(public);
        let observing = tokio::spawn(admin);
        shutdown.requested().await;
        tracing::info!("finishing requests");
        public_handle.stop(true).await;
        let ended = serving.await.map_err(io::Error::other)?;
        // Connections are closed: work that is left has no listener, and gives up.
        let drain = futures::future::join(app.flights.drain(), app.generations.end_comparisons());
        if tokio::time::timeout(Self::DRAIN, drain).await.is_err() {
            tracing::warn!("work was left behind");
        }
        stop.cancel();
        let _ = follow.await;
        let _ = keep.await;
        app.sessions.close().await;
        admin_handle.stop(false).await;
        let _ = observing.await;
        tracing::info!("stopped");
        ended
    }
}

fn public(app: web::Data<App>, listener: TcpListener) -> io::Result<ActixServer> {
    let http = app.config.http.clone();
    let factory = move || {
        ActixApp::new()
            .app_data(app.clone())
            .app_data(web::PayloadConfig::new(app.config.http.max_body_bytes.get()))
            .wrap(from_fn(api::observe::observe))
            .configure(api::public)
    };
    let server = HttpServer::new(factory)
        .workers(http.workers.get())
        .backlog(Server::BACKLOG)
        .max_connections(http.connections.get())
        .on_connect(Connection::remember)
        .shutdown_timeout(http.shutdown.as_secs().max(1))
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn admin(app: web::Data<App>, listener: TcpListener) -> io::Result<ActixServer> {
    let factory = move || {
        ActixApp::new().app_data(app.clone()).wrap(from_fn(api::observe::observe)).configure(api::admin)
    };
    Ok(HttpServer::new(factory).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?.run())
}
