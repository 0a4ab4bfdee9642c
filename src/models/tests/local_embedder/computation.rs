//! What the vectors are: those that BERT's definition gives for the files.
#![expect(clippy::indexing_slicing, reason = "a vector that is missing fails the test")]

use std::error::Error;
use std::num::NonZeroUsize;

use half::{bf16, f16};
use lectern_models::config::EmbedderSection;
use lectern_models::error::SetupError;
use safetensors::Dtype;
use serde_json::json;

use crate::reference::{Activation, vector};
use crate::tiny::{Tiny, WIDTH, WORDS};
use crate::{assert_names, cosine, embed, load};

type Rounding = fn(f32) -> f32;

/// Texts of every length that the window holds, with words at other places in each.
fn texts() -> Vec<String> {
    let word = |at: usize| WORDS[4 + at % 4];
    (0..15).map(|n| (0..n).map(|at| word(at * n + n / 3)).collect::<Vec<_>>().join(" ")).collect()
}

fn tokens(text: &str) -> Vec<usize> {
    let words = ["[CLS]"].into_iter().chain(text.split_whitespace()).chain(["[SEP]"]);
    words.map(|word| WORDS.iter().position(|known| *known == word).unwrap()).collect()
}

fn written(tiny: &Tiny) -> (tempfile::TempDir, EmbedderSection) {
    let directory = tempfile::tempdir().unwrap();
    tiny.write(directory.path());
    let path = directory.path().to_owned();
    (
        directory,
        EmbedderSection { path, dimension: u32::try_from(WIDTH).unwrap(), ..EmbedderSection::default() },
    )
}

/// The files' vectors are those of the expected model.
async fn assert_computes(files: &Tiny, expected: &Tiny, activation: Activation) {
    let (_directory, section) = written(files);
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embed(&load(&section).unwrap(), &texts).await;
    for (text, computed) in texts.iter().zip(&vectors) {
        let defined = vector(expected, activation, &tokens(text));
        let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 1e-5;
        assert!(computed.iter().zip(&defined).all(close), "{text}: {computed:?} {defined:?}");
    }
    // Made-up weights must not make all texts alike: then nothing would have been shown.
    assert!(cosine(&vectors[1], &vectors[9]) < 0.99);
}

/// By the series of the error function, up to where the function is 1 and the series loses precision.
fn gelu(x: f64) -> f64 {
    let z = x / std::f64::consts::SQRT_2;
    if z.abs() > 4.0 {
        return relu(x);
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        let n = f64::from(n);
        term *= -z * z / n;
        sum += term / (2.0 * n + 1.0);
    }
    0.5 * x * (1.0 + sum * std::f64::consts::FRAC_2_SQRT_PI)
}

fn gelu_new(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

fn relu(x: f64) -> f64 {
    x.max(0.0)
}

#[tokio::test]
async fn a_vector_is_what_bert_is_defined_to_compute() {
    let tiny = Tiny::new();
    assert_computes(&tiny, &tiny, gelu).await;
}

#[tokio::test]
async fn a_batch_larger_than_what_is_computed_together_keeps_its_order() {
    let (_directory, section) = written(&Tiny::new());
    let embedder = load(&EmbedderSection { batch: NonZeroUsize::new(500).unwrap(), ..section }).unwrap();
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let once = embed(&embedder, &texts).await;
    let often = embed(&embedder, &texts.repeat(10)).await;
    assert!(often.chunks(texts.len()).all(|vectors| vectors == once), "{often:?}");
    assert_eq!(often.len(), texts.len() * 10);
}

#[tokio::test]
async fn each_activation_is_computed_by_its_name() {
    let names: [(&str, Activation); 5] = [
        ("gelu", gelu),
        ("gelu_new", gelu_new),
        ("gelu_fast", gelu_new),
        ("gelu_pytorch_tanh", gelu_new),
        ("relu", relu),
    ];
    for (name, activation) in names {
        let mut tiny = Tiny::new();
        tiny.config["hidden_act"] = json!(name);
        // Only the last layer's large elements tell the two kinds of gelu apart.
        for tensor in tiny.tensors.iter_mut().filter(|(name, _)| name.ends_with("intermediate.dense.bias")) {
            for element in &mut tensor.1.elements {
                *element -= 1.5;
            }
        }
        assert_computes(&tiny, &tiny, activation).await;
    }
}

#[tokio::test]
async fn weights_of_sixteen_bits_are_computed_with_as_they_are() {
    let rounds: [(Dtype, Rounding); 2] = [
        (Dtype::F16, |element| f16::from_f32(element).to_f32()),
        (Dtype::BF16, |element| bf16::from_f32(element).to_f32()),
    ];
    for (dtype, round) in rounds {
        let files = Tiny { dtype, ..Tiny::new() };
        let mut expected = Tiny::new();
        for tensor in expected.tensors.values_mut() {
            for element in &mut tensor.elements {
                *element = round(*element);
            }
        }
        assert_computes(&files, &expected, gelu).await;
    }
}

#[tokio::test]
async fn an_encoder_that_is_a_part_of_a_larger_model_is_found() {
    assert_computes(&Tiny::new().renamed(|name| format!("bert.{name}")), &Tiny::new(), gelu).await;
}

#[tokio::test]
async fn the_former_names_of_layer_normalisation_are_known() {
    let former = |name: &str| {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    };
    assert_computes(&Tiny::new().renamed(former), &Tiny::new(), gelu).await;
}

/// The error names the file, and its cause says what is wrong with it.
fn assert_refused(tiny: &Tiny, file: &str, reason: &str) {
    let (_directory, section) = written(tiny);
    let error: SetupError = load(&section).unwrap_err();
    assert_names(&error, file);
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains(reason), "{cause}");
}

#[test]
fn a_missing_tensor_is_named() {
    for name in Tiny::new().tensors.keys() {
        let mut tiny = Tiny::new();
        tiny.tensors.remove(name);
        assert_refused(&tiny, "model.safetensors", &format!("tensor `{name}` is missing"));
    }
}

#[test]
fn a_tensor_of_another_shape_than_the_config_says_is_named() {
    for name in Tiny::new().tensors.keys() {
        let mut tiny = Tiny::new();
        let tensor = tiny.tensors.get_mut(name).unwrap();
        let row = tensor.elements.len() / tensor.shape[0];
        tensor.shape[0] -= 1;
        tensor.elements.truncate(tensor.shape[0] * row);
        assert_refused(&tiny, "model.safetensors", &format!("tensor `{name}` is of shape"));
    }
}

#[test]
fn a_tensor_of_integers_is_named() {
    let tiny = Tiny { dtype: Dtype::I32, ..Tiny::new() };
    assert_refused(&tiny, "model.safetensors", "holds I32, not F32, F16 or BF16");
}

#[test]
fn what_would_be_computed_differently_is_refused_by_the_config() {
    for (key, value) in
        [("hidden_act", "silu"), ("model_type", "roberta"), ("position_embedding_type", "relative_key")]
    {
        let mut tiny = Tiny::new();
        tiny.config[key] = json!(value);
        assert_refused(&tiny, "config.json", &format!("unknown variant `{value}`"));
    }
}
