//! Vectors on their way between an embedder and a store, checked once. Names of the vectors in every collection.
//! Never computes an embedding.

use serde::{Deserialize, Serialize};

/// Name of the dense vector in every collection.
pub const DENSE_VECTOR: &str = "dense";
/// Name of the sparse vector in every collection.
pub const SPARSE_VECTOR: &str = "bm25";

/// Why numbers are not a vector that can be stored or searched with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVector {
    /// Nothing in it.
    #[error("the vector is empty")]
    Empty,
    /// NaN or infinite at the position.
    #[error("the vector's element {0} is not a finite number")]
    NotFinite(usize),
    /// All elements are zero: cosine distance to it is undefined.
    #[error("the vector has no direction: all elements are zero")]
    Zero,
    /// Indices and values differ in number, or an index occurs twice.
    #[error("the sparse vector's indices and values do not pair up")]
    Unpaired,
}

/// A finite, non-zero dense vector.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseVector(Vec<f32>);

impl DenseVector {
    /// Checks the elements; does not normalise them.
    pub fn parse(elements: Vec<f32>) -> Result<Self, BadVector> {
        if elements.is_empty() {
            return Err(BadVector::Empty);
        }
        if let Some(at) = elements.iter().position(|x| !x.is_finite()) {
            return Err(BadVector::NotFinite(at));
        }
        if elements.iter().all(|x| *x == 0.0) {
            return Err(BadVector::Zero);
        }
        Ok(Self(elements))
    }

    /// The elements.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The elements, given away.
    pub fn into_inner(self) -> Vec<f32> {
        self.0
    }

    /// Number of elements, at least 1.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }
}

/// A sparse vector: sorted, unique term indices with their finite weights. May be empty (a text of stop words only).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SparseVector {
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl SparseVector {
    /// Pairs up indices and values and sorts them by index.
    pub fn parse(indices: Vec<u32>, values: Vec<f32>) -> Result<Self, BadVector> {
        if indices.len() != values.len() {
            return Err(BadVector::Unpaired);
        }
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return Err(BadVector::NotFinite(at));
        }
        let mut pairs: Vec<(u32, f32)> = indices.into_iter().zip(values).collect();
        pairs.sort_by_key(|(index, _)| *index);
        if pairs.windows(2).any(|two| matches!(two, [a, b] if a.0 == b.0)) {
            return Err(BadVector::Unpaired);
        }
        let (indices, values) = pairs.into_iter().unzip();
        Ok(Self { indices, values })
    }

    /// Term indices, ascending.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Weights, in the order of [`Self::indices`].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Whether no term is left.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dense_vector_is_finite_and_points_somewhere() {
        assert_eq!(DenseVector::parse(vec![]), Err(BadVector::Empty));
        assert_eq!(DenseVector::parse(vec![1.0, f32::NAN]), Err(BadVector::NotFinite(1)));
        assert_eq!(DenseVector::parse(vec![0.0, -0.0]), Err(BadVector::Zero));
        assert_eq!(DenseVector::parse(vec![0.0, 2.0]).unwrap().as_slice(), [0.0, 2.0]);
    }

    #[test]
    fn a_sparse_vector_is_sorted_and_has_each_term_once() {
        let sorted = SparseVector::parse(vec![7, 3], vec![0.7, 0.3]).unwrap();
        assert_eq!((sorted.indices(), sorted.values()), (&[3, 7][..], &[0.3, 0.7][..]));
        assert_eq!(SparseVector::parse(vec![3, 3], vec![1.0, 1.0]), Err(BadVector::Unpaired));
        assert_eq!(SparseVector::parse(vec![3], vec![]), Err(BadVector::Unpaired));
    }
}
