//! Reads a Qdrant server or cluster over gRPC.
//! Never writes: the client, which could, sits in a private field. A key that may only read is enough.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lectern_resilience::call::Allowance;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::{Bounds, Snapshot, Upstream};
use lectern_schema::canary::Canary;
use lectern_schema::fingerprint::Encoding;
use lectern_schema::generation::Manifest;
use lectern_schema::identifiers::{AliasName, GenerationId};
use qdrant_client::config::QdrantConfig;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{CollectionInfo, GetCollectionInfoRequest};
use qdrant_client::{Qdrant, QdrantError};
use secrecy::ExposeSecret as _;
use thread_local::ThreadLocal;

use crate::config::{BadStore, StoreSection};
use crate::error::{OpenError, SearchError};
use crate::qdrant::collection::QdrantCollection;
use crate::{Collection, Resolved, Search, manifest};

mod collection;
pub mod filter;
mod gather;
mod request;
pub mod status;
mod stored;

/// Longest wait for a connection: a Qdrant that takes longer is not one to wait for while users do.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Bound of any one call, far above every deadline: the deadline decides, this only ends what would never end.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);
/// Connections of a thread. Each carries many calls at once.
const CONNECTIONS: usize = 1;

/// One client per thread: a connection lives in the runtime that opened it, and replies that cross threads cost more than
/// the connections that are saved.
struct Clients {
    config: QdrantConfig,
    built: ThreadLocal<Arc<Qdrant>>,
}

impl Clients {
    fn of_this_thread(&self) -> Result<&Arc<Qdrant>, QdrantError> {
        self.built.get_or_try(|| self.config.clone().build().map(Arc::new))
    }
}

/// The client, and the policies by which it is called. Clones are handles.
#[derive(Clone)]
struct Connection {
    clients: Arc<Clients>,
    upstream: Upstream,
    batch: NonZeroUsize,
    concurrency: NonZeroUsize,
}

impl Connection {
    /// Makes a call, again where that may help, bounded by `deadline`.
    async fn call<T, F: Future<Output = Result<T, SearchError>>>(
        &self,
        deadline: Deadline,
        call: impl Fn(Arc<Qdrant>) -> F,
    ) -> Result<T, SearchError> {
        let client = self.clients.of_this_thread().map_err(SearchError::unavailable)?;
        // Boxed: the client's futures are 20 KB, and would be moved with each of the futures around them.
        let work = |_| Box::pin(call(Arc::clone(client)));
        Ok(self.upstream.call(Allowance::until(deadline), work).await?)
    }
}

/// A Qdrant server, for reading.
pub struct QdrantStore {
    connection: Connection,
}

impl QdrantStore {
    /// Prepares the client. Connects with the first request, so that the server starts while Qdrant is down.
    pub fn connect(section: &StoreSection, retry: &RetrySection) -> Result<Self, BadStore> {
        let url = section.url.as_ref().ok_or(BadStore::UrlMissing)?;
        let mut config = Qdrant::from_url(url.as_str())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .keep_alive_while_idle()
            .skip_compatibility_check();
        config.set_pool_size(CONNECTIONS);
        if let Some(key) = &section.api_key {
            config.set_api_key(key.expose_secret());
        }
        let clients = Clients { config, built: ThreadLocal::new() };
        clients.of_this_thread().map_err(|fault| BadStore::Url(Box::new(fault)))?;
        let upstream = Upstream::new("store", retry, Bounds::concurrency(section.concurrency.get()));
        let (batch, concurrency) = (section.batch, section.concurrency);
        Ok(Self { connection: Connection { clients: Arc::new(clients), upstream, batch, concurrency } })
    }

    async fn resolve_alias(&self, alias: &AliasName, deadline: Deadline) -> Result<Resolved, SearchError> {
        let call = async |client: Arc<Qdrant>| client.list_aliases().await.map_err(status::of_store);
        let listed = self.connection.call(deadline, call).await?;
        let live = listed.aliases.iter().find(|known| known.alias_name == alias.as_str());
        let live = live.ok_or_else(|| SearchError::UnknownAlias(alias.clone()))?;
        let canaries = listed
            .aliases
            .iter()
            .filter_map(|known| Canary::named(alias, &known.alias_name, &known.collection_name));
        Ok(Resolved {
            live: GenerationId::parse(&live.collection_name).map_err(SearchError::garbled)?,
            canary: Canary::newest(canaries),
        })
    }

