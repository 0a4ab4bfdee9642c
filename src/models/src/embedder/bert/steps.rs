//! The two steps that BERT is made of: linear maps and layer normalisation, over rows of states.
//! Never allocates more than its result.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdOp;
use rten_tensor::Matrix;
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquareSub};

use super::config::Config;
use super::weights::Weights;
use crate::error::Cause;

/// A matrix, laid out for the processor once, and a bias.
pub(super) struct Linear {
    matrix: PackedBMatrix<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// Maps with the same input become one, their outputs side by side: one large product costs less than several.
    pub(super) fn load(
        weights: &Weights<'_>,
        names: &[&str],
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Cause> {
        let (mut matrix, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            matrix.extend(weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(weights.tensor(&format!("{name}.bias"), &[outputs])?);
        }
        // The file holds a row per output.
        let matrix = Matrix::from_data([bias.len(), inputs], &matrix[..]);
        Ok(Self { matrix: GemmExecutor::default().prepack_b(matrix.transposed()), bias })
    }

    /// The outputs of each row.
    pub(super) fn apply(&self, gemm: &GemmExecutor, rows: &[f32]) -> Result<Vec<f32>, Cause> {
        let mut outputs = vec![0.0; rows.len() / self.matrix.rows() * self.matrix.cols()];
        self.product(gemm, rows, &mut outputs, 0.0)?;
        Ok(outputs)
    }

    /// Adds the outputs of each row to what is there.
    pub(super) fn add(&self, gemm: &GemmExecutor, rows: &[f32], sums: &mut [f32]) -> Result<(), Cause> {
        self.product(gemm, rows, sums, 1.0)
    }

    fn product(
        &self,
        gemm: &GemmExecutor,
        rows: &[f32],
        outputs: &mut [f32],
        beta: f32,
    ) -> Result<(), Cause> {
        let inputs = self.matrix.rows();
        let rows = Matrix::try_from_data([rows.len() / inputs, inputs], rows)?;
        let options = GemmOptions { beta, bias: Some(BiasVector::Row(&self.bias)), ..GemmOptions::default() };
        Ok(gemm.gemm(outputs, GemmInputA::Unpacked(rows), GemmInputB::Packed(&self.matrix), options)?)
    }
}

/// Layer normalisation: each row to mean 0 and variance 1, then scaled and shifted by element.
pub(super) struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    width: f32,
    epsilon: f32,
}

impl Norm {
    pub(super) fn load(weights: &Weights<'_>, name: &str, config: &Config) -> Result<Self, Cause> {
        let shape = [config.hidden_size];
        let width = u16::try_from(config.hidden_size).map_err(|_| "`hidden_size` is beyond 65535")?;
        Ok(Self {
            scale: weights.either(&format!("{name}.weight"), &format!("{name}.gamma"), &shape)?,
            shift: weights.either(&format!("{name}.bias"), &format!("{name}.beta"), &shape)?,
            width: f32::from(width),
            epsilon: config.layer_norm_eps,
        })
    }

    pub(super) fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.scale.len()) {
            let mean = Sum::new(row).dispatch() / self.width;
            let variance = SumSquareSub::new(row, mean).dispatch() / self.width;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + self.epsilon).sqrt().recip(),
                element_scale: Some(&self.scale),
                element_bias: Some(&self.shift),
                ..NormalizeOptions::default()
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}
