//! The tensors of `model.safetensors`, by name.
//! Never hands out one that is not of the shape asked for: the computation trusts its sizes.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use crate::error::Cause;

/// A model's tensors, as the file holds them.
pub(super) struct Weights<'file> {
    tensors: SafeTensors<'file>,
    /// What the names begin with: models that were trained with a head for some task hold the encoder as a part.
    prefix: &'static str,
}

/// Why a tensor cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("tensor `{0}` is missing")]
    Missing(String),
    #[error("tensor `{name}` is of shape {found:?}, but by config.json it is of {expected:?}")]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("tensor `{name}` holds {dtype}, not F32, F16 or BF16")]
    Type { name: String, dtype: Dtype },
}

impl<'file> Weights<'file> {
    const PREFIXED: &'static str = "bert.";

    pub(super) fn read(file: &'file [u8]) -> Result<Self, Cause> {
        let tensors = SafeTensors::deserialize(file)?;
        let prefixed = tensors.names().iter().any(|name| name.starts_with(Self::PREFIXED));
        Ok(Self { tensors, prefix: if prefixed { Self::PREFIXED } else { "" } })
    }

    /// The elements of a tensor, row by row.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Cause> {
        let name = format!("{}{name}", self.prefix);
        let Ok(tensor) = self.tensors.tensor(&name) else { return Err(Unusable::Missing(name).into()) };
        if tensor.shape() != shape {
            let (found, expected) = (tensor.shape().to_vec(), shape.to_vec());
            return Err(Unusable::Shape { name, found, expected }.into());
        }
        match tensor.dtype() {
            Dtype::F32 => Ok(elements(tensor.data(), f32::from_le_bytes)),
            Dtype::F16 => Ok(elements(tensor.data(), |bytes| f16::from_le_bytes(bytes).to_f32())),
            Dtype::BF16 => Ok(elements(tensor.data(), |bytes| bf16::from_le_bytes(bytes).to_f32())),
            dtype => Err(Unusable::Type { name, dtype }.into()),
        }
    }

    /// The same of a tensor that has two names: models converted from the first BERT's files keep its own.
    pub(super) fn either(&self, name: &str, former: &str, shape: &[usize]) -> Result<Vec<f32>, Cause> {
        let has_former = self.tensors.tensor(&format!("{}{former}", self.prefix)).is_ok();
        self.tensor(if has_former { former } else { name }, shape)
    }
}

fn elements<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().copied().map(read).collect()
}
