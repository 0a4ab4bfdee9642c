//! An embedder behind an endpoint without retries: order, batches, bounds, failures.

use std::time::Duration;

use lectern_models::error::ModelError;
use lectern_tests::provider::{Failure, Provider, Raw};

use crate::fixture::{chain, embedder_at, patient, texts, within};

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_whatever_the_batches() {
    let provider = Provider::start().await.unwrap();
    let all = embedder_at(&provider.url(), 3, 4).embed(texts(20), patient()).await.unwrap();
    assert_eq!(provider.embeddings().calls, 7);
    let one_by_one = embedder_at(&provider.url(), 1, 1);
    for (text, vector) in texts(20).into_iter().zip(all) {
        assert_eq!(one_by_one.embed(vec![text], patient()).await.unwrap(), [vector]);
    }
}

#[tokio::test]
async fn no_texts_make_no_call() {
    let provider = Provider::start().await.unwrap();
    let vectors = embedder_at(&provider.url(), 3, 4).embed(vec![], patient()).await.unwrap();
    assert_eq!((vectors.len(), provider.embeddings().calls), (0, 0));
}

#[tokio::test]
async fn calls_at_once_are_bounded_over_all_askers() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_millis(20));
    let embedder = embedder_at(&provider.url(), 1, 3);
    let askers = (0..5).map(|_| embedder.embed(texts(6), patient()));
    for vectors in futures::future::join_all(askers).await {
        assert_eq!(vectors.unwrap().len(), 6);
    }
    let counts = provider.embeddings();
    assert_eq!((counts.calls, counts.max_in_flight, counts.in_flight), (30, 3, 0));
}

#[tokio::test]
async fn waiting_for_a_turn_ends_at_the_deadline() {
    let provider = Provider::start().await.unwrap();
    provider.set(|knobs| knobs.delay_before_headers = Duration::from_mins(1));
    let embedder = embedder_at(&provider.url(), 1, 1);
    let (first, second) =
        tokio::join!(embedder.embed(texts(1), within(300)), embedder.embed(texts(1), within(100)));
    assert!(matches!(first, Err(ModelError::Late { .. })) && matches!(second, Err(ModelError::Late { .. })));
    assert_eq!(provider.embeddings().calls, 1, "the second never had its turn");
}

#[tokio::test]
async fn a_failed_batch_fails_the_whole_by_its_kind() {
    let provider = Provider::start().await.unwrap();
    let embedder = embedder_at(&provider.url(), 2, 2);
    let error_of = async |failure| {
        provider.set(|knobs| knobs.failures = vec![failure]);
        embedder.embed(texts(10), patient()).await.unwrap_err()
    };
    assert!(matches!(error_of(Failure::share(429, 0.3)).await, ModelError::Limited { .. }));
    assert!(matches!(error_of(Failure::share(500, 0.3)).await, ModelError::Unavailable { .. }));
    assert!(matches!(error_of(Failure::always(401)).await, ModelError::Refused { .. }));
}

#[tokio::test]
async fn vectors_that_do_not_fit_are_garbled() {
    let provider = Provider::start().await.unwrap();
    let embedder = embedder_at(&provider.url(), 2, 2);
    provider.set(|knobs| knobs.dimension = 32);
    let error = embedder.embed(texts(1), patient()).await.unwrap_err();
    assert!(matches!(error, ModelError::Garbled { .. }));
    assert!(chain(&error).contains("32 elements, but `embedder.dimension` is 64"), "{}", chain(&error));
    let too_long = vec![b' '; 65 * 1024 * 1024];
    for body in [b"<html>".to_vec(), br#"{"data":[]}"#.to_vec(), br#"{"data":[{"ind"#.to_vec(), too_long] {
        provider.set(|knobs| knobs.raw = Some(Raw { content_type: "application/json", body }));
        let error = embedder.embed(texts(1), patient()).await.unwrap_err();
        assert!(matches!(error, ModelError::Garbled { .. }), "{error:?}");
    }
}
