//! Qdrant's `Points` service: which call is answered by which file, and which calls are refused.
//! Never decides an answer itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::{
    self, CountPoints, CountResponse, CreateFieldIndexCollection, DeleteFieldIndexCollection, DeletePoints,
    FacetCounts, FacetResponse, GetPoints, GetResponse, PointsOperationResponse, QueryBatchPoints,
    QueryBatchResponse, QueryGroupsResponse, QueryPointGroups, QueryPoints, QueryResponse, ScrollPoints,
    ScrollResponse, UpdateResult, UpdateStatus, UpsertPoints,
};
use tonic::{Request, Response, Status};

use crate::state::{State, Timed};
use crate::status::unsupported;

mod groups;
mod query;
mod read;
mod write;

/// The service on a server's state.
#[derive(Debug)]
pub(crate) struct PointsService {
    pub(crate) state: Arc<State>,
}

/// A method that is answered with `UNIMPLEMENTED`, in the form that `async_trait` gives to methods: it leaves
/// macros alone.
macro_rules! refused {
    ($($method:ident: $request:ident -> $response:ident;)+) => {$(
        fn $method<'service, 'future>(
            &'service self,
            _: Request<qdrant::$request>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<qdrant::$response>, Status>> + Send + 'future>>
        where
            'service: 'future,
            Self: 'future,
        {
            Box::pin(async { Err(unsupported(concat!("Points/", stringify!($method)))) })
        }
    )+};
}

#[tonic::async_trait]
impl Points for PointsService {
    async fn upsert(
        &self,
        request: Request<UpsertPoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        Ok(updated(self.state.run(|state| write::upsert(state, request)).await?))
    }

    async fn delete(
        &self,
        request: Request<DeletePoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        Ok(updated(self.state.run(|state| write::delete(state, request)).await?))
    }

    async fn create_field_index(
        &self,
        request: Request<CreateFieldIndexCollection>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        Ok(updated(self.state.run(move |state| write::create_field_index(state, &request)).await?))
    }

    async fn delete_field_index(
        &self,
        request: Request<DeleteFieldIndexCollection>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        Ok(updated(self.state.run(move |state| write::delete_field_index(state, &request)).await?))
    }

    async fn get(&self, request: Request<GetPoints>) -> Result<Response<GetResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| read::get(state, request)).await?;
        Ok(Response::new(GetResponse { result: value, time: seconds, usage: None }))
    }

    async fn count(&self, request: Request<CountPoints>) -> Result<Response<CountResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| read::count(state, request)).await?;
        Ok(Response::new(CountResponse { result: Some(value), time: seconds, usage: None }))
    }

    async fn scroll(&self, request: Request<ScrollPoints>) -> Result<Response<ScrollResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| read::scroll(state, request)).await?;
        let (result, next_page_offset) = value;
        Ok(Response::new(ScrollResponse { next_page_offset, result, time: seconds, usage: None }))
    }

    async fn query(&self, request: Request<QueryPoints>) -> Result<Response<QueryResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| query::query(state, request)).await?;
        Ok(Response::new(QueryResponse { result: value, time: seconds, usage: None }))
    }

    async fn query_batch(
        &self,
        request: Request<QueryBatchPoints>,
    ) -> Result<Response<QueryBatchResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| query::batch(state, request)).await?;
        Ok(Response::new(QueryBatchResponse { result: value, time: seconds, usage: None }))
    }

    async fn query_groups(
        &self,
        request: Request<QueryPointGroups>,
    ) -> Result<Response<QueryGroupsResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| groups::query(state, request)).await?;
        Ok(Response::new(QueryGroupsResponse { result: Some(value), time: seconds, usage: None }))
    }

    async fn facet(&self, request: Request<FacetCounts>) -> Result<Response<FacetResponse>, Status> {
        let request = request.into_inner();
        let Timed { value, seconds } = self.state.run(|state| read::facet(state, request)).await?;
        Ok(Response::new(FacetResponse { hits: value, time: seconds, usage: None }))
    }

    refused! {
        update_vectors: UpdatePointVectors -> PointsOperationResponse;
        delete_vectors: DeletePointVectors -> PointsOperationResponse;
        set_payload: SetPayloadPoints -> PointsOperationResponse;
        overwrite_payload: SetPayloadPoints -> PointsOperationResponse;
        delete_payload: DeletePayloadPoints -> PointsOperationResponse;
        clear_payload: ClearPayloadPoints -> PointsOperationResponse;
        create_vector_name: CreateVectorNameRequest -> PointsOperationResponse;
        delete_vector_name: DeleteVectorNameRequest -> PointsOperationResponse;
        update_batch: UpdateBatchPoints -> UpdateBatchResponse;
        search: SearchPoints -> SearchResponse;
        search_batch: SearchBatchPoints -> SearchBatchResponse;
        search_groups: SearchPointGroups -> SearchGroupsResponse;
        recommend: RecommendPoints -> RecommendResponse;
        recommend_batch: RecommendBatchPoints -> RecommendBatchResponse;
        recommend_groups: RecommendPointGroups -> RecommendGroupsResponse;
        discover: DiscoverPoints -> DiscoverResponse;
        discover_batch: DiscoverBatchPoints -> DiscoverBatchResponse;
        search_matrix_pairs: SearchMatrixPoints -> SearchMatrixPairsResponse;
        search_matrix_offsets: SearchMatrixPoints -> SearchMatrixOffsetsResponse;
    }
}

fn updated(status: Timed<UpdateStatus>) -> Response<PointsOperationResponse> {
    let result = UpdateResult { operation_id: Some(0), status: status.value.into() };
    Response::new(PointsOperationResponse { result: Some(result), time: status.seconds, usage: None })
}
