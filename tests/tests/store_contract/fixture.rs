//! A store of its own for each check, with a small corpus to fill it.
//! Never shares a name with another run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use lectern_ingest::store::qdrant::settings::QdrantSection;
use lectern_ingest::store::{self, Point, StoreError, WriteStore};
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_schema::chunk::ChunkPayload;
use lectern_schema::embedding::{DenseVector, SparseVector};
use lectern_schema::fingerprint::{Chunker, Embedding, Encoding, Fingerprint, Pooling, Sparse};
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{AliasName, ChunkId, ContentHash, DocumentId, GenerationId, TenantId};
use lectern_search::bm25::Bm25;
use lectern_search::config::{StoreKind, StoreSection};
use lectern_search::error::{OpenError, SearchError};
use lectern_search::filter::Filter;
use lectern_search::query::{Arms, Hit, Limit, Query};
use lectern_search::{Collection, Resolved, Search};
use lectern_test_qdrant::TestQdrant;
use serde_json::{Value, json};
use uuid::Uuid;

/// Far beyond what a check takes: it ends what would never end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store with both of its sides.
pub(crate) struct Fixture {
    pub(crate) write: Arc<dyn WriteStore>,
    pub(crate) read: Arc<dyn Search>,
    pub(crate) alias: AliasName,
    pub(crate) home: Home,
    named: AtomicI64,
}

/// Where the store is, and what has to go when the check ends.
pub(crate) enum Home {
    Directory(tempfile::TempDir),
    Elsewhere,
    #[expect(dead_code, reason = "held: dropping it stops the server")]
    TestServer(TestQdrant),
    #[expect(dead_code, reason = "held: dropping it removes what the run left")]
    Real(Cleaner),
}

impl Fixture {
    pub(crate) async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let section = StoreSection { path: directory.path().join("data"), ..StoreSection::default() };
        Self::new(&section, &section, "docs", Home::Directory(directory)).await
    }

    /// The store of the section, which somebody else holds.
    pub(crate) async fn of(section: &StoreSection) -> Self {
        Self::new(section, section, "docs", Home::Elsewhere).await
    }

    /// The reading side has a key that can only read, as the server has.
    pub(crate) async fn test_server() -> Self {
        let server = TestQdrant::builder().api_key("full").read_only_api_key("read").start().await.unwrap();
        let section = |key: &str| StoreSection {
            kind: StoreKind::Qdrant,
            url: Some(server.url().parse().unwrap()),
            api_key: Some(key.to_owned().into()),
            ..StoreSection::default()
        };
        Self::new(&section("full"), &section("read"), "docs", Home::TestServer(server)).await
    }

    /// The Qdrant whose gRPC address is in `QDRANT_URL`, if there is one.
    pub(crate) async fn real_qdrant() -> Option<Self> {
        let url = std::env::var("QDRANT_URL").ok()?;
        let section = StoreSection {
            kind: StoreKind::Qdrant,
            url: Some(url.parse().unwrap()),
            api_key: std::env::var("QDRANT_API_KEY").ok().map(Into::into),
            ..StoreSection::default()
        };
        let alias = format!("test-{}", Uuid::new_v4().simple());
        let home = Home::Real(Cleaner::new(&url, &alias));
        Some(Self::new(&section, &section, &alias, home).await)
    }

    async fn new(write: &StoreSection, read: &StoreSection, alias: &str, home: Home) -> Self {
        Self {
            write: store::connect(write, &QdrantSection::default()).unwrap(),
            read: lectern_search::connect(read, &RetrySection::default()).await.unwrap(),
            alias: AliasName::parse(alias).unwrap(),
            home,
            named: AtomicI64::new(0),
        }
    }

    /// A name that this store has not seen: every one a second later than the one before.
    pub(crate) fn generation(&self) -> GenerationId {
        let second = self.named.fetch_add(1, Ordering::Relaxed);
        GenerationId::new(
            &self.alias,
            format!("2026-11-21T10:{:02}:{:02}Z", second / 60, second % 60).parse().unwrap(),
            1,
        )
    }

    /// A generation that has been begun.
    pub(crate) async fn begun(&self) -> Manifest {
        let manifest = manifest(self.generation());
        self.write.create(&manifest).await.unwrap();
        manifest
    }

    /// A whole generation with these points.
    pub(crate) async fn built(&self, points: Vec<Point>) -> GenerationId {
        let manifest = self.begun().await;
        let counts = counts(&points);
        self.write.upsert(&manifest.generation, points).await.unwrap();
        self.write.seal(&manifest, counts).await.unwrap().generation
    }

    pub(crate) async fn open(&self, generation: &GenerationId) -> Arc<dyn Collection> {
        self.try_open(generation).await.unwrap()
    }

    pub(crate) async fn try_open(&self, generation: &GenerationId) -> Result<Arc<dyn Collection>, OpenError> {
        self.read.open(generation, &encoding(), soon()).await
    }

    pub(crate) async fn resolved(&self) -> Result<Resolved, SearchError> {
        self.read.resolve(&self.alias, soon()).await
    }

    pub(crate) async fn resolve(&self) -> Result<GenerationId, SearchError> {
        Ok(self.resolved().await?.live)
    }

    pub(crate) async fn publish(
        &self,
        expected: Option<&GenerationId>,
        to: &GenerationId,
    ) -> Result<(), StoreError> {
        self.write.swap(&self.alias, expected, to).await
    }
}

