//! Aliases that move, and generations that come and go.

use lectern_ingest::store::StoreError;
use lectern_schema::identifiers::AliasName;
use lectern_search::error::{OpenError, SearchError};
use lectern_search::query::Arms;
use serde_json::json;

use crate::fixture::{Fixture, corpus, documents, manifest, meaning, point, query, search};

pub(crate) async fn an_alias_is_unknown_until_something_is_published(store: Fixture) {
    let unknown = store.resolve().await.unwrap_err();
    assert!(matches!(&unknown, SearchError::UnknownAlias(alias) if *alias == store.alias), "{unknown:?}");
    assert_eq!(store.write.live(&store.alias).await.unwrap(), None);
    let generation = store.built(corpus()).await;
    assert!(store.resolve().await.is_err());
    store.publish(None, &generation).await.unwrap();
    assert_eq!(store.resolve().await.unwrap(), generation);
    assert_eq!(store.write.live(&store.alias).await.unwrap(), Some(generation));
}

pub(crate) async fn an_open_generation_is_searched_after_the_alias_has_moved(store: Fixture) {
    let first = store.built(corpus()).await;
    store.publish(None, &first).await.unwrap();
    let pinned = store.open(&store.resolve().await.unwrap()).await;
    let second = store.built(vec![point("new", "A new text.", [1.0, 0.0, 0.0, 0.0], json!({}))]).await;
    store.publish(Some(&first), &second).await.unwrap();
    let all = query(Arms::Dense(meaning([1.0, 0.0, 0.0, 0.0])), 1);
    assert_eq!(documents(&search(&pinned, &all).await), ["cat"]);
    let current = store.open(&store.resolve().await.unwrap()).await;
    assert_eq!(documents(&search(&current, &all).await), ["new"]);
    assert_eq!(current.manifest().generation, second);
}

pub(crate) async fn a_rollback_serves_the_earlier_generation_again(store: Fixture) {
    let (first, second) = (store.built(corpus()).await, store.built(corpus()).await);
    store.publish(None, &first).await.unwrap();
    store.publish(Some(&first), &second).await.unwrap();
    // The last request on the first generation ends right before somebody opens it again.
    for _ in 0..10 {
        drop(store.open(&first).await);
    }
    store.publish(Some(&second), &first).await.unwrap();
    let resolved = store.resolve().await.unwrap();
    assert_eq!(store.open(&resolved).await.manifest().generation, first);
}

pub(crate) async fn a_swap_fails_when_somebody_else_has_moved_the_alias(store: Fixture) {
    let (first, second) = (store.built(corpus()).await, store.built(corpus()).await);
    store.publish(None, &first).await.unwrap();
    for expected in [None, Some(&second)] {
        let moved = store.publish(expected, &second).await.unwrap_err();
        assert!(
            matches!(&moved, StoreError::Moved { found: Some(found), .. } if **found == first),
            "{moved:?}"
        );
    }
    assert_eq!(store.resolve().await.unwrap(), first);
}

pub(crate) async fn an_alias_cannot_be_pointed_at_a_build_or_at_nothing(store: Fixture) {
    let building = store.begun().await.generation;
    let refused = store.publish(None, &building).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    let missing = store.publish(None, &store.generation()).await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing(_)), "{missing:?}");
    assert!(store.resolve().await.is_err());
}

pub(crate) async fn generations_are_listed_oldest_first_and_by_alias(store: Fixture) {
    let first = manifest(store.generation());
    let tenth = manifest((2..=10).fold(first.generation.clone(), |name, _| name.next()));
    let second = manifest(first.generation.next());
    let other = AliasName::parse(&format!("{}-other", store.alias)).unwrap();
    for manifest in [&tenth, &first, &second] {
        store.write.create(manifest).await.unwrap();
    }
    let listed = store.write.generations(&store.alias).await.unwrap();
    let names: Vec<_> = listed.into_iter().map(|stored| stored.generation).collect();
    assert_eq!(names, [first.generation, second.generation, tenth.generation]);
    assert_eq!(store.write.generations(&other).await.unwrap(), []);
}

pub(crate) async fn a_live_generation_cannot_be_deleted(store: Fixture) {
    let (live, old) = (store.built(corpus()).await, store.built(corpus()).await);
    store.publish(None, &live).await.unwrap();
    let held = store.write.delete(&live).await.unwrap_err();
    assert!(matches!(&held, StoreError::Held { holder, .. } if holder.contains("alias")), "{held:?}");
    store.write.delete(&old).await.unwrap();
    assert_eq!(store.open(&live).await.manifest().generation, live);
}

pub(crate) async fn a_deleted_generation_is_gone(store: Fixture) {
    let (whole, building) = (store.built(corpus()).await, store.begun().await.generation);
    for generation in [whole, building] {
        store.write.delete(&generation).await.unwrap();
        let gone = store.try_open(&generation).await.unwrap_err();
        assert!(
            matches!(&gone, OpenError::Store(SearchError::Gone(name)) if *name == generation),
            "{gone:?}"
        );
        let missing = store.write.delete(&generation).await.unwrap_err();
        assert!(matches!(missing, StoreError::Missing(_)), "{missing:?}");
    }
    assert_eq!(store.write.generations(&store.alias).await.unwrap(), []);
}
