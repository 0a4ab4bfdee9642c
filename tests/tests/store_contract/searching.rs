//! What a search finds, in which order, and how it fails.

use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_schema::embedding::{DenseVector, SparseVector};
use lectern_search::error::SearchError;
use lectern_search::query::{Arms, ScoreKind};
use serde_json::json;

use crate::fixture::{Fixture, corpus, documents, meaning, point, query, search, words};

const CAT: [f32; 4] = [1.0, 0.1, 0.0, 0.0];

pub(crate) async fn each_mode_finds_the_best_chunks_first_and_names_its_score(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let dense = search(&collection, &query(Arms::Dense(meaning(CAT)), 2)).await;
    assert_eq!(documents(&dense), ["cat", "dog"]);
    assert!((dense[0].score - 1.0).abs() < 1e-5 && dense[0].score_kind == ScoreKind::Cosine, "{dense:?}");
    let sparse = search(&collection, &query(Arms::Sparse(words("fuel for a ship")), 10)).await;
    assert_eq!(documents(&sparse), ["ship"]);
    assert!(sparse[0].score > 0.0 && sparse[0].score_kind == ScoreKind::Bm25, "{sparse:?}");
    // First by words, third by meaning: 1/2 + 1/4. First by meaning alone: 1/2.
    let hybrid = search(&collection, &query(Arms::Hybrid(meaning(CAT), words("ship")), 10)).await;
    assert_eq!(documents(&hybrid)[..2], ["ship", "cat"]);
    assert!((hybrid[0].score - 0.75).abs() < 1e-5 && (hybrid[1].score - 0.5).abs() < 1e-5, "{hybrid:?}");
    assert_eq!(hybrid[0].score_kind, ScoreKind::Rrf);
}

pub(crate) async fn a_hit_carries_everything_that_was_stored(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let hits = search(&collection, &query(Arms::Dense(meaning(CAT)), 1)).await;
    let stored = corpus().remove(0);
    assert_eq!((hits[0].chunk_id, &hits[0].payload), (stored.id, &stored.payload));
}

pub(crate) async fn a_search_returns_no_more_than_its_limit(store: Fixture) {
    let points = (0..50_u8).map(|n| {
        point(&format!("doc{n}"), &format!("cat number{n}"), [1.0, f32::from(n) / 100.0, 0.0, 0.0], json!({}))
    });
    let collection = store.open(&store.built(points.collect()).await).await;
    for limit in [1, 7, 49] {
        for arms in
            [Arms::Dense(meaning(CAT)), Arms::Sparse(words("cat")), Arms::Hybrid(meaning(CAT), words("cat"))]
        {
            let hits = search(&collection, &query(arms.clone(), limit)).await;
            assert_eq!(u64::try_from(hits.len()).unwrap(), limit, "{arms:?}");
        }
    }
}

pub(crate) async fn a_limit_beyond_the_collection_returns_all_of_it(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    assert_eq!(search(&collection, &query(Arms::Dense(meaning(CAT)), 1_000)).await.len(), 4);
}

pub(crate) async fn equal_scores_are_ordered_by_chunk_id(store: Fixture) {
    let points: Vec<_> = (0..6).map(|n| point(&format!("copy{n}"), "same text", CAT, json!({}))).collect();
    let mut expected: Vec<_> = points.iter().map(|point| point.id).collect();
    expected.sort();
    let collection = store.open(&store.built(points).await).await;
    for arms in [Arms::Dense(meaning(CAT)), Arms::Sparse(words("text"))] {
        let hits = search(&collection, &query(arms, 4)).await;
        let found: Vec<_> = hits.iter().map(|hit| hit.chunk_id).collect();
        assert_eq!(found, expected[..4]);
    }
}

pub(crate) async fn words_without_terms_find_nothing_alone_and_do_no_harm_in_a_hybrid(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let none = SparseVector::default();
    assert_eq!(search(&collection, &query(Arms::Sparse(none.clone()), 10)).await, []);
    let hybrid = search(&collection, &query(Arms::Hybrid(meaning(CAT), none), 10)).await;
    let dense = search(&collection, &query(Arms::Dense(meaning(CAT)), 10)).await;
    assert_eq!(hybrid, dense);
}

pub(crate) async fn a_chunk_without_terms_is_found_by_meaning(store: Fixture) {
    let silent = point("silent", "to be or not to be", [0.0, 1.0, 0.0, 0.0], json!({}));
    assert!(silent.sparse.is_empty());
    let points = corpus().into_iter().chain([silent]).collect();
    let collection = store.open(&store.built(points).await).await;
    let arms = Arms::Hybrid(meaning([0.0, 1.0, 0.0, 0.0]), words("cat"));
    assert!(documents(&search(&collection, &query(arms, 3)).await).contains(&"silent"));
}

pub(crate) async fn a_vector_of_another_dimension_is_refused(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let wrong = query(Arms::Dense(DenseVector::parse(vec![1.0; 3]).unwrap()), 1);
    let refused = collection.search(&wrong, crate::fixture::soon()).await.unwrap_err();
    assert!(matches!(refused, SearchError::Refused(_)), "{refused:?}");
}

pub(crate) async fn a_search_past_its_deadline_is_late(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let past = Deadline::after(Instant::now(), Duration::ZERO);
    let late = collection.search(&query(Arms::Dense(meaning(CAT)), 1), past).await.unwrap_err();
    assert!(matches!(late, SearchError::Late), "{late:?}");
}

pub(crate) async fn many_searches_at_once_each_find_their_own(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let queries: Vec<lectern_search::query::Query> = (0..200)
        .map(|n| match n % 4 {
            0 => query(Arms::Dense(meaning(CAT)), 1 + n % 3),
            1 => query(Arms::Sparse(words("dog")), 2),
            2 => query(Arms::Hybrid(meaning(CAT), words("dog")), 3),
            _ => query(Arms::Dense(DenseVector::parse(vec![1.0; 3]).unwrap()), 1),
        })
        .collect();
    let mut alone = Vec::new();
    for query in queries.iter().take(12) {
        alone.push(collection.search(query, crate::fixture::soon()).await.ok());
    }
    let searches = queries.iter().map(|query| collection.search(query, crate::fixture::soon()));
    let together = futures::future::join_all(searches).await;
    for (n, found) in together.into_iter().enumerate() {
        match &alone[n % 12] {
            Some(expected) => assert_eq!(documents(&found.unwrap()), documents(expected), "search {n}"),
            None => assert!(matches!(found, Err(SearchError::Refused(_))), "search {n}: {found:?}"),
        }
    }
}
