//! Queries: dense, sparse, fused, filtered, batched, grouped.

use qdrant_client::Payload;
use qdrant_client::qdrant::{
    Condition, CreateCollectionBuilder, Distance, Filter, Fusion, OrderByBuilder, PayloadIncludeSelector,
    PointId, PointStruct, PrefetchQuery, PrefetchQueryBuilder, Query, QueryBatchPointsBuilder,
    QueryPointGroupsBuilder, QueryPointsBuilder, RrfBuilder, SearchParamsBuilder, UpsertPointsBuilder,
    VectorInput, VectorParamsBuilder, VectorsSelector, group_id, vectors_output,
};
use serde_json::json;
use tonic::Code;

use crate::{BOOKS, Fixture, code, id, ids, refusal, with_books};

fn nearest(elements: [f32; 4]) -> Query {
    Query::new_nearest(elements.to_vec())
}

/// Finds 1, 2, 3, 4, 5, 6 in this order.
fn dense() -> QueryPointsBuilder {
    QueryPointsBuilder::new(BOOKS).query(nearest([1.0, 0.0, 0.0, 0.0])).using("dense")
}

/// Finds 6, 5, 4 in this order.
fn sparse() -> QueryPointsBuilder {
    QueryPointsBuilder::new(BOOKS).query(term_10()).using("bm25")
}

fn term_10() -> Query {
    Query::new_nearest(VectorInput::new_sparse(vec![10], vec![1.0]))
}

/// The same two as prefetches.
fn arms() -> Vec<PrefetchQuery> {
    vec![
        PrefetchQueryBuilder::default()
            .query(nearest([1.0, 0.0, 0.0, 0.0]))
            .using("dense")
            .limit(4u64)
            .build(),
        PrefetchQueryBuilder::default().query(term_10()).using("bm25").limit(4u64).build(),
    ]
}

async fn hits(fixture: &Fixture, query: QueryPointsBuilder) -> Vec<(u64, f32)> {
    let response = fixture.client.query(query).await.unwrap();
    response.result.iter().map(|hit| (id(hit), hit.score)).collect()
}

#[tokio::test]
async fn a_dense_query_ranks_by_cosine() {
    let fixture = with_books().await;
    let found = hits(&fixture, dense()).await;
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!((found[0].1 - 1.0).abs() < 1e-6, "{found:?}");
    assert!((found[3].1 - 0.5_f32.sqrt()).abs() < 1e-6, "{found:?}");
}

#[tokio::test]
async fn a_sparse_query_weighs_terms_by_their_rarity() {
    let fixture = with_books().await;
    let found = hits(&fixture, sparse()).await;
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [6, 5, 4]);
    assert!((found[0].1 / found[2].1 - 3.0).abs() < 1e-5, "{found:?}");
    let rare = Query::new_nearest(VectorInput::new_sparse(vec![10, 20], vec![1.0, 1.0]));
    let found = hits(&fixture, QueryPointsBuilder::new(BOOKS).query(rare).using("bm25")).await;
    let score = |wanted: u64| found.iter().find(|(id, _)| *id == wanted).unwrap().1;
    assert!(score(4) < score(1), "{found:?}");
}

#[tokio::test]
async fn terms_may_come_in_any_order() {
    let fixture = with_books().await;
    let query = |terms: Vec<u32>| Query::new_nearest(VectorInput::new_sparse(terms, vec![1.0, 1.0]));
    let one = hits(&fixture, QueryPointsBuilder::new(BOOKS).query(query(vec![20, 10])).using("bm25")).await;
    let other = hits(&fixture, QueryPointsBuilder::new(BOOKS).query(query(vec![10, 20])).using("bm25")).await;
    assert_eq!(one, other);
}

#[tokio::test]
async fn limit_offset_threshold_and_filter_cut_the_ranking() {
    let fixture = with_books().await;
    let found = |query| async { ids(&fixture.client.query(query).await.unwrap()) };
    assert_eq!(found(dense().limit(2)).await, [1, 2]);
    assert_eq!(found(dense().limit(2).offset(3)).await, [4, 5]);
    assert_eq!(found(dense().score_threshold(0.9)).await, [1, 2, 3]);
    let english = Filter::must([Condition::matches("lang", "en".to_owned())]);
    assert_eq!(found(dense().filter(english)).await, [1, 3, 5]);
    assert_eq!(found(dense().params(SearchParamsBuilder::default().exact(true)).limit(1)).await, [1]);
    assert_eq!(found(QueryPointsBuilder::new(BOOKS).limit(2)).await, [1, 2]);
}

