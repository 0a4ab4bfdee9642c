//! Points: written, deleted, fetched, counted, paged through.

use qdrant_client::Payload;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateFieldIndexCollectionBuilder, DeletePointsBuilder,
    FacetCountsBuilder, FieldType, Filter, GetPointsBuilder, NamedVectors, PointId, PointStruct,
    PointsIdsList, ScrollPointsBuilder, SetPayloadPointsBuilder, UpdateStatus, UpsertPointsBuilder, Vector,
    facet_value, vector_output, vectors_output,
};
use serde_json::json;
use tonic::Code;

use crate::{BOOKS, Fixture, book, code, number, refusal, with_books};

async fn count(fixture: &Fixture) -> u64 {
    let count = CountPointsBuilder::new(BOOKS).exact(true);
    fixture.client.count(count).await.unwrap().result.unwrap().count
}

async fn upsert(fixture: &Fixture, points: Vec<PointStruct>) -> Result<UpdateStatus, (Code, String)> {
    let request = UpsertPointsBuilder::new(BOOKS, points).wait(true);
    match fixture.client.upsert_points(request).await {
        Ok(response) => Ok(response.result.unwrap().status()),
        failed => Err(refusal(failed)),
    }
}

#[tokio::test]
async fn a_point_written_twice_is_there_once_with_its_last_content() {
    let fixture = with_books().await;
    let again = book(6, [0.0, 0.0, 0.0, 1.0], &[(7, 0.5)], json!({"lang": "it"}));
    assert_eq!(upsert(&fixture, vec![again]).await, Ok(UpdateStatus::Completed));
    assert_eq!(count(&fixture).await, 6);
    let get = GetPointsBuilder::new(BOOKS, vec![PointId::from(6)]).with_payload(true).with_vectors(true);
    let points = fixture.client.get_points(get).await.unwrap().result;
    assert_eq!(Payload::from(points[0].payload.clone()), Payload::try_from(json!({"lang": "it"})).unwrap());
    let Some(vectors_output::VectorsOptions::Vectors(named)) =
        points[0].vectors.clone().unwrap().vectors_options
    else {
        panic!("named vectors")
    };
    let Some(vector_output::Vector::Dense(dense)) = named.vectors["dense"].vector.clone() else {
        panic!("dense")
    };
    assert_eq!(dense.data, [0.0, 0.0, 0.0, 1.0]);
    let Some(vector_output::Vector::Sparse(sparse)) = named.vectors["bm25"].vector.clone() else {
        panic!("sparse")
    };
    assert_eq!((sparse.indices, sparse.values), (vec![7], vec![0.5]));
}

#[tokio::test]
async fn a_payload_comes_back_as_it_was_written() {
    let fixture = with_books().await;
    let payload = json!({"text": "a", "int": -3, "float": 0.5, "flag": true, "nothing": null,
        "list": [1, "b", [2.5]], "object": {"deep": {"er": "c"}}});
    upsert(&fixture, vec![book(9, [1.0; 4], &[], payload.clone())]).await.unwrap();
    let get = GetPointsBuilder::new(BOOKS, vec![PointId::from(9)]).with_payload(true);
    let points = fixture.client.get_points(get).await.unwrap().result;
    assert_eq!(Payload::from(points[0].payload.clone()), Payload::try_from(payload).unwrap());
    assert!(points[0].vectors.is_none());
}

#[tokio::test]
async fn points_with_uuids_are_found_by_them_and_unknown_ids_are_left_out() {
    let fixture = with_books().await;
    let id = "1f2b9c62-6f0f-4f4c-9a8e-0f3a5d1c2b3a";
    let vectors = NamedVectors::default().add_vector("dense", vec![1.0, 1.0, 0.0, 0.0]);
    upsert(&fixture, vec![PointStruct::new(id, vectors, Payload::new())]).await.unwrap();
    let ids = vec![PointId::from(id), PointId::from(77)];
    let points = fixture.client.get_points(GetPointsBuilder::new(BOOKS, ids)).await.unwrap().result;
    assert_eq!(points.iter().map(|point| point.id.clone().unwrap()).collect::<Vec<_>>(), [PointId::from(id)]);
}

