//! Questions that are embedded at the same time: shared calls, right vectors, each its own deadline and failure.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use lectern_models::config::{EmbedderKind, EmbedderSection};
use lectern_models::embedder::Embedder;
use lectern_models::error::ModelError;
use lectern_models::http::Http;
use lectern_resilience::config::RetrySection;
use lectern_tests::provider::{Failure, Provider};
use url::Url;

use crate::fixture::{eventually, patient, quick_retry, single_try, texts, within};

fn section(provider: &Provider) -> EmbedderSection {
    EmbedderSection {
        kind: EmbedderKind::Openai,
        url: Some(Url::parse(&provider.url()).unwrap()),
        model: "mock-embedding".into(),
        dimension: 64,
        batch: NonZeroUsize::new(32).unwrap(),
        ..EmbedderSection::default()
    }
}

fn embedder(section: &EmbedderSection, retry: &RetrySection) -> Arc<Embedder> {
    Arc::new(Embedder::new(section, retry, &Http::new().unwrap()).unwrap())
}

/// Asks each question in a task of its own.
async fn ask_all(embedder: &Arc<Embedder>, texts: Vec<String>) -> Vec<Result<Vec<f32>, ModelError>> {
    let tasks = texts.into_iter().map(|text| {
        let embedder = Arc::clone(embedder);
        tokio::spawn(async move { embedder.embed_question(text, patient()).await })
    });
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn questions_at_once_share_calls_and_each_gets_its_own_vector() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(30));
    let embedder = embedder(&section(&provider), &quick_retry());
    let vectors = ask_all(&embedder, texts(50)).await;
    let calls = provider.embeddings().calls;
    assert!(calls <= 5, "{calls} calls for 50 questions");
    let expected = embedder.embed(texts(50), patient()).await.unwrap();
    for (vector, expected) in vectors.into_iter().zip(expected) {
        assert_eq!(vector.unwrap(), expected);
    }
}

/// The wait is so long that the test would fail by its deadline.
#[tokio::test]
async fn a_question_alone_does_not_wait_for_others() {
    let provider = Provider::start().await.unwrap();
    let patient_section = EmbedderSection { batch_wait: Duration::from_mins(10), ..section(&provider) };
    let embedder = embedder(&patient_section, &quick_retry());
    for text in texts(5) {
        embedder.embed_question(text, within(5_000)).await.unwrap();
    }
    assert_eq!(provider.embeddings().calls, 5);
}

#[tokio::test]
async fn a_full_batch_does_not_wait_and_none_is_larger() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(30));
    let section = EmbedderSection {
        batch: NonZeroUsize::new(4).unwrap(),
        concurrency: NonZeroUsize::new(3).unwrap(),
        batch_wait: Duration::from_mins(10),
        ..section(&provider)
    };
    let vectors = ask_all(&embedder(&section, &quick_retry()), texts(40)).await;
    assert!(vectors.iter().all(Result::is_ok));
    let sizes = provider.requests().into_iter().map(|call| call.body["input"].as_array().unwrap().len());
    assert!(sizes.max().unwrap() <= 4);
    assert!(provider.embeddings().max_in_flight <= 3);
}

#[tokio::test]
async fn a_failed_batch_fails_its_members_and_nobody_later() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::always(500)]);
    let embedder = embedder(&section(&provider), &single_try());
    let vectors = ask_all(&embedder, texts(8)).await;
    assert!(
        vectors.iter().all(|vector| matches!(vector, Err(ModelError::Unavailable { .. }))),
        "{vectors:?}"
    );
    provider.set(|knobs| knobs.failures.clear());
    assert!(embedder.embed_question("later".into(), patient()).await.is_ok());
}

#[tokio::test]
async fn a_text_that_is_refused_fails_alone() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| {
        knobs.delay_before_headers = Duration::from_millis(20);
        knobs.refused_text = Some("poison".to_owned());
    });
    let embedder = embedder(&section(&provider), &quick_retry());
    let mut asked = texts(10);
    asked.insert(5, "poison".to_owned());
    let vectors = ask_all(&embedder, asked).await;
    for (place, vector) in vectors.iter().enumerate() {
        assert_eq!(matches!(vector, Err(ModelError::Refused { .. })), place == 5, "{place}: {vector:?}");
        assert_eq!(vector.is_ok(), place != 5, "{place}: {vector:?}");
    }
}

#[tokio::test]
async fn a_hurried_question_is_late_alone() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(400));
    let embedder = embedder(&section(&provider), &quick_retry());
    let hurried = embedder.embed_question("hurried".into(), within(50));
    let calm = embedder.embed_question("calm".into(), patient());
    let (hurried, calm) = tokio::join!(hurried, calm);
    assert!(matches!(hurried, Err(ModelError::Late { .. })), "{hurried:?}");
    assert!(calm.is_ok(), "{calm:?}");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_closed() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.silent = true);
    let embedder = embedder(&section(&provider), &quick_retry());
    let asked = tokio::time::timeout(
        Duration::from_millis(50),
        embedder.embed_question("forgotten".into(), patient()),
    );
    assert!(asked.await.is_err());
    eventually("the call is closed", || provider.embeddings().cancelled == 1).await;
}

#[tokio::test]
async fn dropping_the_embedder_ends_its_calls() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.silent = true);
    let embedder = embedder(&section(&provider), &quick_retry());
    let asked = tokio::spawn({
        let embedder = Arc::clone(&embedder);
        async move { embedder.embed_question("cut off".into(), patient()).await }
    });
    eventually("the call has come in", || provider.embeddings().in_flight == 1).await;
    asked.abort();
    drop((asked.await, embedder));
    eventually("the call is closed", || provider.embeddings().in_flight == 0).await;
}

#[tokio::test]
async fn passing_failures_are_hidden_by_retries() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.failures = vec![Failure::share(429, 0.2), Failure::share(500, 0.1)]);
    let embedder = embedder(&section(&provider), &quick_retry());
    for text in texts(40) {
        embedder.embed_question(text, patient()).await.unwrap();
    }
    assert!(embedder.upstream().unwrap().retries > 0);
}

#[tokio::test]
async fn text_embeddings_inference_gives_the_same_vectors() {
    let provider = Provider::start().await.unwrap();
    let tei = EmbedderSection { kind: EmbedderKind::Tei, ..section(&provider) };
    let there = embedder(&tei, &quick_retry()).embed(texts(5), patient()).await.unwrap();
    let here = embedder(&section(&provider), &quick_retry()).embed(texts(5), patient()).await.unwrap();
    assert_eq!(there, here);
    assert_eq!(provider.requests()[0].path, "/v1/embed");
}
