//! The `store` section of the configuration.
//! Never reads it from anywhere: `boot` does.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use lectern_schema::identifiers::AliasName;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// Which vector store holds the collections.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// Embedded in the process, or a Qdrant server.
    pub kind: StoreKind,
    /// Directory of the embedded store.
    pub path: PathBuf,
    /// gRPC address of Qdrant, e.g. `http://127.0.0.1:6334`.
    pub url: Option<Url>,
    /// Key of Qdrant; the server needs a read-only one.
    pub api_key: Option<SecretString>,
    /// Calls to Qdrant under way at once. Searches beyond it gather in common calls.
    pub concurrency: NonZeroUsize,
    /// Most searches in one call; 1 makes a call for each.
    pub batch: NonZeroUsize,
    /// The alias that is served, and ingested into, when a request names none.
    pub alias: AliasName,
}

/// Why no store can be made of the section.
#[derive(Debug, thiserror::Error)]
pub enum BadStore {
    /// Qdrant was chosen, but not where it is.
    #[error(
        "`store.url` is missing: `store.kind = \"qdrant\"` needs Qdrant's gRPC address, such as `http://127.0.0.1:6334`"
    )]
    UrlMissing,
    /// The client cannot be made from the address.
    #[error("`store.url` cannot be used")]
    Url(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Kinds of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// The Qdrant engine in the process.
    #[default]
    Embedded,
    /// A Qdrant server or cluster.
    Qdrant,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            kind: StoreKind::default(),
            path: PathBuf::from("./data"),
            url: None,
            api_key: None,
            concurrency: NonZeroUsize::MIN.saturating_add(7),
            batch: NonZeroUsize::MIN.saturating_add(15),
            alias: AliasName::default(),
        }
    }
}
