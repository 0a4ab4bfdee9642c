//! BERT's computation: token ids in, one state per token out, for several texts at once and without padding.
//! Never knows words, and never what the states are used for.

use rten_gemm::GemmExecutor;
use rten_simd::SimdUnaryOp;
use rten_vecmath::{ApproxGelu, Gelu};

use super::attention::Attention;
use super::config::{Activation, Config};
use super::steps::{Linear, Norm};
use super::weights::Weights;
use crate::error::Cause;

/// A model's tables and layers.
pub(super) struct Encoder {
    width: usize,
    words: Vec<f32>,
    /// A row per position, each with the row of the first token type: every text here is of that type.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    pub(super) fn load(weights: &Weights<'_>, config: &Config) -> Result<Self, Cause> {
        let width = config.hidden_size;
        let table = |name: &str, rows: usize| {
            weights.tensor(&format!("embeddings.{name}_embeddings.weight"), &[rows, width])
        };
        let mut positions = table("position", config.max_position_embeddings)?;
        let types = table("token_type", config.type_vocab_size)?;
        let first = types.get(..width).ok_or("`type_vocab_size` is 0")?;
        for row in positions.chunks_exact_mut(width) {
            add(row, first);
        }
        Ok(Self {
            width,
            words: table("word", config.vocab_size)?,
            positions,
            norm: Norm::load(weights, "embeddings.LayerNorm", config)?,
            layers: (0..config.num_hidden_layers)
                .map(|number| Layer::load(weights, &format!("encoder.layer.{number}"), config))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The states of the texts' tokens, row after row.
    pub(super) fn states(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>, Cause> {
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let gemm = GemmExecutor::default();
        let mut states = self.embeddings(texts)?;
        for layer in &self.layers {
            layer.apply(&gemm, &lengths, &mut states)?;
        }
        Ok(states)
    }

    fn embeddings(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>, Cause> {
        let mut states = Vec::with_capacity(texts.iter().map(Vec::len).sum::<usize>() * self.width);
        for text in texts {
            for (&token, position) in text.iter().zip(self.positions.chunks_exact(self.width)) {
                let place = usize::try_from(token)?;
                let word = self.words.chunks_exact(self.width).nth(place);
                let word = word.ok_or("the tokenizer knows more tokens than the model")?;
                states.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.norm.apply(&mut states);
        Ok(states)
    }
}

/// One layer: the tokens look at each other, then each is transformed for itself.
struct Layer {
    attention: Attention,
    attended: Norm,
    widen: Linear,
    activation: Activation,
    narrow: Linear,
    transformed: Norm,
}

impl Layer {
    fn load(weights: &Weights<'_>, name: &str, config: &Config) -> Result<Self, Cause> {
        let (width, wide) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            attention: Attention::load(weights, &format!("{name}.attention"), config)?,
            attended: Norm::load(weights, &format!("{name}.attention.output.LayerNorm"), config)?,
            widen: Linear::load(weights, &[&format!("{name}.intermediate.dense")], width, wide)?,
            activation: config.hidden_act,
            narrow: Linear::load(weights, &[&format!("{name}.output.dense")], wide, width)?,
            transformed: Norm::load(weights, &format!("{name}.output.LayerNorm"), config)?,
        })
    }

    fn apply(&self, gemm: &GemmExecutor, lengths: &[usize], states: &mut [f32]) -> Result<(), Cause> {
        self.attention.add(gemm, lengths, states)?;
        self.attended.apply(states);
        let mut wide = self.widen.apply(gemm, states)?;
        self.activation.apply(&mut wide);
        self.narrow.add(gemm, &wide, states)?;
        self.transformed.apply(states);
        Ok(())
    }
}

impl Activation {
    fn apply(self, elements: &mut [f32]) {
        match self {
            Self::Gelu => Gelu {}.map_mut(elements),
            Self::GeluNew => ApproxGelu {}.map_mut(elements),
            Self::Relu => {
                for element in elements {
                    *element = element.max(0.0);
                }
            }
        }
    }
}

/// Adds one row to another.
pub(super) fn add(row: &mut [f32], other: &[f32]) {
    for (element, other) in row.iter_mut().zip(other) {
        *element += other;
    }
}
