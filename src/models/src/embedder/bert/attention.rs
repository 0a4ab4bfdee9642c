//! Attention: every token of a text takes from every other, by head.
//! Never looks from one text into another.

use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_tensor::Layout;
use rten_tensor::Matrix;
use rten_vecmath::Softmax;

use super::config::Config;
use super::steps::Linear;
use super::weights::Weights;
use crate::error::Cause;

/// The attention of one layer.
pub(super) struct Attention {
    /// Query, key and value of each token, side by side.
    projection: Linear,
    output: Linear,
    width: usize,
    head_size: usize,
    /// What keeps the products of long heads from drowning the small ones.
    scale: f32,
}

impl Attention {
    pub(super) fn load(weights: &Weights<'_>, name: &str, config: &Config) -> Result<Self, Cause> {
        let (width, head_size) = (config.hidden_size, config.head_size());
        let names = ["query", "key", "value"].map(|part| format!("{name}.self.{part}"));
        Ok(Self {
            projection: Linear::load(weights, &names.each_ref().map(String::as_str), width, width)?,
            output: Linear::load(weights, &[&format!("{name}.output.dense")], width, width)?,
            width,
            head_size,
            scale: f32::from(u16::try_from(head_size)?).sqrt().recip(),
        })
    }

    /// Adds to each token's state what it takes from the tokens of its text.
    pub(super) fn add(
        &self,
        gemm: &GemmExecutor,
        lengths: &[usize],
        states: &mut [f32],
    ) -> Result<(), Cause> {
        let mut projected = &self.projection.apply(gemm, states)?[..];
        let mut taken = vec![0.0; states.len()];
        let mut open = &mut taken[..];
        for &length in lengths {
            let (of_text, others) = projected.split_at(length * self.width * 3);
            let (taken, rest) = open.split_at_mut(length * self.width);
            self.take(gemm, Matrix::try_from_data([length, self.width * 3], of_text)?, taken)?;
            (projected, open) = (others, rest);
        }
        self.output.add(gemm, &taken, states)
    }

    /// What the tokens of one text take, head by head.
    fn take(&self, gemm: &GemmExecutor, projected: Matrix<'_>, taken: &mut [f32]) -> Result<(), Cause> {
        let (length, size) = (projected.size(0), self.head_size);
        let mut shares = vec![0.0; length * length];
        let mut of_head = vec![0.0; length * size];
        let heads = self.width / size;
        for head in 0..heads {
            let part = |number: usize| {
                let first = number * self.width + head * size;
                projected.try_slice((.., first..first + size))
            };
            let (query, key, value) = (part(0)?, part(1)?, part(2)?);
            let scaled = GemmOptions { alpha: self.scale, ..GemmOptions::default() };
            gemm.gemm(
                &mut shares,
                GemmInputA::Unpacked(query),
                GemmInputB::Unpacked(key.transposed()),
                scaled,
            )?;
            for row in shares.chunks_exact_mut(length) {
                Softmax::new_mut(row).dispatch();
            }
            let shares = Matrix::try_from_data([length, length], &shares[..])?;
            let (shares, value) = (GemmInputA::Unpacked(shares), GemmInputB::Unpacked(value));
            gemm.gemm(&mut of_head, shares, value, GemmOptions::default())?;
            let rows = taken.chunks_exact_mut(size).skip(head).step_by(heads);
            rows.zip(of_head.chunks_exact(size)).for_each(|(row, of_head)| row.copy_from_slice(of_head));
        }
        Ok(())
    }
}