    async fn open_generation(
        &self,
        generation: &GenerationId,
        encoding: &Encoding,
        deadline: Deadline,
    ) -> Result<Arc<dyn Collection>, OpenError> {
        let call = async |client: Arc<Qdrant>| {
            let request = GetCollectionInfoRequest { collection_name: generation.to_string() };
            let answer = client.collection_info(request).await;
            answer.map_err(|fault| status::of_generation(fault, generation))
        };
        let response = self.connection.call(deadline, call).await?;
        let info = response.result.ok_or_else(|| SearchError::garbled("no collection in the answer"))?;
        let manifest = stored_manifest(generation, &info)?;
        manifest::check(&manifest, encoding)?;
        Ok(Arc::new(QdrantCollection::new(self.connection.clone(), manifest)))
    }
}

impl std::fmt::Debug for QdrantStore {
    /// Leaves out the client, whose configuration holds the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantStore").finish_non_exhaustive()
    }
}

impl Search for QdrantStore {
    fn resolve<'a>(
        &'a self,
        alias: &'a AliasName,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Resolved, SearchError>> {
        self.resolve_alias(alias, deadline).boxed()
    }

    fn open<'a>(
        &'a self,
        generation: &'a GenerationId,
        encoding: &'a Encoding,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Arc<dyn Collection>, OpenError>> {
        self.open_generation(generation, encoding, deadline).boxed()
    }

    fn upstream(&self) -> Option<Snapshot> {
        Some(self.connection.upstream.snapshot())
    }
}

/// A collection without a manifest is one whose build has not come far, or not one of ours.
fn stored_manifest(generation: &GenerationId, info: &CollectionInfo) -> Result<Manifest, OpenError> {
    let metadata = info.config.as_ref().map(|config| &config.metadata);
    let stored = metadata.and_then(|metadata| metadata.get(Manifest::METADATA_KEY));
    match stored.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(json)) => {
            Ok(manifest::parse(generation, json.as_bytes()).map_err(SearchError::garbled)?)
        }
        _ => Err(OpenError::Incomplete(generation.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreKind;

    #[test]
    fn a_missing_address_is_named() {
        let section = StoreSection { kind: StoreKind::Qdrant, ..StoreSection::default() };
        assert!(
            QdrantStore::connect(&section, &RetrySection::default())
                .unwrap_err()
                .to_string()
                .contains("`store.url` is missing")
        );
    }

    #[tokio::test]
    async fn a_qdrant_that_is_down_is_unavailable_and_does_not_stop_the_start() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let section = StoreSection {
            kind: StoreKind::Qdrant,
            url: Some(url.parse().unwrap()),
            api_key: Some("planted-secret".to_owned().into()),
            ..StoreSection::default()
        };
        let store = QdrantStore::connect(&section, &RetrySection::default()).unwrap();
        let deadline = Deadline::after(std::time::Instant::now(), Duration::from_secs(5));
        let refused = store.resolve(&AliasName::parse("docs").unwrap(), deadline).await.unwrap_err();
        assert!(matches!(refused, SearchError::Unavailable(_)), "{refused:?}");
        assert!(!format!("{store:?}{refused:?}").contains("planted-secret"));
    }

    #[tokio::test]
    async fn a_qdrant_that_does_not_answer_is_late_at_the_deadline() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let section = StoreSection { kind: StoreKind::Qdrant, url: Some(url), ..StoreSection::default() };
        let store = QdrantStore::connect(&section, &RetrySection::default()).unwrap();
        let deadline = Deadline::after(std::time::Instant::now(), Duration::from_millis(50));
        let late = store.resolve(&AliasName::parse("docs").unwrap(), deadline).await.unwrap_err();
        assert!(matches!(late, SearchError::Late), "{late:?}");
    }
}