/// Deletes what a run left in a real Qdrant, over REST since that needs no vendor's client here.
pub(crate) struct Cleaner {
    rest: String,
    alias: String,
}

impl Cleaner {
    fn new(grpc: &str, alias: &str) -> Self {
        let rest = std::env::var("QDRANT_REST_URL").unwrap_or_else(|_| grpc.replace(":6334", ":6333"));
        Self { rest: rest.trim_end_matches('/').to_owned(), alias: alias.to_owned() }
    }

    async fn clean(rest: String, alias: String) -> Result<(), reqwest::Error> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let listed: Value = client.get(format!("{rest}/collections")).send().await?.json().await?;
        let collections = listed["result"]["collections"].as_array().cloned().unwrap_or_default();
        for name in collections.iter().filter_map(|collection| collection["name"].as_str()) {
            if name.starts_with(&format!("{alias}@")) {
                client.delete(format!("{rest}/collections/{name}")).send().await?;
            }
        }
        Ok(())
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        let (rest, alias) = (self.rest.clone(), self.alias.clone());
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Self::clean(rest, alias))
        });
        if let Ok(Err(fault)) = cleaned.join() {
            println!("collections of `{}` may be left behind: {fault}", self.alias);
        }
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Instant::now(), PATIENCE)
}

pub(crate) fn encoding() -> Encoding {
    Encoding::current(Embedding { model: "test".into(), dimension: 4, pooling: Pooling::Mean })
}

pub(crate) fn manifest(generation: GenerationId) -> Manifest {
    Manifest {
        generation,
        fingerprint: Fingerprint {
            encoding: encoding(),
            chunker: Chunker { version: 1, max_tokens: 256, overlap_tokens: 0 },
        },
        state: BuildState::Building,
        written_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        written_by: "0.0.0".into(),
    }
}

pub(crate) fn counts(points: &[Point]) -> Counts {
    let documents: std::collections::BTreeSet<_> =
        points.iter().map(|point| &point.payload.document_id).collect();
    Counts { documents: number(documents.len()), chunks: number(points.len()) }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

pub(crate) fn words(text: &str) -> SparseVector {
    Bm25::new(&Sparse::default()).unwrap().question(text)
}

pub(crate) fn meaning(elements: [f32; 4]) -> DenseVector {
    DenseVector::parse(elements.to_vec()).unwrap()
}

/// A document of one chunk, whose metadata is its name.
pub(crate) fn point(document: &str, text: &str, elements: [f32; 4], metadata: Value) -> Point {
    let document_id = DocumentId::parse(document).unwrap();
    let content_hash = ContentHash::of(&[text]);
    let Value::Object(metadata) = metadata else { panic!("metadata is an object") };
    Point {
        id: ChunkId::derive(&document_id, 0, &content_hash),
        dense: meaning(elements),
        sparse: Bm25::new(&Sparse::default()).unwrap().document(text),
        payload: ChunkPayload {
            uri: format!("file:///{document}"),
            title: document.to_uppercase(),
            heading_path: vec!["Animals".into(), "Pets".into()],
            text: text.into(),
            position: 0,
            tokens: 7,
            content_hash,
            tenant: TenantId::public(),
            metadata,
            document_id,
        },
    }
}

/// Four documents: `cat` and `dog` mean nearly the same, `car` and `ship` are far from them.
pub(crate) fn corpus() -> Vec<Point> {
    vec![
        point(
            "cat",
            "The cat chases a mouse.",
            [1.0, 0.1, 0.0, 0.0],
            json!({"lang": "en", "year": 2020, "tags": ["pet", "small"], "rating": 4.5}),
        ),
        point(
            "dog",
            "The dog chases the cat, and the cat runs.",
            [0.9, 0.3, 0.0, 0.0],
            json!({"lang": "en", "year": 2022, "tags": ["pet"], "tame": true}),
        ),
        point(
            "car",
            "Ein Auto braucht Treibstoff.",
            [0.0, 0.0, 1.0, 0.1],
            json!({"lang": "de", "year": 2024, "tame": false}),
        ),
        point(
            "ship",
            "A ship needs fuel, as a car does.",
            [0.0, 0.1, 0.6, 0.8],
            json!({"year": 2024.0, "tags": []}),
        ),
    ]
}

pub(crate) fn query(arms: Arms, limit: u64) -> Query {
    Query { arms, filter: None, limit: Limit::parse(limit).unwrap() }
}

/// Any search that finds the whole corpus, under a filter.
pub(crate) fn filtered(filter: &Value) -> Query {
    let filter = Some(Filter::parse(filter).unwrap());
    Query { filter, ..query(Arms::Dense(meaning([1.0, 1.0, 1.0, 1.0])), 100) }
}

pub(crate) async fn search(collection: &Arc<dyn Collection>, query: &Query) -> Vec<Hit> {
    collection.search(query, soon()).await.unwrap()
}

/// The documents of the hits, in their order.
pub(crate) fn documents(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.payload.document_id.as_str()).collect()
}
