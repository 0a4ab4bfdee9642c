//! Writes collections and aliases of a Qdrant server or cluster over gRPC.
//! Never waits without a bound, and never moves an alias that somebody else has moved.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use lectern_schema::canary::Canary;
use lectern_schema::generation::{BuildState, Counts, Manifest};
use lectern_schema::identifiers::{AliasName, DocumentId, GenerationId};
use lectern_search::config::{BadStore, StoreSection};
use lectern_search::filter::Filter;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{
    CreateAlias, DeleteCollection, GetCollectionInfoRequest, PointStruct, UpsertPoints,
};
use secrecy::ExposeSecret as _;

use super::{IndexState, Point, StoreError, Stored, WriteStore};
use crate::store::qdrant::call::{Fault, bounded};
use crate::store::qdrant::settings::QdrantSection;

mod call;
mod canary;
mod collection;
mod documents;
mod point;
mod seal;
pub mod settings;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bound of any one call: building an index is not a call, and everything else that takes longer has failed.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);

/// A Qdrant server, for writing.
#[derive(Clone)]
pub struct QdrantStore {
    client: Arc<Qdrant>,
    settings: QdrantSection,
}

impl QdrantStore {
    /// Prepares the client. Connects with the first call.
    pub fn connect(section: &StoreSection, settings: &QdrantSection) -> Result<Self, BadStore> {
        let url = section.url.as_ref().ok_or(BadStore::UrlMissing)?;
        let mut config = Qdrant::from_url(url.as_str())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .keep_alive_while_idle()
            .skip_compatibility_check();
        if let Some(key) = &section.api_key {
            config.set_api_key(key.expose_secret());
        }
        let client = config.build().map_err(|fault| BadStore::Url(Box::new(fault)))?;
        Ok(Self { client: Arc::new(client), settings: settings.clone() })
    }

    async fn begin(&self, manifest: &Manifest) -> Result<(), StoreError> {
        const ACTION: &str = "create the generation";
        let generation = &manifest.generation;
        if manifest.state != BuildState::Building {
            let source = "its manifest says that it is built".into();
            return Err(StoreError::Refused { action: ACTION, source });
        }
        // Asked for beforehand as well: older releases report a taken name as a malformed request.
        if bounded(ACTION, self.client.collection_exists(generation.as_str()))
            .await
            .map_err(Fault::of_store)?
        {
            return Err(StoreError::Taken(generation.clone()));
        }
        let request = collection::creation(manifest, &self.settings)?;
        bounded(ACTION, Box::pin(self.client.create_collection(request)))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        for request in collection::indexes(generation, &self.settings) {
            bounded("index payload fields", self.client.create_field_index(request))
                .await
                .map_err(|fault| fault.of_generation(generation))?;
        }
        Ok(())
    }

    async fn write(&self, generation: &GenerationId, points: Vec<Point>) -> Result<(), StoreError> {
        let points = points.into_iter().map(point::stored).collect::<Result<Vec<_>, _>>()?;
        let batches: Vec<Vec<_>> = chunked(points, self.settings.batch);
        let calls = batches.into_iter().map(|batch| self.write_batch(generation, batch));
        stream::iter(calls).buffer_unordered(self.settings.parallel.get()).try_collect().await
    }

    async fn write_batch(
        &self,
        generation: &GenerationId,
        points: Vec<PointStruct>,
    ) -> Result<(), StoreError> {
        let request = UpsertPoints {
            collection_name: generation.to_string(),
            wait: Some(true),
            points,
            ..UpsertPoints::default()
        };
        let response = bounded("write chunks", self.client.upsert_points(request))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        point::written(&response)
    }

    async fn finish(&self, manifest: &Manifest, counts: Counts) -> Result<Manifest, StoreError> {
        let generation = &manifest.generation;
        if self.settings.defer_index {
            let request = collection::graph_building(generation, &self.settings);
            bounded("have the index built", Box::pin(self.client.update_collection(request)))
                .await
                .map_err(|fault| fault.of_generation(generation))?;
        }
        seal::index_built(&self.client, generation).await?;
        seal::check_count(&self.client, generation, counts.chunks).await?;
        seal::mark(&self.client, manifest, counts).await
    }

