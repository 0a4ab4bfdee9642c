//! Qdrant's `Collections` service: collections and aliases.
//! Never sees a point.

use std::collections::HashMap;
use std::sync::Arc;

use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::{
    ChangeAliases, CollectionClusterInfoRequest, CollectionClusterInfoResponse, CollectionDescription,
    CollectionExists, CollectionExistsRequest, CollectionExistsResponse, CollectionInfo,
    CollectionOperationResponse, CollectionStatus, CreateCollection, CreateShardKeyRequest,
    CreateShardKeyResponse, DeleteCollection, DeleteShardKeyRequest, DeleteShardKeyResponse,
    GetCollectionInfoRequest, GetCollectionInfoResponse, ListAliasesRequest, ListAliasesResponse,
    ListCollectionAliasesRequest, ListCollectionsRequest, ListCollectionsResponse, ListShardKeysRequest,
    ListShardKeysResponse, OptimizerStatus, PayloadSchemaInfo, PayloadSchemaType, UpdateCollection,
    UpdateCollectionClusterSetupRequest, UpdateCollectionClusterSetupResponse, UpdateQueueInfo,
};
use qdrant_edge::PayloadIndexInfo;
use tonic::{Code, Request, Response, Status};

use crate::collection::Collection;
use crate::convert::config;
use crate::state::{State, Timed};
use crate::status::{internal, unsupported};

/// The service on a server's state.
#[derive(Debug)]
pub(crate) struct CollectionsService {
    pub(crate) state: Arc<State>,
}

#[tonic::async_trait]
impl Collections for CollectionsService {
    async fn get(
        &self,
        request: Request<GetCollectionInfoRequest>,
    ) -> Result<Response<GetCollectionInfoResponse>, Status> {
        let name = request.into_inner().collection_name;
        let info = self.state.run(move |state| describe(&*state.find(&name)?)).await?;
        Ok(Response::new(GetCollectionInfoResponse { result: Some(info.value), time: info.seconds }))
    }

    async fn list(
        &self,
        _: Request<ListCollectionsRequest>,
    ) -> Result<Response<ListCollectionsResponse>, Status> {
        let names = self.state.run(|state| Ok(state.names())).await?;
        let collections = names.value.into_iter().map(|name| CollectionDescription { name }).collect();
        Ok(Response::new(ListCollectionsResponse { collections, time: names.seconds }))
    }

    async fn create(
        &self,
        request: Request<CreateCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let settings = request.into_inner();
        Ok(done(self.state.run(|state| state.create(settings).map(|()| true)).await?))
    }

    async fn update(
        &self,
        request: Request<UpdateCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let update = request.into_inner();
        let work = |state: &State| state.find(&update.collection_name)?.update(update).map(|()| true);
        Ok(done(self.state.run(work).await?))
    }

    async fn delete(
        &self,
        request: Request<DeleteCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let name = request.into_inner().collection_name;
        Ok(done(self.state.run(move |state| state.delete(&name)).await?))
    }

    async fn update_aliases(
        &self,
        request: Request<ChangeAliases>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let actions = request.into_inner().actions;
        Ok(done(self.state.run(|state| state.change_aliases(actions).map(|()| true)).await?))
    }

    async fn list_collection_aliases(
        &self,
        request: Request<ListCollectionAliasesRequest>,
    ) -> Result<Response<ListAliasesResponse>, Status> {
        let name = request.into_inner().collection_name;
        let aliases = self.state.run(move |state| Ok(state.aliases(Some(&name)))).await?;
        Ok(Response::new(ListAliasesResponse { aliases: aliases.value, time: aliases.seconds }))
    }

    async fn list_aliases(
        &self,
        _: Request<ListAliasesRequest>,
    ) -> Result<Response<ListAliasesResponse>, Status> {
        let aliases = self.state.run(|state| Ok(state.aliases(None))).await?;
        Ok(Response::new(ListAliasesResponse { aliases: aliases.value, time: aliases.seconds }))
    }

