//! Says what a run would change and what it would cost, by reading and cutting everything and embedding nothing.
//! Never writes a generation, a document's record or a vector.

use std::collections::BTreeMap;
use std::time::Duration;

use lectern_schema::identifiers::{AliasName, ContentHash};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::extract::Skipped;
use crate::extract::source::Sources;
use crate::pipeline::Ingest;
use crate::pipeline::error::BuildError;
use crate::pipeline::plan::Plan;
use crate::pipeline::progress::count;
use crate::pipeline::read::Batch;
use crate::pipeline::report::{Changes, millis};
use crate::registry::documents::DocumentState;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Forecast {
    /// Documents that would be in the generation.
    pub documents: u64,
    /// Chunks that would be in the generation.
    pub chunks: u64,
    /// Chunks whose text would have to be embedded.
    pub to_embed: u64,
    /// Tokens of those chunks, by the embedder's count: what a paid embedder charges for.
    pub tokens_to_embed: u64,
    /// What they would cost at `ingest.price_per_million_tokens`, in its currency; `None` where no price is set.
    pub cost: Option<f64>,
    /// How the documents differ from those of the run before.
    pub changes: Changes,
    /// Documents that would be left out.
    pub skipped: Vec<Skipped>,
    /// Files of formats that are not supported, by extension.
    pub unsupported: BTreeMap<String, u64>,
    /// Time that reading and cutting took, over all readers.
    pub read_ms: u64,
}

impl Ingest {
    /// Plans a run of `sources` for `alias`.
    pub async fn forecast(&self, alias: &AliasName, sources: Sources) -> Result<Forecast, BuildError> {
        let mut plan = Plan::new(self.registry.documents(alias).await?);
        self.progress.begin(sources.documents.len());
        let (sender, batches) = mpsc::channel(1);
        let mut forecast =
            Forecast { skipped: sources.skipped, unsupported: sources.unsupported, ..Forecast::default() };
        let reader = self.reader()?;
        let (read, ()): (Duration, ()) = tokio::try_join!(
            reader.run(sources.documents, &self.progress, sender),
            self.weigh(batches, &mut plan, &mut forecast),
        )?;
        forecast.read_ms = millis(read);
        forecast.changes = plan.finish();
        forecast.cost = self.settings.cost(forecast.tokens_to_embed);
        Ok(forecast)
    }

    async fn weigh(
        &self,
        mut batches: mpsc::Receiver<Batch>,
        plan: &mut Plan,
        forecast: &mut Forecast,
    ) -> Result<(), BuildError> {
        while let Some(batch) = batches.recv().await {
            let hashes: Vec<ContentHash> =
                batch.drafts.iter().map(|draft| draft.chunk.payload.content_hash.clone()).collect();
            let known = self.registry.cached_vectors(&self.vectors.digest, &hashes).await?;
            forecast.chunks += count(batch.drafts.len());
            for draft in &batch.drafts {
                if !known.contains_key(&draft.chunk.payload.content_hash) {
                    forecast.to_embed += 1;
                    forecast.tokens_to_embed +=
                        count(self.vectors.embedder.count_tokens(&draft.chunk.embedded));
                }
            }
            forecast.skipped.extend(batch.skipped);
            for document in batch.documents {
                match (document.state, &document.content_hash) {
                    (DocumentState::Skipped { reason }, _) => {
                        forecast.skipped.push(Skipped::new(document.document_id.to_string(), &reason));
                    }
                    (DocumentState::Ingested { .. }, content) => {
                        forecast.documents += 1;
                        if let Some(content) = content {
                            plan.see(&document.document_id, content);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
