//! Points in Qdrant's terms, and whether they were really written.
//! Never sends a request.

use lectern_schema::embedding::{DENSE_VECTOR, SPARSE_VECTOR};
use qdrant_client::Payload;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    DenseVector, NamedVectors, PointStruct, PointsOperationResponse, SparseVector, UpdateResult,
    UpdateStatus, Vector, Vectors, vector,
};

use crate::store::{Point, StoreError};

const ACTION: &str = "write chunks";

/// A point as Qdrant takes it. A chunk without terms has no sparse vector.
pub(super) fn stored(point: Point) -> Result<PointStruct, StoreError> {
    let Point { id, dense, sparse, payload } = point;
    let payload = serde_json::to_value(payload)
        .map_err(|fault| StoreError::Refused { action: ACTION, source: fault.into() })?;
    let payload = Payload::try_from(payload)
        .map_err(|fault| StoreError::Refused { action: ACTION, source: fault.into() })?;
    let dense = named(vector::Vector::Dense(DenseVector { data: dense.into_inner() }));
    let mut vectors = NamedVectors { vectors: [(DENSE_VECTOR.to_owned(), dense)].into() };
    if !sparse.is_empty() {
        let (indices, values) = (sparse.indices().to_vec(), sparse.values().to_vec());
        let words = named(vector::Vector::Sparse(SparseVector { values, indices }));
        vectors.vectors.insert(SPARSE_VECTOR.to_owned(), words);
    }
    Ok(PointStruct {
        id: Some(id.to_string().into()),
        payload: payload.into(),
        vectors: Some(Vectors { vectors_options: Some(VectorsOptions::Vectors(vectors)) }),
    })
}

/// Fails unless Qdrant says that the points can be read now.
pub(super) fn written(response: &PointsOperationResponse) -> Result<(), StoreError> {
    match response.result.as_ref().map(UpdateResult::status) {
        Some(UpdateStatus::Completed) => Ok(()),
        Some(UpdateStatus::WaitTimeout) => {
            Err(StoreError::Unavailable("the chunks were not written within Qdrant's own time limit".into()))
        }
        status => {
            let source = format!("Qdrant reports {status:?} where it was to wait").into();
            Err(StoreError::Refused { action: ACTION, source })
        }
    }
}

fn named(vector: vector::Vector) -> Vector {
    Vector { vector: Some(vector), ..Vector::default() }
}
