//! Vectors, both ways, and the check of a query's vector against the vectors that a collection has.
//! Never computes with a vector.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::vector::Vector as Kind;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions;
use qdrant_client::qdrant::{self, vector_input, vector_output, vectors_output};
use qdrant_edge::{
    OperationError, SparseVector, VectorInternal, VectorPersisted, VectorStructInternal,
    VectorStructPersisted, WithVector,
};
use tonic::Status;

use crate::status::{engine, refuse, unsupported, wrong_input};

/// The vectors of a collection, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape(pub(crate) BTreeMap<String, Space>);

/// What a vector of some name looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// So many elements.
    Dense(usize),
    /// Terms with weights.
    Sparse,
}

impl Shape {
    /// A query's vector, if it fits the vectors called `using`.
    pub(crate) fn fit(&self, using: &str, input: qdrant::VectorInput) -> Result<VectorInternal, Status> {
        let space = self.0.get(using).ok_or_else(|| {
            engine(&OperationError::VectorNameNotExists { received_name: using.to_owned() })
        })?;
        match (space, query_vector(input)?) {
            (Space::Dense(dimension), VectorInternal::Dense(elements)) => {
                let (expected_dim, received_dim) = (*dimension, elements.len());
                if expected_dim != received_dim {
                    return Err(engine(&OperationError::WrongVectorDimension { expected_dim, received_dim }));
                }
                Ok(VectorInternal::Dense(elements))
            }
            (Space::Sparse, vector @ VectorInternal::Sparse(_)) => Ok(vector),
            (Space::Dense(_), _) => Err(wrong_input("Conversion between sparse and regular vectors failed")),
            (Space::Sparse, _) => Err(engine(&OperationError::WrongSparse)),
        }
    }
}

fn query_vector(input: qdrant::VectorInput) -> Result<VectorInternal, Status> {
    match input.variant {
        Some(vector_input::Variant::Dense(dense)) => Ok(VectorInternal::Dense(dense.data)),
        Some(vector_input::Variant::Sparse(sparse)) => sparse_vector(sparse).map(VectorInternal::Sparse),
        Some(vector_input::Variant::Id(_)) => Err(unsupported("queries by id")),
        Some(vector_input::Variant::MultiDense(_)) => Err(unsupported("multi-vectors")),
        Some(_) => Err(unsupported("inference")),
        None => Err(Status::invalid_argument("VectorInput is not set")),
    }
}

fn sparse_vector(sparse: qdrant::SparseVector) -> Result<SparseVector, Status> {
    SparseVector::new(sparse.indices, sparse.values).map_err(wrong_input)
}

/// The vectors of a point that is written.
pub(crate) fn persisted(vectors: Option<qdrant::Vectors>) -> Result<VectorStructPersisted, Status> {
    match vectors.and_then(|vectors| vectors.vectors_options) {
        Some(VectorsOptions::Vectors(named)) => {
            let named = named.vectors.into_iter().map(|(name, vector)| Ok((name, one_persisted(vector)?)));
            Ok(VectorStructPersisted::Named(named.collect::<Result<HashMap<_, _>, Status>>()?))
        }
        Some(VectorsOptions::Vector(vector)) => match one_persisted(vector)? {
            VectorPersisted::Dense(elements) => Ok(VectorStructPersisted::Single(elements)),
            _ => Err(engine(&OperationError::WrongSparse)),
        },
        None => Err(Status::invalid_argument("Expected some vectors")),
    }
}

#[expect(deprecated, reason = "older clients fill these fields, and Qdrant still reads them")]
fn one_persisted(vector: qdrant::Vector) -> Result<VectorPersisted, Status> {
    refuse("multi-vectors", vector.vectors_count.is_some())?;
    match (vector.vector, vector.indices) {
        (Some(Kind::Dense(dense)), _) => Ok(VectorPersisted::Dense(dense.data)),
        (Some(Kind::Sparse(sparse)), _) => sparse_vector(sparse).map(VectorPersisted::Sparse),
        (Some(Kind::MultiDense(_)), _) => Err(unsupported("multi-vectors")),
        (Some(_), _) => Err(unsupported("inference")),
        (None, Some(indices)) => {
            let sparse = qdrant::SparseVector { indices: indices.data, values: vector.data };
            sparse_vector(sparse).map(VectorPersisted::Sparse)
        }
        (None, None) => Ok(VectorPersisted::Dense(vector.data)),
    }
}

/// The vectors of a point that is read.
pub(crate) fn output(vectors: VectorStructInternal) -> Result<qdrant::VectorsOutput, Status> {
    let options = match vectors {
        VectorStructInternal::Single(elements) => {
            vectors_output::VectorsOptions::Vector(one_output(VectorInternal::Dense(elements))?)
        }
        VectorStructInternal::MultiDense(multi) => {
            vectors_output::VectorsOptions::Vector(one_output(VectorInternal::MultiDense(multi))?)
        }
        VectorStructInternal::Named(named) => {
            let named = named.into_iter().map(|(name, vector)| Ok((name, one_output(vector)?)));
            let vectors = named.collect::<Result<HashMap<_, _>, Status>>()?;
            vectors_output::VectorsOptions::Vectors(qdrant::NamedVectorsOutput { vectors })
        }
    };
    Ok(qdrant::VectorsOutput { vectors_options: Some(options) })
}

fn one_output(vector: VectorInternal) -> Result<qdrant::VectorOutput, Status> {
    let vector = match vector {
        VectorInternal::Dense(data) => vector_output::Vector::Dense(qdrant::DenseVector { data }),
        VectorInternal::Sparse(SparseVector { indices, values }) => {
            vector_output::Vector::Sparse(qdrant::SparseVector { values, indices })
        }
        VectorInternal::MultiDense(_) => {
            return Err(unsupported("multi-vectors"));
        }
    };
    Ok(qdrant::VectorOutput { vector: Some(vector), ..qdrant::VectorOutput::default() })
}

/// Which vectors are wanted; none when the request does not say.
pub(crate) fn with_vectors(
    selector: Option<qdrant::WithVectorsSelector>,
    shape: &Shape,
) -> Result<WithVector, Status> {
    let Some(selector) = selector else { return Ok(WithVector::Bool(false)) };
    match selector.selector_options {
        Some(SelectorOptions::Enable(enabled)) => Ok(WithVector::Bool(enabled)),
        Some(SelectorOptions::Include(include)) => {
            match include.names.iter().find(|name| !shape.0.contains_key(*name)) {
                Some(name) => {
                    Err(engine(&OperationError::VectorNameNotExists { received_name: name.clone() }))
                }
                None => Ok(WithVector::Selector(include.names)),
            }
        }
        None => Err(Status::invalid_argument("No vectors selector")),
    }
}
