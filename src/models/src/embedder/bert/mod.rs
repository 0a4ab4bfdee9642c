//! A BERT-family sentence model on the CPU: files in, text to normalised vectors. Blocks while it computes.
//! Never decides when it runs, nor on how many cores.

use std::fmt;
use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::cores::Cores;
use crate::error::{Cause, SetupError};

mod attention;
mod config;
mod encoder;
mod steps;
mod weights;

use config::Config;
use encoder::{Encoder, add};
use weights::Weights;

/// Tokens that the sentence-transformers family reads, special ones included: what all-MiniLM-L6-v2 was trained with.
const WINDOW: usize = 256;
/// The tokens that open and close every text, `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: usize = 2;
/// Tokens that are computed together, where texts are shorter: enough to load the weights for, few enough for what is
/// between two steps to stay in the processor's caches.
const GROUP: usize = 256;

/// A loaded model.
pub(super) struct Bert {
    encoder: Encoder,
    tokenizer: Tokenizer,
    open: u32,
    close: u32,
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
        let config = File::named(directory, "config.json").parse(Config::read)?;
        let (tokenizer, open, close) = File::named(directory, "tokenizer.json").parse(read_tokenizer)?;
        let encoder = File::named(directory, "model.safetensors")
            .parse(|bytes| Encoder::load(&Weights::read(bytes)?, &config))?;
        Ok(Self {
            encoder,
            tokenizer,
            open,
            close,
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
    pub(super) fn embed(&self, texts: &[String], cores: &Cores) -> Result<Vec<Vec<f32>>, Cause> {
        let rows = texts.iter().map(|text| self.token_ids(text)).collect::<Result<Vec<_>, _>>()?;
        let at_work = cores.enter()?;
        let mut vectors = Vec::with_capacity(rows.len());
        for group in groups(&rows) {
            let mut states = &at_work.compute(|| self.encoder.states(group))?[..];
            for row in group {
                let (of_text, others) = states.split_at(row.len() * self.dimension);
                vectors.push(mean_direction(of_text, self.dimension));
                states = others;
            }
        }
        let finite = vectors.iter().flatten().all(|element| element.is_finite());
        if finite { Ok(vectors) } else { Err("the model computed a vector that is not finite".into()) }
    }

    fn token_ids(&self, text: &str) -> Result<Vec<u32>, Cause> {
        let encoding = self.tokenizer.encode_fast(text, false)?;
        let seen = encoding.get_ids().iter().copied().take(self.max_tokens());
        Ok(std::iter::once(self.open).chain(seen).chain(std::iter::once(self.close)).collect())
    }
}

/// Neighbouring texts that are computed together.
fn groups(rows: &[Vec<u32>]) -> impl Iterator<Item = &[Vec<u32>]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fitting = rest.iter().take_while(|row| {
            tokens += row.len();
            tokens <= GROUP
        });
        // A text that is too long for a group is one by itself.
        let (group, others) = rest.split_at(fitting.count().max(1).min(rest.len()));
        rest = others;
        (!group.is_empty()).then_some(group)
    })
}

/// The mean of a text's token states, at length 1.
fn mean_direction(states: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    for row in states.chunks_exact(width) {
        add(&mut sum, row);
    }
    let length = sum.iter().map(|element| element * element).sum::<f32>().sqrt();
    sum.into_iter().map(|element| element / length).collect()
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
