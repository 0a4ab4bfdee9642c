//! Calls that change points and payload indexes.
//! Never changes what a collection is made of.

use std::sync::Arc;

use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::{
    self, CreateFieldIndexCollection, DeleteFieldIndexCollection, DeletePoints, FieldType, UpdateMode,
    UpdateStatus, UpsertPoints, payload_index_params::IndexParams,
};
use qdrant_edge::{
    CreateIndex, FieldIndexOperations, PayloadFieldSchema, PayloadSchemaType, PointInsertOperations,
    PointOperations, PointStructPersisted, UpdateOperation,
};
use tonic::Status;

use crate::collection::Collection;
use crate::convert::{filter, payload, vectors};
use crate::state::State;
use crate::status::{engine, refuse, wrong_input};

pub(crate) fn upsert(state: &State, request: UpsertPoints) -> Result<UpdateStatus, Status> {
    refuse("shard keys", request.shard_key_selector.is_some())?;
    refuse("conditional upserts", request.update_filter.is_some())?;
    refuse("upsert modes", request.update_mode.is_some() && request.update_mode() != UpdateMode::Upsert)?;
    let collection = state.find(&request.collection_name)?;
    let points = request.points.into_iter().map(point).collect::<Result<Vec<_>, Status>>()?;
    if points.is_empty() {
        return Err(Status::invalid_argument("Empty update request"));
    }
    let points = PointOperations::UpsertPoints(PointInsertOperations::PointsList(points));
    apply(&collection, UpdateOperation::PointOperation(points), request.wait)
}

fn point(message: qdrant::PointStruct) -> Result<PointStructPersisted, Status> {
    Ok(PointStructPersisted {
        id: payload::point_id(message.id)?,
        vector: vectors::persisted(message.vectors)?,
        payload: Some(payload::payload(message.payload)?),
    })
}

pub(crate) fn delete(state: &State, request: DeletePoints) -> Result<UpdateStatus, Status> {
    refuse("shard keys", request.shard_key_selector.is_some())?;
    let collection = state.find(&request.collection_name)?;
    let points = match request.points.and_then(|points| points.points_selector_one_of) {
        Some(PointsSelectorOneOf::Points(points)) => {
            PointOperations::DeletePoints { ids: payload::point_ids(points.ids)? }
        }
        Some(PointsSelectorOneOf::Filter(filter)) => {
            PointOperations::DeletePointsByFilter(filter::required(filter)?)
        }
        None => return Err(Status::invalid_argument("Malformed PointsSelector type")),
    };
    apply(&collection, UpdateOperation::PointOperation(points), request.wait)
}

pub(crate) fn create_field_index(
    state: &State,
    request: &CreateFieldIndexCollection,
) -> Result<UpdateStatus, Status> {
    let collection = state.find(&request.collection_name)?;
    let create = CreateIndex {
        field_name: payload::key(&request.field_name)?,
        field_schema: Some(PayloadFieldSchema::FieldType(index_type(request)?)),
    };
    let operation = FieldIndexOperations::CreateIndex(create);
    apply(&collection, UpdateOperation::FieldIndexOperation(operation), request.wait)
}

/// Parameters of an index change what it costs, but for those of a text index, which change what it finds.
fn index_type(request: &CreateFieldIndexCollection) -> Result<PayloadSchemaType, Status> {
    let params = request.field_index_params.as_ref().and_then(|params| params.index_params.as_ref());
    Ok(match params {
        Some(IndexParams::TextIndexParams(_)) => {
            refuse("parameters of text indexes", true)?;
            PayloadSchemaType::Text
        }
        Some(IndexParams::KeywordIndexParams(_)) => PayloadSchemaType::Keyword,
        Some(IndexParams::IntegerIndexParams(_)) => PayloadSchemaType::Integer,
        Some(IndexParams::FloatIndexParams(_)) => PayloadSchemaType::Float,
        Some(IndexParams::GeoIndexParams(_)) => PayloadSchemaType::Geo,
        Some(IndexParams::BoolIndexParams(_)) => PayloadSchemaType::Bool,
        Some(IndexParams::DatetimeIndexParams(_)) => PayloadSchemaType::Datetime,
        Some(IndexParams::UuidIndexParams(_)) => PayloadSchemaType::Uuid,
        None => match request.field_type.map(FieldType::try_from) {
            Some(Ok(FieldType::Keyword)) => PayloadSchemaType::Keyword,
            Some(Ok(FieldType::Integer)) => PayloadSchemaType::Integer,
            Some(Ok(FieldType::Float)) => PayloadSchemaType::Float,
            Some(Ok(FieldType::Geo)) => PayloadSchemaType::Geo,
            Some(Ok(FieldType::Text)) => PayloadSchemaType::Text,
            Some(Ok(FieldType::Bool)) => PayloadSchemaType::Bool,
            Some(Ok(FieldType::Datetime)) => PayloadSchemaType::Datetime,
            Some(Ok(FieldType::Uuid)) => PayloadSchemaType::Uuid,
            Some(Err(_)) => return Err(Status::invalid_argument("Unknown field type")),
            None => return Err(wrong_input("a field index needs a field type")),
        },
    })
}

pub(crate) fn delete_field_index(
    state: &State,
    request: &DeleteFieldIndexCollection,
) -> Result<UpdateStatus, Status> {
    let collection = state.find(&request.collection_name)?;
    let operation = FieldIndexOperations::DeleteIndex(payload::key(&request.field_name)?);
    apply(&collection, UpdateOperation::FieldIndexOperation(operation), request.wait)
}

/// As with Qdrant, only a caller that waits learns that the operation failed.
fn apply(
    collection: &Arc<Collection>,
    operation: UpdateOperation,
    wait: Option<bool>,
) -> Result<UpdateStatus, Status> {
    let applied = collection.write(operation);
    if wait != Some(true) {
        return Ok(UpdateStatus::Acknowledged);
    }
    applied.map(|()| UpdateStatus::Completed).map_err(|error| engine(&error))
}
