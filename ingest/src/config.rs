//! The `ingest` section of the configuration, and the reading of all sections that the ingest needs.
//! Never changes a setting: what does not fit is refused.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lectern_boot::config::{Faults, Loader};
use lectern_boot::database::SqlSection;
use lectern_boot::telemetry::TelemetrySection;
use lectern_models::config::EmbedderSection;
use lectern_resilience::config::RetrySection;
use lectern_search::config::{StoreKind, StoreSection};
use serde::Deserialize;

use crate::extract::records::RecordFields;
use crate::extract::{Settings, source};
use crate::gather::Gathering;
use crate::gather::web::config::WebSection;
use crate::lifecycle::gate::Percent;
use crate::lifecycle::gate::section::GatesSection;
use crate::lifecycle::prune::Retention;
use crate::reading::Limits;
use crate::store::qdrant::settings::QdrantSection;

/// Sections of the same file that only the server reads.
const OF_THE_SERVER: [&str; 7] = ["http", "llm", "rerank", "cache", "limits", "auth", "session"];

/// Everything that the ingest is told by its configuration.
#[derive(Debug)]
pub struct Config {
    /// Where collections are.
    pub store: StoreSection,
    /// Which model embeds.
    pub embedder: EmbedderSection,
    /// Retries and breakers of calls to models and stores.
    pub retry: RetrySection,
    /// Where the registry is.
    pub sql: SqlSection,
    /// How documents are read and cut.
    pub ingest: IngestSection,
    /// How careful the gates are.
    pub gates: GatesSection,
    /// What is logged.
    pub telemetry: TelemetrySection,
}

impl Config {
    /// Reads defaults, `file` and the environment; reports all faults together.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let mut loader = Loader::from_environment(file);
        let config = Self {
            store: loader.section("store"),
            embedder: loader.section("embedder"),
            retry: loader.checked("retry", RetrySection::faults),
            sql: loader.section("sql"),
            ingest: loader.checked("ingest", IngestSection::faults),
            gates: loader.checked("gates", GatesSection::faults),
            telemetry: loader.section("telemetry"),
        };
        loader.ignore(&OF_THE_SERVER);
        loader.finish().map(|()| config)
    }
}

impl Config {
    /// How sources are found. What is no file yet is kept in the data folder, where there is one.
    pub fn gathering(&self) -> Gathering {
        let is_embedded = self.store.kind == StoreKind::Embedded;
        Gathering {
            ignore: self.ingest.ignore.clone(),
            max_stdin_bytes: self.ingest.max_file_bytes,
            web: self.ingest.web.clone(),
            spool: is_embedded.then(|| self.store.path.join(SPOOL)),
        }
    }
}

/// Folder of the data folder for what is ingested and is no file.
const SPOOL: &str = "spool";

/// How documents are read and cut, and how careful publishing is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSection {
    /// Most tokens of the embedder in what is embedded of a chunk: title, headings and text.
    pub chunk_tokens: u32,
    /// Tokens that a chunk repeats of the one before it in the same section.
    pub overlap_tokens: u32,
    /// Largest file that is read.
    pub max_file_bytes: u64,
    /// Most bytes that the compressed parts of one file may have together when they are expanded.
    pub max_expanded_bytes: u64,
    /// Patterns of files that are no documents, as `.gitignore` writes them.
    pub ignore: Vec<String>,
    /// Which field of a JSON record is what.
    pub records: RecordFields,
    /// Documents read and cut at once.
    pub readers: NonZeroUsize,
    /// Seconds that reading a file may take until its first document, and then until each next one.
    pub extract_seconds: NonZeroU64,
    /// Memory that reading a file may take, in MiB.
    pub extract_mib: NonZeroU64,
    /// Seconds that the embedder may take for a batch of chunks, all tries together.
    pub embed_seconds: NonZeroUsize,
    /// What the embedder charges for a million tokens, in any currency; `None` where nothing is charged.
    pub price_per_million_tokens: Option<f64>,
    /// Superseded generations that `prune` keeps, to roll back to.
    pub keep: usize,
    /// Percent of the live generation's chunks and documents below which a new one is refused: as a whole, by tenant and by
    /// source.
    pub least_percent: Percent,
    /// How generations are laid out and loaded in Qdrant.
    pub qdrant: QdrantSection,
    /// How pages are fetched.
    pub web: WebSection,
    /// File of questions with the documents that answer them, which every new generation is asked.
    pub golden: Option<PathBuf>,
}