#[tokio::test]
async fn reciprocal_ranks_are_summed_with_the_k_that_was_asked_for() {
    let fixture = with_books().await;
    let fused = |query: Query| QueryPointsBuilder::new(BOOKS).prefetch(arms()).query(query);
    let found = hits(&fixture, fused(Query::new_rrf(RrfBuilder::with_k(60)))).await;
    // 4 is the last of both arms: 1 / (60 + 3) + 1 / (60 + 2), ranks counted from 0.
    assert_eq!(found[0].0, 4);
    assert!((found[0].1 - (1.0 / 63.0 + 1.0 / 62.0)).abs() < 1e-6, "{found:?}");
    let found = hits(&fixture, fused(Query::new_fusion(Fusion::Rrf))).await;
    assert!((found.iter().find(|(id, _)| *id == 1).unwrap().1 - 0.5).abs() < 1e-6, "{found:?}");
    let weighted = Query::new_rrf(RrfBuilder::with_k(60).weights(vec![0.0, 1.0]));
    assert_eq!(hits(&fixture, fused(weighted)).await[0].0, 6);
}

#[tokio::test]
async fn distributions_of_scores_are_fused_and_filters_reach_the_prefetches() {
    let fixture = with_books().await;
    let german = Filter::must([Condition::matches("lang", "de".to_owned())]);
    let query = QueryPointsBuilder::new(BOOKS)
        .prefetch(arms())
        .query(Query::new_fusion(Fusion::Dbsf))
        .filter(german)
        .limit(5);
    let mut found = ids(&fixture.client.query(query).await.unwrap());
    found.sort_unstable();
    assert_eq!(found, [2, 6]);
}

#[tokio::test]
async fn a_prefetch_can_be_ranked_anew() {
    let fixture = with_books().await;
    let second = QueryPointsBuilder::new(BOOKS)
        .prefetch(vec![PrefetchQueryBuilder::default().query(term_10()).using("bm25").limit(2u64).build()])
        .query(nearest([0.0, 1.0, 0.0, 0.0]))
        .using("dense");
    assert_eq!(ids(&fixture.client.query(second).await.unwrap()), [5, 6]);
}

#[tokio::test]
async fn payload_and_vectors_come_as_far_as_they_are_asked_for() {
    let fixture = with_books().await;
    let plain = fixture.client.query(dense().limit(1)).await.unwrap().result;
    assert!(plain[0].payload.is_empty() && plain[0].vectors.is_none());
    let include = PayloadIncludeSelector { fields: vec!["lang".to_owned()] };
    let some = dense()
        .limit(1)
        .with_payload(include)
        .with_vectors(VectorsSelector { names: vec!["dense".to_owned()] });
    let some = fixture.client.query(some).await.unwrap().result;
    let payload = Payload::from(some[0].payload.clone());
    assert_eq!(payload, Payload::try_from(json!({"lang": "en"})).unwrap());
    let Some(vectors_output::VectorsOptions::Vectors(named)) =
        some[0].vectors.clone().unwrap().vectors_options
    else {
        panic!("named vectors")
    };
    assert_eq!(named.vectors.into_keys().collect::<Vec<_>>(), ["dense"]);
    let all = fixture.client.query(dense().limit(1).with_payload(true)).await.unwrap().result;
    assert_eq!(all[0].payload.len(), 3);
}

