//! What every call passes before it is served: the counters and faults of the test, then the api key.
//! Never reads a message: it knows the method and the headers.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;

use crate::knobs::Knobs;

/// Answered without a key, as with the real server.
const OPEN_METHODS: [&str; 1] = ["Qdrant/HealthCheck"];

/// Allowed with the read-only key; every method that is not listed here writes.
const READING_METHODS: [&str; 24] = [
    "Collections/Get",
    "Collections/List",
    "Collections/CollectionExists",
    "Collections/ListAliases",
    "Collections/ListCollectionAliases",
    "Collections/CollectionClusterInfo",
    "Collections/ListShardKeys",
    "Points/Get",
    "Points/Count",
    "Points/Scroll",
    "Points/Query",
    "Points/QueryBatch",
    "Points/QueryGroups",
    "Points/Facet",
    "Points/Search",
    "Points/SearchBatch",
    "Points/SearchGroups",
    "Points/SearchMatrixPairs",
    "Points/SearchMatrixOffsets",
    "Points/Recommend",
    "Points/RecommendBatch",
    "Points/RecommendGroups",
    "Points/Discover",
    "Points/DiscoverBatch",
];

/// The keys that a server asks for; with neither it asks for none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    pub(crate) full: Option<String>,
    pub(crate) read_only: Option<String>,
}

impl Keys {
    fn check(&self, call: &str, given: Option<&str>) -> Result<(), Status> {
        if (self.full.is_none() && self.read_only.is_none()) || OPEN_METHODS.contains(&call) {
            return Ok(());
        }
        let Some(given) = given else {
            return Err(Status::unauthenticated("Must provide an API key or an Authorization bearer token"));
        };
        if self.full.as_deref() == Some(given) {
            return Ok(());
        }
        if self.read_only.as_deref() != Some(given) {
            return Err(Status::unauthenticated("Invalid API key or JWT"));
        }
        if READING_METHODS.contains(&call) {
            return Ok(());
        }
        Err(Status::permission_denied("Forbidden: Global write access is required"))
    }
}

/// Keys and knobs of one server.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) keys: Keys,
    pub(crate) knobs: Arc<Knobs>,
}

impl Gate {
    async fn admit(&self, call: &str, key: Option<&str>) -> Result<(), Status> {
        let treatment = self.knobs.arrive(call);
        if !treatment.delay.is_zero() {
            tokio::time::sleep(treatment.delay).await;
        }
        if let Some(failure) = treatment.failure {
            return Err(failure.status());
        }
        self.keys.check(call, key)
    }
}

/// A service behind the gate.
#[derive(Debug, Clone)]
pub(crate) struct Gated<S> {
    pub(crate) service: S,
    pub(crate) gate: Arc<Gate>,
}

impl<S> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut service = self.service.clone();
        let gate = Arc::clone(&self.gate);
        let call = request.uri().path().trim_start_matches("/qdrant.").to_owned();
        let key = api_key(request.headers());
        Box::pin(async move {
            let _begun = gate.knobs.begin(&call);
            match gate.admit(&call, key.as_deref()).await {
                Ok(()) => service.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

impl<S: NamedService> NamedService for Gated<S> {
    const NAME: &'static str = S::NAME;
}

fn api_key(headers: &http::HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("api-key").or_else(|| text("authorization")?.strip_prefix("Bearer ")).map(str::to_owned)
}