    async fn collection_exists(
        &self,
        request: Request<CollectionExistsRequest>,
    ) -> Result<Response<CollectionExistsResponse>, Status> {
        let name = request.into_inner().collection_name;
        let exists = self.state.run(move |state| exists(state, &name)).await?;
        let result = CollectionExists { exists: exists.value };
        Ok(Response::new(CollectionExistsResponse { result: Some(result), time: exists.seconds }))
    }

    async fn collection_cluster_info(
        &self,
        _: Request<CollectionClusterInfoRequest>,
    ) -> Result<Response<CollectionClusterInfoResponse>, Status> {
        Err(unsupported("clusters"))
    }

    async fn update_collection_cluster_setup(
        &self,
        _: Request<UpdateCollectionClusterSetupRequest>,
    ) -> Result<Response<UpdateCollectionClusterSetupResponse>, Status> {
        Err(unsupported("clusters"))
    }

    async fn create_shard_key(
        &self,
        _: Request<CreateShardKeyRequest>,
    ) -> Result<Response<CreateShardKeyResponse>, Status> {
        Err(unsupported("shard keys"))
    }

    async fn delete_shard_key(
        &self,
        _: Request<DeleteShardKeyRequest>,
    ) -> Result<Response<DeleteShardKeyResponse>, Status> {
        Err(unsupported("shard keys"))
    }

    async fn list_shard_keys(
        &self,
        _: Request<ListShardKeysRequest>,
    ) -> Result<Response<ListShardKeysResponse>, Status> {
        Err(unsupported("shard keys"))
    }
}

fn done(outcome: Timed<bool>) -> Response<CollectionOperationResponse> {
    Response::new(CollectionOperationResponse { result: outcome.value, time: outcome.seconds })
}

fn exists(state: &State, name: &str) -> Result<bool, Status> {
    match state.find(name) {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(status),
    }
}

fn describe(collection: &Collection) -> Result<CollectionInfo, Status> {
    let info = collection.shard().info();
    let status = if collection.optimizing() { CollectionStatus::Yellow } else { CollectionStatus::Green };
    let mut payload_schema = HashMap::new();
    for (key, index) in info.payload_schema {
        payload_schema.insert(key.to_string(), schema(&index)?);
    }
    Ok(CollectionInfo {
        status: status.into(),
        optimizer_status: Some(OptimizerStatus { ok: true, error: String::new() }),
        segments_count: number(info.segments_count)?,
        config: Some(config::shown(&collection.settings())),
        payload_schema,
        points_count: Some(number(info.points_count)?),
        indexed_vectors_count: Some(number(info.indexed_vectors_count)?),
        warnings: Vec::new(),
        update_queue: Some(UpdateQueueInfo { length: 0, deferred_points: None }),
        created_at: None,
    })
}

fn schema(index: &PayloadIndexInfo) -> Result<PayloadSchemaInfo, Status> {
    let data_type = match index.data_type {
        qdrant_edge::PayloadSchemaType::Keyword => PayloadSchemaType::Keyword,
        qdrant_edge::PayloadSchemaType::Integer => PayloadSchemaType::Integer,
        qdrant_edge::PayloadSchemaType::Float => PayloadSchemaType::Float,
        qdrant_edge::PayloadSchemaType::Geo => PayloadSchemaType::Geo,
        qdrant_edge::PayloadSchemaType::Text => PayloadSchemaType::Text,
        qdrant_edge::PayloadSchemaType::Bool => PayloadSchemaType::Bool,
        qdrant_edge::PayloadSchemaType::Datetime => PayloadSchemaType::Datetime,
        qdrant_edge::PayloadSchemaType::Uuid => PayloadSchemaType::Uuid,
    };
    let points = Some(number(index.points)?);
    Ok(PayloadSchemaInfo { data_type: data_type.into(), params: None, points })
}

fn number(count: usize) -> Result<u64, Status> {
    u64::try_from(count).map_err(internal)
}
