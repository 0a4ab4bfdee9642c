//! Filters: each kind of condition finds exactly the points that it should.

use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, DatetimeRange, Filter, GeoRadius, IsEmptyCondition, MinShould, PointId,
    Range, ScrollPointsBuilder, Timestamp, ValuesCount, condition::ConditionOneOf, r#match::MatchValue,
};
use tonic::Code;

use crate::{BOOKS, Fixture, code, number, with_books};

async fn found(fixture: &Fixture, filter: Filter) -> Vec<u64> {
    let scroll = ScrollPointsBuilder::new(BOOKS).filter(filter.clone()).limit(100).with_payload(false);
    let page = fixture.client.scroll(scroll).await.unwrap().result;
    let count = CountPointsBuilder::new(BOOKS).filter(filter).exact(true);
    let count = fixture.client.count(count).await.unwrap().result.unwrap().count;
    assert_eq!(usize::try_from(count).unwrap(), page.len());
    page.iter().map(|point| number(point.id.as_ref())).collect()
}

fn one(condition: Condition) -> Filter {
    Filter::must([condition])
}

#[tokio::test]
async fn values_match_exactly() {
    let fixture = with_books().await;
    assert_eq!(found(&fixture, one(Condition::matches("lang", "en".to_owned()))).await, [1, 3, 5]);
    assert_eq!(found(&fixture, one(Condition::matches("year", 2005))).await, [2]);
    assert_eq!(found(&fixture, one(Condition::matches("draft", true))).await, [2]);
    assert_eq!(found(&fixture, one(Condition::matches("tags", "b".to_owned()))).await, [1]);
}

#[tokio::test]
async fn lists_match_any_or_all_but() {
    let fixture = with_books().await;
    let strings = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let any = Condition::matches("lang", strings(&["de", "fr"]));
    assert_eq!(found(&fixture, one(any)).await, [2, 4, 6]);
    assert_eq!(found(&fixture, one(Condition::matches("year", vec![1999_i64, 2010]))).await, [1, 3]);
    let except = MatchValue::ExceptKeywords(qdrant_client::qdrant::RepeatedStrings {
        strings: strings(&["en", "fr"]),
    });
    assert_eq!(found(&fixture, one(Condition::matches("lang", except))).await, [2, 6]);
}

#[tokio::test]
async fn a_text_matches_by_what_it_contains() {
    let fixture = with_books().await;
    assert_eq!(found(&fixture, one(Condition::matches_text("title", "Essay"))).await, [6]);
    assert!(found(&fixture, one(Condition::matches_text("title", "Novel"))).await.is_empty());
}

#[tokio::test]
async fn ranges_hold_numbers_and_points_in_time() {
    let fixture = with_books().await;
    let years = Range { gte: Some(1999.0), lt: Some(2010.0), ..Range::default() };
    assert_eq!(found(&fixture, one(Condition::range("year", years))).await, [1, 2]);
    let new_year_2025 = Timestamp { seconds: 1_735_689_600, nanos: 0 };
    let since = DatetimeRange { gte: Some(new_year_2025), ..DatetimeRange::default() };
    assert_eq!(found(&fixture, one(Condition::datetime_range("at", since))).await, [5]);
    let many = ValuesCount { gte: Some(2), ..ValuesCount::default() };
    assert_eq!(found(&fixture, one(Condition::values_count("tags", many))).await, [1]);
}

#[tokio::test]
async fn empty_and_null_are_told_apart() {
    let fixture = with_books().await;
    assert_eq!(found(&fixture, one(Condition::is_null("gone"))).await, [3]);
    assert_eq!(found(&fixture, one(Condition::is_empty("tags"))).await, [2, 3, 4, 5, 6]);
    assert_eq!(found(&fixture, one(Condition::is_empty("year"))).await, [4, 5, 6]);
}

#[tokio::test]
async fn ids_vectors_and_nested_objects_are_conditions_too() {
    let fixture = with_books().await;
    assert_eq!(found(&fixture, one(Condition::has_id([PointId::from(2), PointId::from(5)]))).await, [2, 5]);
    assert_eq!(found(&fixture, one(Condition::has_vector("bm25"))).await, [1, 4, 5, 6]);
    let long = Condition::range("pages", Range { gt: Some(50.0), ..Range::default() });
    let named = |name: &str| Condition::matches("name", name.to_owned());
    let nested = |name: &str| Condition::nested("parts", Filter::must([named(name), long.clone()]));
    assert_eq!(found(&fixture, one(nested("y"))).await, [6]);
    assert!(found(&fixture, one(nested("x"))).await.is_empty());
}

#[tokio::test]
async fn conditions_combine() {
    let fixture = with_books().await;
    let english = Condition::matches("lang", "en".to_owned());
    let old = Condition::range("year", Range { lt: Some(2008.0), ..Range::default() });
    let tagged = Condition::matches("tags", "a".to_owned());
    assert_eq!(found(&fixture, Filter::should([old.clone(), english.clone()])).await, [1, 2, 3, 5]);
    let both = Filter { must: vec![english.clone()], must_not: vec![old.clone()], ..Filter::default() };
    assert_eq!(found(&fixture, both).await, [3, 5]);
    let inner = Condition::from(Filter::should([old.clone(), tagged.clone()]));
    assert_eq!(found(&fixture, Filter::must([english.clone(), inner])).await, [1]);
    let two_of = MinShould { conditions: vec![english, old, tagged], min_count: 2 };
    assert_eq!(found(&fixture, Filter { min_should: Some(two_of), ..Filter::default() }).await, [1]);
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused() {
    let fixture = with_books().await;
    let count =
        |filter: Filter| fixture.client.count(CountPointsBuilder::new(BOOKS).filter(filter).exact(true));
    let round = Condition::geo_radius("place", GeoRadius::default());
    assert_eq!(code(count(one(round)).await), Code::Unimplemented);
    assert_eq!(code(count(one(Condition::matches_prefix("lang", "e"))).await), Code::Unimplemented);
    let bad_key = ConditionOneOf::IsEmpty(IsEmptyCondition { key: "a[".to_owned() });
    assert_eq!(code(count(one(Condition { condition_one_of: Some(bad_key) })).await), Code::InvalidArgument);
}