#[tokio::test]
async fn queries_that_do_not_fit_the_collection_are_refused() {
    let fixture = with_books().await;
    let ask = |query: QueryPointsBuilder| async { refusal(fixture.client.query(query).await) };
    let short = QueryPointsBuilder::new(BOOKS).query(Query::new_nearest(vec![1.0, 2.0])).using("dense");
    let expected = "Wrong input: Vector dimension error: expected dim: 4, got 2";
    assert_eq!(ask(short).await, (Code::InvalidArgument, expected.to_owned()));
    let expected = "Wrong input: Not existing vector name error: other";
    assert_eq!(ask(dense().using("other")).await, (Code::InvalidArgument, expected.to_owned()));
    assert_eq!(ask(dense().using("bm25")).await.0, Code::InvalidArgument);
    assert_eq!(ask(sparse().using("dense")).await.0, Code::InvalidArgument);
    assert_eq!(ask(dense().limit(0)).await.0, Code::InvalidArgument);
    let alone = QueryPointsBuilder::new(BOOKS).query(Query::new_fusion(Fusion::Rrf));
    assert_eq!(ask(alone).await.0, Code::InvalidArgument);
    let unnamed = QueryPointsBuilder::new(BOOKS).query(nearest([1.0; 4]));
    assert_eq!(ask(unnamed).await.0, Code::InvalidArgument);
    let by_id = QueryPointsBuilder::new(BOOKS).query(Query::new_nearest(PointId::from(1))).using("dense");
    assert_eq!(ask(by_id).await.0, Code::Unimplemented);
    let ordered = QueryPointsBuilder::new(BOOKS).query(Query::new_order_by(OrderByBuilder::new("year")));
    assert_eq!(ask(ordered).await.0, Code::Unimplemented);
}

#[tokio::test]
async fn a_batch_answers_each_of_its_queries_in_order() {
    let fixture = with_books().await;
    let batch = vec![dense().limit(2).build(), sparse().build(), dense().limit(1).offset(5).build()];
    let response = fixture.client.query_batch(QueryBatchPointsBuilder::new(BOOKS, batch)).await.unwrap();
    let found = response.result.iter().map(|batch| batch.result.iter().map(id).collect::<Vec<_>>());
    assert_eq!(found.collect::<Vec<_>>(), [vec![1, 2], vec![6, 5, 4], vec![6]]);
    let bad = vec![dense().build(), dense().using("other").build()];
    let outcome = fixture.client.query_batch(QueryBatchPointsBuilder::new(BOOKS, bad)).await;
    assert_eq!(code(outcome), Code::InvalidArgument);
}

#[tokio::test]
async fn groups_come_in_the_order_of_their_best_hits() {
    let fixture = with_books().await;
    let query = QueryPointGroupsBuilder::new(BOOKS, "lang")
        .query(nearest([1.0, 0.0, 0.0, 0.0]))
        .using("dense")
        .limit(2u64)
        .group_size(2u64)
        .with_payload(false);
    let groups = fixture.client.query_groups(query).await.unwrap().result.unwrap().groups;
    let found = groups.into_iter().map(|group| {
        assert!(group.hits.iter().all(|hit| hit.payload.is_empty()));
        (group.id.unwrap().kind.unwrap(), group.hits.iter().map(id).collect::<Vec<_>>())
    });
    let text = |lang: &str| group_id::Kind::StringValue(lang.to_owned());
    assert_eq!(found.collect::<Vec<_>>(), [(text("en"), vec![1, 3]), (text("de"), vec![2, 6])]);
}

#[tokio::test]
async fn a_collection_with_one_unnamed_vector_works_too() {
    let fixture = with_books().await;
    let create =
        CreateCollectionBuilder::new("plain").vectors_config(VectorParamsBuilder::new(2, Distance::Dot));
    fixture.client.create_collection(create).await.unwrap();
    let point = |id: u64, vector: Vec<f32>| PointStruct::new(id, vector, Payload::new());
    let points = vec![point(1, vec![1.0, 0.0]), point(2, vec![0.0, 3.0])];
    fixture.client.upsert_points(UpsertPointsBuilder::new("plain", points).wait(true)).await.unwrap();
    let query = QueryPointsBuilder::new("plain").query(Query::new_nearest(vec![1.0, 1.0])).with_vectors(true);
    let hits = fixture.client.query(query).await.unwrap();
    assert_eq!(ids(&hits), [2, 1]);
    let vectors = hits.result[0].vectors.clone().unwrap().vectors_options.unwrap();
    assert!(matches!(vectors, vectors_output::VectorsOptions::Vector(_)), "{vectors:?}");
}
