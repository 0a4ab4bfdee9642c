//! A BERT model of made-up weights and eight words, as the files that the embedder reads.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// The vocabulary: a word's token is its place.
pub(crate) const WORDS: [&str; 8] = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "d"];
pub(crate) const WIDTH: usize = 8;
pub(crate) const WIDE: usize = 20;
pub(crate) const HEADS: usize = 2;
pub(crate) const LAYERS: usize = 2;
pub(crate) const POSITIONS: usize = 16;
pub(crate) const EPSILON: f64 = 1e-3;

/// A tensor as the file holds it.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Vec<f32>,
}

/// The content of the files.
pub(crate) struct Tiny {
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) dtype: Dtype,
}

impl Tiny {
    /// The same weights every time: all of a size that makes a difference to the result.
    pub(crate) fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let mut tensor = |shape: &[usize], center: f32| Tensor {
            shape: shape.to_vec(),
            elements: (0..shape.iter().product()).map(|_| center + random.f32() * 1.6 - 0.8).collect(),
        };
        let tensors = shapes().map(|(name, shape)| {
            let center = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let tensor = tensor(&shape, center);
            (name, tensor)
        });
        Self { config: config(), tensors: tensors.collect(), dtype: Dtype::F32 }
    }

    /// Gives the tensors other names.
    pub(crate) fn renamed(mut self, name: impl Fn(&str) -> String) -> Self {
        self.tensors = self.tensors.into_iter().map(|(old, tensor)| (name(&old), tensor)).collect();
        self
    }

    pub(crate) fn write(&self, directory: &Path) {
        std::fs::write(directory.join("config.json"), self.config.to_string()).unwrap();
        std::fs::write(directory.join("tokenizer.json"), tokenizer().to_string()).unwrap();
        std::fs::write(directory.join("model.safetensors"), self.weights()).unwrap();
    }

    fn weights(&self) -> Vec<u8> {
        let bytes = |tensor: &Tensor| -> Vec<u8> {
            let elements = tensor.elements.iter();
            match self.dtype {
                Dtype::F16 => elements.flat_map(|element| f16::from_f32(*element).to_le_bytes()).collect(),
                Dtype::BF16 => elements.flat_map(|element| bf16::from_f32(*element).to_le_bytes()).collect(),
                _ => elements.flat_map(|element| element.to_le_bytes()).collect(),
            }
        };
        let bytes: Vec<_> =
            self.tensors.iter().map(|(name, tensor)| (name, &tensor.shape, bytes(tensor))).collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(self.dtype, (*shape).clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

/// Every tensor that a model of these sizes has.
fn shapes() -> impl Iterator<Item = (String, Vec<usize>)> {
    let embeddings = [
        ("word_embeddings.weight", vec![WORDS.len(), WIDTH]),
        ("position_embeddings.weight", vec![POSITIONS, WIDTH]),
        ("token_type_embeddings.weight", vec![2, WIDTH]),
        ("LayerNorm.weight", vec![WIDTH]),
        ("LayerNorm.bias", vec![WIDTH]),
    ];
    let linear = [
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("intermediate.dense", WIDE, WIDTH),
        ("output.dense", WIDTH, WIDE),
    ];
    let linear = linear.into_iter().flat_map(|(name, outputs, inputs)| {
        [(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
    });
    let norms = ["attention.output", "output"]
        .into_iter()
        .flat_map(|name| ["weight", "bias"].map(|part| (format!("{name}.LayerNorm.{part}"), vec![WIDTH])));
    let of_layer: Vec<_> = linear.chain(norms).collect();
    let layers = (0..LAYERS).flat_map(move |number| {
        let named =
            |(name, shape): &(String, Vec<usize>)| (format!("encoder.layer.{number}.{name}"), shape.clone());
        of_layer.iter().map(named).collect::<Vec<_>>()
    });
    embeddings.into_iter().map(|(name, shape)| (format!("embeddings.{name}"), shape)).chain(layers)
}

fn config() -> Value {
    json!({
        "vocab_size": WORDS.len(), "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": WIDE, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "initializer_range": 0.02,
        "layer_norm_eps": EPSILON, "model_type": "bert", "pad_token_id": 0,
    })
}

fn tokenizer() -> Value {
    let place = |word: &str| WORDS.iter().position(|known| *known == word).unwrap();
    let vocabulary: Value = WORDS.iter().map(|word| ((*word).to_owned(), json!(place(word)))).collect();
    let special = |word: &str| json!({"id": word, "ids": [place(word)], "tokens": [word]});
    let piece = |word: &str| json!({"SpecialToken": {"id": word, "type_id": 0}});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, piece("[SEP]")],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    })
}