#[tokio::test]
async fn vectors_that_do_not_fit_are_refused_by_name_and_by_dimension() {
    let fixture = with_books().await;
    let point = |name: &str, vector: Vector| {
        PointStruct::new(9, NamedVectors::default().add_vector(name, vector), Payload::new())
    };
    let (code, message) = upsert(&fixture, vec![point("dense", vec![1.0, 2.0].into())]).await.unwrap_err();
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(message, "Wrong input: Vector dimension error: expected dim: 4, got 2");
    let (code, message) = upsert(&fixture, vec![point("other", vec![1.0; 4].into())]).await.unwrap_err();
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(message, "Wrong input: Not existing vector name error: other");
    let twice = Vector::from(vec![(3, 1.0), (3, 2.0)]);
    assert_eq!(upsert(&fixture, vec![point("bm25", twice)]).await.unwrap_err().0, Code::InvalidArgument);
    let sparse_for_dense = Vector::from(vec![(3, 1.0)]);
    assert_eq!(
        upsert(&fixture, vec![point("dense", sparse_for_dense)]).await.unwrap_err().0,
        Code::InvalidArgument
    );
    assert_eq!(
        upsert(&fixture, vec![point("bm25", vec![1.0; 4].into())]).await.unwrap_err().0,
        Code::InvalidArgument
    );
    assert_eq!(count(&fixture).await, 6);
}

#[tokio::test]
async fn a_caller_that_does_not_wait_gets_an_acknowledgement() {
    let fixture = with_books().await;
    let bad = PointStruct::new(9, NamedVectors::default().add_vector("dense", vec![1.0]), Payload::new());
    let response = fixture.client.upsert_points(UpsertPointsBuilder::new(BOOKS, vec![bad])).await.unwrap();
    assert_eq!(response.result.unwrap().status(), UpdateStatus::Acknowledged);
}

#[tokio::test]
async fn points_are_deleted_by_id_and_by_filter() {
    let fixture = with_books().await;
    let by_id =
        DeletePointsBuilder::new(BOOKS).points(PointsIdsList { ids: vec![1.into(), 99.into()] }).wait(true);
    fixture.client.delete_points(by_id).await.unwrap();
    assert_eq!(count(&fixture).await, 5);
    let english = Filter::must([Condition::matches("lang", "en".to_owned())]);
    let by_filter = DeletePointsBuilder::new(BOOKS).points(english).wait(true);
    fixture.client.delete_points(by_filter).await.unwrap();
    assert_eq!(count(&fixture).await, 3);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let fixture = with_books().await;
    let mut seen = Vec::new();
    let mut offset = None;
    loop {
        let mut scroll = ScrollPointsBuilder::new(BOOKS).limit(4);
        if let Some(offset) = offset.take() {
            scroll = scroll.offset::<PointId>(offset);
        }
        let page = fixture.client.scroll(scroll).await.unwrap();
        assert!(page.result.iter().all(|point| !point.payload.is_empty()));
        seen.extend(page.result.iter().map(|point| number(point.id.as_ref())));
        offset = page.next_page_offset;
        if offset.is_none() {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        code(fixture.client.scroll(ScrollPointsBuilder::new(BOOKS).limit(0)).await),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_facet_counts_the_values_of_an_indexed_field() {
    let fixture = with_books().await;
    let facet = || fixture.client.facet(FacetCountsBuilder::new(BOOKS, "lang").exact(true));
    assert_eq!(code(facet().await), Code::InvalidArgument);
    let index = CreateFieldIndexCollectionBuilder::new(BOOKS, "lang", FieldType::Keyword).wait(true);
    fixture.client.create_field_index(index).await.unwrap();
    let hits = facet().await.unwrap().hits;
    let counted = hits.into_iter().map(|hit| match hit.value.unwrap().variant {
        Some(facet_value::Variant::StringValue(text)) => (text, hit.count),
        other => panic!("not a text: {other:?}"),
    });
    let expected = [("en".to_owned(), 3), ("de".to_owned(), 2), ("fr".to_owned(), 1)];
    assert_eq!(counted.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn calls_that_are_not_implemented_say_so() {
    let fixture = with_books().await;
    let set = SetPayloadPointsBuilder::new(BOOKS, Payload::new());
    assert_eq!(code(fixture.client.set_payload(set).await), Code::Unimplemented);
}
