//! The embedder in the process, with the model that Lectern is delivered with and with a tiny random one.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up fails it")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lectern_models::config::EmbedderSection;
use lectern_models::embedder::Embedder;
use lectern_models::error::{ModelError, SetupError};
use lectern_models::http::Http;
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use serde_json::{Value, json};
use tempfile::TempDir;

mod computation;
mod reference;
mod tiny;

use tiny::Tiny;

fn patient() -> Deadline {
    Deadline::after(Instant::now(), Duration::from_mins(1))
}

/// The model of the default configuration; the test fails where it is missing.
fn delivered_model() -> Embedder {
    let path = std::env::var_os("LECTERN_TEST_MODEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    assert!(
        path.join("model.safetensors").is_file(),
        "the model is missing in `{}`: run `make model`, or set LECTERN_TEST_MODEL to its directory",
        path.display()
    );
    load(&EmbedderSection { path, ..EmbedderSection::default() }).unwrap()
}

fn load(section: &EmbedderSection) -> Result<Embedder, SetupError> {
    Embedder::new(section, &RetrySection::default(), &Http::new().unwrap())
}

/// The model of made-up weights, in a directory of its own.
fn tiny_model() -> (TempDir, EmbedderSection) {
    let directory = tempfile::tempdir().unwrap();
    Tiny::new().write(directory.path());
    let section =
        EmbedderSection { path: directory.path().to_owned(), dimension: 8, ..EmbedderSection::default() };
    (directory, section)
}

async fn embed(embedder: &Embedder, texts: &[&str]) -> Vec<Vec<f32>> {
    embedder.embed(texts.iter().map(|text| (*text).to_owned()).collect(), patient()).await.unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn the_delivered_model_gives_its_published_similarities() {
    let embedder = delivered_model();
    let texts = ["A man is eating food.", "A man is eating pasta.", "The girl is carrying a baby."];
    let vectors = embed(&embedder, &texts).await;
    let [food, pasta, baby] = &vectors[..] else { panic!("{} vectors", vectors.len()) };
    assert!((cosine(food, pasta) - 0.7035).abs() < 1e-3, "{}", cosine(food, pasta));
    assert!((cosine(food, baby) + 0.1050).abs() < 1e-3, "{}", cosine(food, baby));
    assert!((cosine(food, food) - 1.0).abs() < 1e-5);
    assert_eq!(food.len(), 384);
}

#[tokio::test]
async fn a_long_text_is_read_up_to_the_window_as_it_is_counted() {
    let embedder = delivered_model();
    assert_eq!(embedder.count_tokens("A man is eating food."), 6);
    assert_eq!(embedder.max_tokens(), 254);
    let window = "word ".repeat(embedder.max_tokens());
    assert_eq!(embedder.count_tokens(&window), embedder.max_tokens());
    let beyond = format!("{window} and the rest is not seen");
    let vectors = embed(&embedder, &[&window, &beyond, "word word"]).await;
    assert_eq!(vectors[0], vectors[1]);
    assert!(cosine(&vectors[0], &vectors[2]) < 0.999);
}

#[tokio::test(flavor = "current_thread")]
async fn embedding_leaves_the_async_worker_free() {
    let embedder = delivered_model();
    let (ticks, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let heart = tokio::spawn({
        let (ticks, done) = (Arc::clone(&ticks), Arc::clone(&done));
        async move {
            while !done.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ticks.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let started = Instant::now();
    let asked = (0..24).map(|_| embedder.embed_question("word ".repeat(200), patient()));
    for vector in futures::future::join_all(asked).await {
        vector.unwrap();
    }
    let beats = u128::try_from(ticks.load(Ordering::SeqCst)).unwrap();
    // A free worker beats about every 6 ms; one that computes itself beats not at all.
    assert!(beats > started.elapsed().as_millis() / 60, "{beats} beats in {:?}", started.elapsed());
    done.store(true, Ordering::SeqCst);
    heart.await.unwrap();
}

#[tokio::test]
async fn a_text_has_the_same_vector_alone_and_in_a_batch_of_other_lengths() {
    let (_directory, section) = tiny_model();
    let embedder = load(&EmbedderSection { batch: NonZeroUsize::new(3).unwrap(), ..section }).unwrap();
    let texts = ["a", "b c d a b c d", "d d", "c b a", "", "a b c d", "zebra"];
    let together = embed(&embedder, &texts).await;
    assert_eq!(together.len(), texts.len());
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(&embed(&embedder, &[text]).await[0], vector);
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
    }
    assert!(cosine(&together[0], &together[2]) < 0.9999);
}

#[tokio::test]
async fn questions_at_once_get_the_vectors_of_their_texts() {
    let (_directory, section) = tiny_model();
    let embedder = load(&EmbedderSection { batch: NonZeroUsize::new(3).unwrap(), ..section }).unwrap();
    let texts = ["a", "b c d a b c d", "d d", "c b a", "", "a b c d", "zebra"];
    let asked = texts.map(|text| embedder.embed_question(text.to_owned(), patient()));
    for (text, vector) in texts.iter().zip(futures::future::join_all(asked).await) {
        assert_eq!(embed(&embedder, &[text]).await[0], vector.unwrap());
    }
}

#[tokio::test]
async fn work_that_cannot_be_done_in_time_is_late() {
    let (_directory, section) = tiny_model();
    let embedder = load(&section).unwrap();
    let past = Deadline::after(Instant::now(), Duration::ZERO);
    let error = embedder.embed(vec!["a".to_owned()], past).await.unwrap_err();
    assert!(matches!(error, ModelError::Late { .. }), "{error:?}");
}

#[test]
fn the_configured_dimension_must_be_the_models() {
    let (_directory, section) = tiny_model();
    let error = load(&EmbedderSection { dimension: 384, ..section }).unwrap_err();
    assert!(error.to_string().starts_with("embedder.dimension: is 384, but the model in"), "{error}");
    assert!(error.to_string().ends_with("makes vectors of 8"), "{error}");
}

#[test]
fn a_missing_or_broken_file_is_named_with_the_remedy() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let (directory, section) = tiny_model();
        let file = directory.path().join(name);
        let whole = std::fs::read(&file).unwrap();
        for torn in [&whole[..whole.len() / 2], &[], b"{}", b"\xff\xfe garbage"] {
            std::fs::write(&file, torn).unwrap();
            assert_names(&load(&section).unwrap_err(), name);
        }
        std::fs::remove_file(&file).unwrap();
        assert_names(&load(&section).unwrap_err(), name);
    }
}

fn assert_names(error: &SetupError, file: &str) {
    let text = error.to_string();
    assert!(text.contains(file) && text.contains("make model"), "{text}");
}

#[test]
fn a_config_that_the_model_would_stumble_over_is_refused() {
    for (key, value) in
        [("num_attention_heads", 0), ("num_attention_heads", 3), ("max_position_embeddings", 2)]
    {
        let (directory, section) = tiny_model();
        let file = directory.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        config[key] = json!(value);
        std::fs::write(&file, config.to_string()).unwrap();
        assert_names(&load(&section).unwrap_err(), "config.json");
    }
}
