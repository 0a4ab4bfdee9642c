//! Concurrent searches in common calls, which only a store behind a network has.

use std::time::Duration;

use lectern_resilience::config::RetrySection;
use lectern_search::Collection;
use lectern_search::config::{StoreKind, StoreSection};
use lectern_search::error::SearchError;
use lectern_search::query::Arms;
use lectern_test_qdrant::TestQdrant;

use crate::fixture::{Fixture, corpus, documents, encoding, meaning, query, soon};

/// A server whose searches take a moment, and a generation that is searched by one call at a time.
async fn slow() -> (TestQdrant, std::sync::Arc<dyn Collection>) {
    let server = TestQdrant::start().await;
    let section = StoreSection {
        kind: StoreKind::Qdrant,
        url: Some(server.url().parse().unwrap()),
        concurrency: std::num::NonZeroUsize::MIN,
        ..StoreSection::default()
    };
    let store = Fixture::of(&section).await;
    let generation = store.built(corpus()).await;
    let read = lectern_search::connect(&section, &RetrySection::default()).await.unwrap();
    let collection = read.open(&generation, &encoding(), soon()).await.unwrap();
    server.knobs().delay("Query", Duration::from_millis(100));
    server.knobs().delay("QueryBatch", Duration::from_millis(100));
    (server, collection)
}

#[tokio::test]
async fn searches_that_come_while_a_call_is_under_way_share_the_next_ones() {
    let (server, collection) = slow().await;
    let wanted = query(Arms::Dense(meaning([1.0, 0.0, 0.0, 0.0])), 1);
    let searches = (0..33).map(|_| collection.search(&wanted, soon()));
    let found = futures::future::join_all(searches).await;
    let first = found[0].as_ref().unwrap().clone();
    assert!(found.iter().all(|hits| documents(hits.as_ref().unwrap()) == documents(&first)));
    // The first alone, then two full batches.
    assert_eq!((server.calls("Query"), server.calls("QueryBatch")), (1, 2));
}

#[tokio::test]
async fn a_search_that_is_given_up_leaves_its_turn_to_those_who_wait() {
    let (_server, collection) = slow().await;
    let wanted = query(Arms::Dense(meaning([1.0, 0.0, 0.0, 0.0])), 1);
    let waits = collection.search(&wanted, soon());
    {
        let given_up = tokio::time::timeout(Duration::from_millis(20), collection.search(&wanted, soon()));
        let (given_up, waits) = tokio::join!(given_up, tokio::time::timeout(Duration::from_secs(10), waits));
        assert!(given_up.is_err());
        assert_eq!(waits.unwrap().unwrap().len(), 1);
    }
    let after = collection.search(&wanted, soon()).await;
    assert_eq!(after.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_call_fails_all_who_shared_it_with_its_reason() {
    let (server, collection) = slow().await;
    let wanted = query(Arms::Dense(meaning([1.0, 0.0, 0.0, 0.0])), 1);
    server.knobs().fail_share("QueryBatch", 1.0, lectern_test_qdrant::Failure::RateLimited);
    let searches = (0..5).map(|_| collection.search(&wanted, soon()));
    let found = futures::future::join_all(searches).await;
    assert!(found[0].is_ok());
    assert!(found[1..].iter().all(|found| matches!(found, Err(SearchError::Unavailable(_)))), "{found:?}");
}
