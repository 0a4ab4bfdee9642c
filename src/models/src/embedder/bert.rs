//! A BERT-family sentence model on the CPU: files in, text to normalised vectors. Blocks while it computes.
//! Never decides when or on which thread it runs.

use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::Tokenizer;

use crate::error::{Cause, SetupError};

/// Tokens that the sentence-transformers family reads, special ones included: what all-MiniLM-L6-v2 was trained with.
const WINDOW: usize = 256;
/// The tokens that open and close every text, `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: usize = 2;

/// A loaded model.
pub(super) struct Bert {
    model: BertModel,
    tokenizer: Tokenizer,
    open: u32,
    close: u32,
    padding: u32,
    dimension: usize,
    window: usize,
}

impl fmt::Debug for Bert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bert").field("dimension", &self.dimension).finish_non_exhaustive()
    }
}

impl Bert {
    /// Loads `config.json`, `tokenizer.json` and `model.safetensors` from a directory.
    pub(super) fn load(directory: &Path) -> Result<Self, SetupError> {
        let config: Config = File::named(directory, "config.json").parse(|bytes| {
            let config: Config = serde_json::from_slice(bytes)?;
            check_shape(&config)?;
            Ok(config)
        })?;
        let (tokenizer, open, close) = File::named(directory, "tokenizer.json").parse(read_tokenizer)?;
        let model = File::named(directory, "model.safetensors").parse(|bytes| {
            let weights = VarBuilder::from_buffered_safetensors(bytes.to_vec(), DType::F32, &Device::Cpu)?;
            Ok(BertModel::load(weights, &config)?)
        })?;
        Ok(Self {
            model,
            tokenizer,
            open,
            close,
            padding: u32::try_from(config.pad_token_id).unwrap_or_default(),
            dimension: config.hidden_size,
            window: config.max_position_embeddings.min(WINDOW),
        })
    }

    /// Elements per vector.
    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Most tokens of a text that the model sees, without the special ones.
    pub(super) fn max_tokens(&self) -> usize {
        self.window - SPECIAL_TOKENS
    }

    /// Length of a text in tokens, without the special ones.
    pub(super) fn count_tokens(&self, text: &str) -> usize {
        // The tokenizer was loaded and tried: what it could still fail on is counted high rather than low.
        self.tokenizer.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }

    /// One vector of length 1 per text, in the order of the texts; each text is read up to the window.
    pub(super) fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Cause> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let rows = texts.iter().map(|text| self.token_ids(text)).collect::<Result<Vec<_>, _>>()?;
        let (ids, mask) = self.batch(&rows)?;
        let types = ids.zeros_like()?;
        let states = self.model.forward(&ids, &types, Some(&mask))?;
        let vectors: Vec<Vec<f32>> = normalised(&mean(&states, &mask)?)?.to_vec2()?;
        let finite = vectors.iter().flatten().all(|element| element.is_finite());
        if finite { Ok(vectors) } else { Err("the model computed a vector that is not finite".into()) }
    }

    fn token_ids(&self, text: &str) -> Result<Vec<u32>, Cause> {
        let encoding = self.tokenizer.encode_fast(text, false)?;
        let seen = encoding.get_ids().iter().copied().take(self.max_tokens());
        Ok(std::iter::once(self.open).chain(seen).chain(std::iter::once(self.close)).collect())
    }

    /// The rows as one tensor, padded to the longest, and the mask that tells tokens from padding.
    fn batch(&self, rows: &[Vec<u32>]) -> candle_core::Result<(Tensor, Tensor)> {
        let longest = rows.iter().map(Vec::len).max().unwrap_or_default();
        let shape = (rows.len(), longest);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for row in rows {
            let missing = longest - row.len();
            ids.extend(row.iter().copied().chain(std::iter::repeat_n(self.padding, missing)));
            mask.extend(row.iter().map(|_| 1_f32).chain(std::iter::repeat_n(0_f32, missing)));
        }
        Ok((Tensor::from_vec(ids, shape, &Device::Cpu)?, Tensor::from_vec(mask, shape, &Device::Cpu)?))
    }
}

/// The mean of each text's token states, padding left out.
fn mean(states: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
    let sums = states.broadcast_mul(&mask.unsqueeze(2)?)?.sum(1)?;
    sums.broadcast_div(&mask.sum_keepdim(1)?)
}

fn normalised(vectors: &Tensor) -> candle_core::Result<Tensor> {
    vectors.broadcast_div(&vectors.sqr()?.sum_keepdim(1)?.sqrt()?)
}

/// Refuses shapes that the model's code would divide by zero or index out of bounds with.
fn check_shape(config: &Config) -> Result<(), Cause> {
    if config.num_attention_heads == 0 || !config.hidden_size.is_multiple_of(config.num_attention_heads) {
        return Err("`hidden_size` is not a multiple of `num_attention_heads`".into());
    }
    if config.max_position_embeddings <= SPECIAL_TOKENS {
        return Err("`max_position_embeddings` leaves no room for text".into());
    }
    Ok(())
}

/// The tokenizer and the two tokens that it puts around a text. Cutting and padding are done here, not there.
fn read_tokenizer(bytes: &[u8]) -> Result<(Tokenizer, u32, u32), Cause> {
    let mut tokenizer = Tokenizer::from_bytes(bytes)?;
    tokenizer.with_truncation(None)?.with_padding(None);
    match tokenizer.encode_fast("", true)?.get_ids() {
        &[open, close] => Ok((tokenizer, open, close)),
        _ => Err("it does not put one token before and one after a text, as BERT's tokenizers do".into()),
    }
}

/// A file of the model, and what to do when it cannot be used.
struct File {
    path: PathBuf,
}

impl File {
    const REMEDY: &str = "run `make model`, or point `embedder.path` at the directory of a BERT-family model";

    fn named(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name) }
    }

    fn parse<T>(self, read: impl FnOnce(&[u8]) -> Result<T, Cause>) -> Result<T, SetupError> {
        let content = std::fs::read(&self.path).map_err(Cause::from);
        content.and_then(|bytes| read(&bytes)).map_err(|source| SetupError::ModelFile {
            path: self.path,
            remedy: Self::REMEDY,
            source,
        })
    }
}