impl IngestSection {
    /// Fewest tokens that a chunk is worth: below it title and headings leave no room for text.
    const FEWEST_TOKENS: u32 = 32;

    /// How documents are read.
    pub fn extraction(&self) -> Settings {
        Settings {
            max_file_bytes: self.max_file_bytes,
            max_expanded_bytes: self.max_expanded_bytes,
            records: self.records.clone(),
        }
    }

    /// What the readers of documents may take.
    pub fn reading(&self) -> Limits {
        Limits { patience: Duration::from_secs(self.extract_seconds.get()), mib: self.extract_mib.get() }
    }

    /// What embedding so many tokens costs, `None` where no price is set.
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "an estimate of money, not a count"
    )]
    pub(crate) fn cost(&self, tokens: u64) -> Option<f64> {
        const PRICED: f64 = 1e6;
        self.price_per_million_tokens.map(|price| tokens as f64 / PRICED * price)
    }

    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.chunk_tokens < Self::FEWEST_TOKENS {
            found.push(("chunk_tokens", format!("must be at least {}", Self::FEWEST_TOKENS)));
        }
        if self.overlap_tokens > self.chunk_tokens / 2 {
            found.push(("overlap_tokens", "must be at most half of `ingest.chunk_tokens`".to_owned()));
        }
        if self.price_per_million_tokens.is_some_and(|price| !(0.0..f64::INFINITY).contains(&price)) {
            found.push(("price_per_million_tokens", "must be 0 or more".to_owned()));
        }
        if self.records.text.is_empty() {
            found.push(("records.text", "must name a field".to_owned()));
        }
        for (key, bytes) in
            [("max_file_bytes", self.max_file_bytes), ("max_expanded_bytes", self.max_expanded_bytes)]
        {
            if bytes == 0 {
                found.push((key, "must be at least 1".to_owned()));
            }
        }
        if let Err(error) = source::ignored(Path::new("/"), &self.ignore) {
            found.push(("ignore", format!("has a pattern that cannot be read: {error}")));
        }
        found.extend(self.web.faults());
        found
    }
}

impl Default for IngestSection {
    fn default() -> Self {
        Self {
            // MiniLM sees 256 tokens with its two special ones; the rest is slack for tokenizers that are not known here.
            chunk_tokens: 240,
            overlap_tokens: 0,
            max_file_bytes: 64 * 1024 * 1024,
            // Ten times what real documents expand to; a bomb expands a thousandfold.
            max_expanded_bytes: 256 * 1024 * 1024,
            ignore: Vec::new(),
            records: RecordFields::default(),
            readers: NonZeroUsize::new(2).unwrap_or(NonZeroUsize::MIN),
            extract_seconds: NonZeroU64::new(30).unwrap_or(NonZeroU64::MIN),
            extract_mib: NonZeroU64::new(256).unwrap_or(NonZeroU64::MIN),
            embed_seconds: NonZeroUsize::new(600).unwrap_or(NonZeroUsize::MIN),
            price_per_million_tokens: None,
            keep: Retention::default().keep,
            least_percent: Percent::default(),
            qdrant: QdrantSection::default(),
            web: WebSection::default(),
            golden: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_fault_and_all_faults_are_found() {
        assert_eq!(IngestSection::default().faults(), []);
        let section = IngestSection {
            chunk_tokens: 8,
            overlap_tokens: 5,
            max_file_bytes: 0,
            max_expanded_bytes: 0,
            ignore: vec!["{a".to_owned()],
            ..IngestSection::default()
        };
        let keys: Vec<&str> = section.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            ["chunk_tokens", "overlap_tokens", "max_file_bytes", "max_expanded_bytes", "ignore"]
        );
    }
}
