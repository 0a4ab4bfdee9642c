//! Collections: made, described, changed, deleted.

use std::time::{Duration, Instant};

use qdrant_client::qdrant::{
    CollectionStatus, CreateCollectionBuilder, Distance, FieldType, HnswConfigDiffBuilder,
    OptimizersConfigDiffBuilder, QueryPointsBuilder, UpdateCollectionBuilder, UpsertPointsBuilder,
    VectorParamsBuilder, vectors_config,
};
use serde_json::json;
use tonic::Code;

use crate::{BOOKS, book, code, empty, layout, metadata, refusal, stored, with_books};

#[tokio::test]
async fn a_collection_is_described_as_it_was_made() {
    let fixture = with_books().await;
    let info = fixture.client.collection_info(BOOKS).await.unwrap().result.unwrap();
    assert_eq!(info.status(), CollectionStatus::Green);
    assert_eq!((info.points_count, info.optimizer_status.unwrap().ok), (Some(6), true));
    let config = info.config.unwrap();
    assert_eq!(config.metadata, stored(json!({"manifest": "one", "kept": 7})));
    assert_eq!(
        (config.hnsw_config.unwrap().m, config.optimizer_config.unwrap().deleted_threshold),
        (Some(16), Some(0.2))
    );
    let params = config.params.unwrap();
    let Some(vectors_config::Config::ParamsMap(dense)) = params.vectors_config.unwrap().config else {
        panic!("named vectors")
    };
    assert_eq!((dense.map["dense"].size, dense.map["dense"].distance()), (4, Distance::Cosine));
    let sparse = params.sparse_vectors_config.unwrap();
    assert_eq!(sparse.map["bm25"].modifier(), qdrant_client::qdrant::Modifier::Idf);
}

#[tokio::test]
async fn an_update_merges_metadata_and_keeps_the_rest() {
    let fixture = with_books().await;
    let update = UpdateCollectionBuilder::new(BOOKS)
        .metadata(metadata(json!({"manifest": "two", "new": {"deep": true}})))
        .hnsw_config(HnswConfigDiffBuilder::default().m(8));
    assert!(fixture.client.update_collection(update).await.unwrap().result);
    let info = fixture.client.collection_info(BOOKS).await.unwrap().result.unwrap();
    let config = info.config.unwrap();
    let expected = stored(json!({"manifest": "two", "kept": 7, "new": {"deep": true}}));
    assert_eq!(config.metadata, expected);
    let hnsw = config.hnsw_config.unwrap();
    assert_eq!((hnsw.m, hnsw.ef_construct, info.points_count), (Some(8), Some(100), Some(6)));
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let fixture = with_books().await;
    let (code, message) = refusal(fixture.client.create_collection(layout(BOOKS)).await);
    assert_eq!(code, Code::AlreadyExists);
    assert_eq!(message, "Wrong input: Collection `books@1` already exists!");
}

#[tokio::test]
async fn a_deleted_collection_is_not_found_and_its_name_is_free_again() {
    let fixture = with_books().await;
    assert!(fixture.client.collection_exists(BOOKS).await.unwrap());
    assert!(fixture.client.delete_collection(BOOKS).await.unwrap().result);
    assert!(!fixture.client.collection_exists(BOOKS).await.unwrap());
    let (code, message) = refusal(fixture.client.collection_info(BOOKS).await);
    assert_eq!((code, message.as_str()), (Code::NotFound, "Not found: Collection `books@1` doesn't exist!"));
    assert!(!fixture.client.delete_collection(BOOKS).await.unwrap().result);
    fixture.client.create_collection(layout(BOOKS)).await.unwrap();
    let info = fixture.client.collection_info(BOOKS).await.unwrap().result.unwrap();
    assert_eq!(info.points_count, Some(0));
}

#[tokio::test]
async fn every_call_on_an_unknown_collection_is_not_found() {
    let fixture = empty().await;
    let point = book(1, [1.0; 4], &[], json!({}));
    let upsert = UpsertPointsBuilder::new("nowhere", vec![point]).wait(true);
    assert_eq!(code(fixture.client.upsert_points(upsert).await), Code::NotFound);
    assert_eq!(code(fixture.client.query(QueryPointsBuilder::new("nowhere")).await), Code::NotFound);
    let update = UpdateCollectionBuilder::new("nowhere").metadata(metadata(json!({"a": 1})));
    assert_eq!(code(fixture.client.update_collection(update).await), Code::NotFound);
}

#[tokio::test]
async fn collections_are_listed_by_name() {
    let fixture = empty().await;
    for name in ["b", "a", "c"] {
        fixture.client.create_collection(layout(name)).await.unwrap();
    }
    let listed = fixture.client.list_collections().await.unwrap().collections;
    assert_eq!(listed.into_iter().map(|one| one.name).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_no_collection_can_be_is_refused() {
    let fixture = empty().await;
    let client = &fixture.client;
    assert_eq!(code(client.create_collection(layout("a/b")).await), Code::InvalidArgument);
    let zero =
        CreateCollectionBuilder::new("zero").vectors_config(VectorParamsBuilder::new(0, Distance::Dot));
    assert_eq!(code(client.create_collection(zero).await), Code::InvalidArgument);
    let unknown = VectorParamsBuilder::new(4, Distance::UnknownDistance);
    let unknown = CreateCollectionBuilder::new("unknown").vectors_config(unknown);
    assert_eq!(code(client.create_collection(unknown).await), Code::InvalidArgument);
    assert!(client.list_collections().await.unwrap().collections.is_empty());
}

#[tokio::test]
async fn a_payload_index_shows_in_the_schema_until_it_is_deleted() {
    use qdrant_client::qdrant::{
        CreateFieldIndexCollectionBuilder, DeleteFieldIndexCollectionBuilder, PayloadSchemaType,
    };
    let fixture = with_books().await;
    let create = CreateFieldIndexCollectionBuilder::new(BOOKS, "lang", FieldType::Keyword).wait(true);
    fixture.client.create_field_index(create).await.unwrap();
    let info = fixture.client.collection_info(BOOKS).await.unwrap().result.unwrap();
    let lang = &info.payload_schema["lang"];
    assert_eq!((lang.data_type(), lang.points), (PayloadSchemaType::Keyword, Some(6)));
    let delete = DeleteFieldIndexCollectionBuilder::new(BOOKS, "lang").wait(true);
    fixture.client.delete_field_index(delete).await.unwrap();
    let info = fixture.client.collection_info(BOOKS).await.unwrap().result.unwrap();
    assert!(info.payload_schema.is_empty());
}

#[tokio::test]
async fn vectors_beyond_the_threshold_are_indexed_in_the_background() {
    let fixture = empty().await;
    let layout =
        layout("many").optimizers_config(OptimizersConfigDiffBuilder::default().indexing_threshold(1));
    fixture.client.create_collection(layout).await.unwrap();
    let point =
        |id: u32| book(u64::from(id), [f32::from(u16::try_from(id).unwrap()), 1.0, 2.0, 3.0], &[], json!({}));
    let points = (1..=400).map(point).collect::<Vec<_>>();
    fixture.client.upsert_points(UpsertPointsBuilder::new("many", points).wait(true)).await.unwrap();
    let started = Instant::now();
    loop {
        let info = fixture.client.collection_info("many").await.unwrap().result.unwrap();
        if info.status() == CollectionStatus::Green && Some(400) <= info.indexed_vectors_count {
            assert_eq!(info.points_count, Some(400));
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{info:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
