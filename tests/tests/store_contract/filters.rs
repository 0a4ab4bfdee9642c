//! What each filter means, the same in every store.

use lectern_schema::identifiers::TenantId;
use lectern_search::filter::Filter;
use lectern_search::query::{Arms, Query};
use serde_json::json;

use crate::fixture::{Fixture, corpus, documents, filtered, meaning, query, search, words};

pub(crate) async fn each_operator_finds_what_it_says(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    for (filter, expected) in [
        (json!({"lang": "en"}), &["cat", "dog"][..]),
        (json!({"lang": {"$eq": "de"}}), &["car"]),
        (json!({"lang": {"$ne": "en"}}), &["car", "ship"]),
        (json!({"lang": {"$in": ["de", "fr", "en"]}}), &["car", "cat", "dog"]),
        (json!({"lang": {"$nin": ["de", "fr"]}}), &["cat", "dog", "ship"]),
        (json!({"year": {"$gt": 2022}}), &["car", "ship"]),
        (json!({"year": {"$gte": 2022}}), &["car", "dog", "ship"]),
        (json!({"year": {"$lt": 2022}}), &["cat"]),
        (json!({"year": {"$lte": 2022}}), &["cat", "dog"]),
        (json!({"year": 2024}), &["car", "ship"]),
        (json!({"year": {"$in": [2020, 2024.0]}}), &["car", "cat", "ship"]),
        (json!({"rating": 4.5}), &["cat"]),
        (json!({"tame": true}), &["dog"]),
        (json!({"tame": {"$ne": true}}), &["car", "cat", "ship"]),
        (json!({"lang": {"$exists": true}}), &["car", "cat", "dog"]),
        (json!({"lang": {"$exists": false}}), &["ship"]),
        (json!({"tags": {"$exists": false}}), &["car", "ship"]),
        (json!({"tags": "small"}), &["cat"]),
        (json!({"tags": {"$in": ["pet"]}}), &["cat", "dog"]),
        (json!({"metadata.lang": "de"}), &["car"]),
        (json!({"document_id": {"$in": ["ship", "cat"]}}), &["cat", "ship"]),
        (json!({"uri": "file:///dog"}), &["dog"]),
        (json!({"title": "CAR"}), &["car"]),
        (json!({"lang": "EN"}), &[]),
        (json!({"unheard": 1}), &[]),
    ] {
        let hits = search(&collection, &filtered(&filter)).await;
        let mut found = documents(&hits);
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
}

pub(crate) async fn filters_combine(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    for (filter, expected) in [
        (json!({"lang": "en", "year": {"$gt": 2020}}), &["dog"][..]),
        (json!({"year": {"$gt": 2020, "$lt": 2024}}), &["dog"]),
        (json!({"$or": [{"lang": "de"}, {"tags": "small"}]}), &["car", "cat"]),
        (json!({"$and": [{"lang": "en"}, {"$or": [{"year": 2020}, {"year": 2024}]}]}), &["cat"]),
        (json!({"$not": {"lang": "en"}}), &["car", "ship"]),
        (json!({"$not": {"lang": "en", "year": 2020}}), &["car", "dog", "ship"]),
        (json!({"$not": {"$or": [{"lang": "en"}, {"lang": "de"}]}}), &["ship"]),
        (json!({"$or": [{"lang": "en"}, {"year": 2024}], "tame": {"$exists": true}}), &["car", "dog"]),
        (json!({"$not": {"$not": {"lang": "en"}}}), &["cat", "dog"]),
    ] {
        let hits = search(&collection, &filtered(&filter)).await;
        let mut found = documents(&hits);
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
}

pub(crate) async fn a_filter_holds_in_every_mode(store: Fixture) {
    let collection = store.open(&store.built(corpus()).await).await;
    let dense = meaning([1.0, 0.1, 0.0, 0.0]);
    for arms in [
        Arms::Dense(dense.clone()),
        Arms::Sparse(words("cat car fuel")),
        Arms::Hybrid(dense.clone(), words("cat car fuel")),
    ] {
        let filter = Some(Filter::parse(&json!({"year": {"$gte": 2022, "$lte": 2022}})).unwrap());
        let hits = search(&collection, &Query { filter, ..query(arms.clone(), 10) }).await;
        assert_eq!(documents(&hits), ["dog"], "{arms:?}");
    }
}

pub(crate) async fn a_tenants_filter_finds_its_documents_alone(store: Fixture) {
    let acme = TenantId::parse("acme").unwrap();
    let mut points = corpus();
    points[1].payload.tenant = acme.clone();
    let collection = store.open(&store.built(points).await).await;
    let scope = Filter::of_tenant(&acme);
    let widest = Filter::parse(&json!({"$or": [{"lang": "en"}, {"lang": {"$ne": "en"}}]})).unwrap();
    for filter in [scope.clone(), scope.and(widest)] {
        let all = query(Arms::Dense(meaning([1.0, 1.0, 1.0, 1.0])), 100);
        let hits = search(&collection, &Query { filter: Some(filter), ..all }).await;
        assert_eq!(documents(&hits), ["dog"]);
    }
}