    async fn list(&self, alias: &AliasName) -> Result<Vec<Stored>, StoreError> {
        let listed =
            bounded("list collections", self.client.list_collections()).await.map_err(Fault::of_store)?;
        let names = listed.collections.into_iter().filter_map(|found| GenerationId::parse(&found.name).ok());
        let mut generations: Vec<_> = names.filter(|generation| generation.alias() == alias).collect();
        generations.sort();
        let mut found = Vec::with_capacity(generations.len());
        for generation in generations {
            match self.manifest(&generation).await {
                Ok(manifest) => found.push(Stored { generation, manifest }),
                // Deleted between the two calls.
                Err(StoreError::Missing(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(found)
    }

    async fn manifest(&self, generation: &GenerationId) -> Result<Option<Manifest>, StoreError> {
        let request = GetCollectionInfoRequest { collection_name: generation.to_string() };
        let response = bounded("describe the collection", self.client.collection_info(request))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        Ok(response.result.and_then(|info| collection::manifest(generation, &info)))
    }

    async fn target(&self, alias: &AliasName) -> Result<Option<GenerationId>, StoreError> {
        let found = self.aliases().await?.into_iter().find(|(name, _)| name == alias.as_str());
        let Some((_, collection)) = found else { return Ok(None) };
        let parsed = GenerationId::parse(&collection);
        parsed
            .map(Some)
            .map_err(|fault| StoreError::Refused { action: "read the alias", source: fault.into() })
    }

    /// All aliases with their collections.
    async fn aliases(&self) -> Result<Vec<(String, String)>, StoreError> {
        let listed = bounded("list aliases", self.client.list_aliases()).await.map_err(Fault::of_store)?;
        Ok(listed.aliases.into_iter().map(|found| (found.alias_name, found.collection_name)).collect())
    }

    /// Qdrant itself compares nothing and replaces silently, so that the alias is read right before and right after:
    /// what remains between two ingests is for the lock that they share in SQL.
    async fn move_alias(
        &self,
        alias: &AliasName,
        expected: Option<&GenerationId>,
        to: &GenerationId,
    ) -> Result<(), StoreError> {
        self.expect(alias, expected).await?;
        self.refuse_incomplete(to).await?;
        self.expect(alias, expected).await?;
        let request = CreateAlias { alias_name: alias.to_string(), collection_name: to.to_string() };
        bounded("move the alias", self.client.create_alias(request))
            .await
            .map_err(|fault| fault.of_generation(to))?;
        self.expect(alias, Some(to)).await
    }

    async fn refuse_incomplete(&self, generation: &GenerationId) -> Result<(), StoreError> {
        let manifest = self.manifest(generation).await?;
        let complete = manifest.as_ref().and_then(Manifest::counts).is_some();
        if complete { Ok(()) } else { Err(StoreError::incomplete(generation)) }
    }

    async fn expect(&self, alias: &AliasName, expected: Option<&GenerationId>) -> Result<(), StoreError> {
        let found = self.target(alias).await?;
        if found.as_ref() == expected {
            return Ok(());
        }
        Err(StoreError::moved(alias, expected, found))
    }

    async fn remove(&self, generation: &GenerationId) -> Result<(), StoreError> {
        let aliases = self.aliases().await?;
        if let Some((alias, _)) =
            aliases.into_iter().find(|(_, collection)| collection == generation.as_str())
        {
            let holder = format!("alias `{alias}`, which points at it");
            return Err(StoreError::Held { generation: generation.clone(), holder });
        }
        let request = DeleteCollection { collection_name: generation.to_string(), timeout: None };
        let response = bounded("delete the generation", self.client.delete_collection(request))
            .await
            .map_err(|fault| fault.of_generation(generation))?;
        if response.result { Ok(()) } else { Err(StoreError::Missing(generation.clone())) }
    }
}

/// The points in batches of at most `size`, in their order.
fn chunked<T>(points: Vec<T>, size: NonZeroUsize) -> Vec<Vec<T>> {
    let mut points = points.into_iter();
    let batches = std::iter::repeat_with(|| points.by_ref().take(size.get()).collect::<Vec<T>>());
    batches.take_while(|batch| !batch.is_empty()).collect()
}

impl std::fmt::Debug for QdrantStore {
    /// Leaves out the client, whose configuration holds the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantStore").finish_non_exhaustive()
    }
}

impl WriteStore for QdrantStore {
    fn create<'a>(&'a self, manifest: &'a Manifest) -> BoxFuture<'a, Result<(), StoreError>> {
        self.begin(manifest).boxed()
    }

    fn upsert<'a>(
        &'a self,
        generation: &'a GenerationId,
        points: Vec<Point>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.write(generation, points).boxed()
    }

    /// Qdrant was waited for with every write.
    fn flush<'a>(&'a self, _generation: &'a GenerationId) -> BoxFuture<'a, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }

    fn documents<'a>(
        &'a self,
        generation: &'a GenerationId,
        filter: Option<&'a Filter>,
    ) -> BoxFuture<'a, Result<BTreeMap<DocumentId, u64>, StoreError>> {
        documents::tallied(&self.client, generation, filter).boxed()
    }

    fn delete_documents<'a>(
        &'a self,
        generation: &'a GenerationId,
        documents: &'a [DocumentId],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        documents::delete(&self.client, generation, documents).boxed()
    }

    fn erase<'a>(
        &'a self,
        manifest: &'a Manifest,
        documents: &'a [DocumentId],
        _successor: &'a GenerationId,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        async {
            documents::delete(&self.client, &manifest.generation, documents).await?;
            let left = documents::tallied(&self.client, &manifest.generation, None).await?;
            seal::mark(&self.client, manifest, super::counts(&left)).await
        }
        .boxed()
    }

    fn seal<'a>(
        &'a self,
        manifest: &'a Manifest,
        counts: Counts,
    ) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        self.finish(manifest, counts).boxed()
    }

    fn index<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<IndexState, StoreError>> {
        seal::index_state(&self.client, generation).boxed()
    }

    fn generations<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Vec<Stored>, StoreError>> {
        self.list(alias).boxed()
    }

    fn live<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Option<GenerationId>, StoreError>> {
        self.target(alias).boxed()
    }

    fn swap<'a>(
        &'a self,
        alias: &'a AliasName,
        expected: Option<&'a GenerationId>,
        to: &'a GenerationId,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.move_alias(alias, expected, to).boxed()
    }

    fn canary<'a>(&'a self, alias: &'a AliasName) -> BoxFuture<'a, Result<Option<Canary>, StoreError>> {
        self.canary_of(alias).boxed()
    }

    fn swap_canary<'a>(
        &'a self,
        alias: &'a AliasName,
        expected: Option<&'a Canary>,
        to: Option<&'a Canary>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.move_canary(alias, expected, to).boxed()
    }

    fn delete<'a>(&'a self, generation: &'a GenerationId) -> BoxFuture<'a, Result<(), StoreError>> {
        self.remove(generation).boxed()
    }
}
