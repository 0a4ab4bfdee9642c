//! Canaries: a second pointer beside an alias, which readers and writers see alike.

use lectern_ingest::store::StoreError;
use lectern_schema::canary::{Canary, Share};
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::error::SearchError;

use crate::fixture::{Fixture, corpus, soon};

fn of(generation: &GenerationId, percent: u8) -> Canary {
    Canary { generation: generation.clone(), share: Share::parse(percent).unwrap() }
}

/// A live generation and another whole one.
async fn two(store: &Fixture) -> (GenerationId, GenerationId) {
    let (live, other) = (store.built(corpus()).await, store.built(corpus()).await);
    store.publish(None, &live).await.unwrap();
    (live, other)
}

async fn swap(store: &Fixture, expected: Option<&Canary>, to: Option<&Canary>) -> Result<(), StoreError> {
    store.write.swap_canary(&store.alias, expected, to).await
}

async fn read(store: &Fixture) -> Option<Canary> {
    let written = store.write.canary(&store.alias).await.unwrap();
    let resolved = store.resolved().await.unwrap();
    assert_eq!(resolved.canary, written, "readers and writers see the same");
    written
}

pub(crate) async fn an_alias_has_no_canary_until_one_is_made(store: Fixture) {
    let (_, other) = two(&store).await;
    assert_eq!(read(&store).await, None);
    swap(&store, None, Some(&of(&other, 5))).await.unwrap();
    assert_eq!(read(&store).await, Some(of(&other, 5)));
}

pub(crate) async fn a_canary_is_read_with_what_is_live_and_its_share(store: Fixture) {
    let (live, other) = two(&store).await;
    swap(&store, None, Some(&of(&other, 50))).await.unwrap();
    let resolved = store.resolved().await.unwrap();
    assert_eq!((resolved.live, resolved.canary), (live.clone(), Some(of(&other, 50))));
    assert_eq!(store.write.live(&store.alias).await.unwrap(), Some(live));
}

pub(crate) async fn a_canary_is_given_another_share_and_ended(store: Fixture) {
    let (live, other) = two(&store).await;
    let (small, large) = (of(&other, 5), of(&other, 20));
    swap(&store, None, Some(&small)).await.unwrap();
    swap(&store, Some(&small), Some(&large)).await.unwrap();
    assert_eq!(read(&store).await, Some(large.clone()));
    swap(&store, Some(&large), Some(&large)).await.unwrap();
    assert_eq!(read(&store).await, Some(large.clone()));
    swap(&store, Some(&large), None).await.unwrap();
    assert_eq!(read(&store).await, None);
    swap(&store, None, None).await.unwrap();
    assert_eq!(store.resolve().await.unwrap(), live);
    assert_eq!(store.open(&other).await.manifest().generation, other);
}

pub(crate) async fn another_generation_takes_a_canary_s_place(store: Fixture) {
    let (_, first) = two(&store).await;
    let second = store.built(corpus()).await;
    for (from, to) in [(of(&first, 5), of(&second, 5)), (of(&second, 20), of(&first, 5))] {
        let present = read(&store).await;
        swap(&store, present.as_ref(), Some(&from)).await.unwrap();
        swap(&store, Some(&from), Some(&to)).await.unwrap();
        assert_eq!(read(&store).await, Some(to));
    }
}

pub(crate) async fn a_canary_that_somebody_else_has_changed_is_left_alone(store: Fixture) {
    let (_, other) = two(&store).await;
    let there = of(&other, 5);
    swap(&store, None, Some(&there)).await.unwrap();
    for expected in [None, Some(&of(&other, 6))] {
        for to in [Some(&of(&other, 7)), None] {
            if expected.is_none() && to.is_none() {
                continue;
            }
            let moved = swap(&store, expected, to).await.unwrap_err();
            assert!(
                matches!(&moved, StoreError::CanaryMoved { found: Some(found), .. } if **found == there),
                "{moved:?}"
            );
        }
    }
    assert_eq!(read(&store).await, Some(there));
}

pub(crate) async fn a_build_or_nothing_cannot_be_a_canary(store: Fixture) {
    two(&store).await;
    let building = store.begun().await.generation;
    let refused = swap(&store, None, Some(&of(&building, 5))).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    let missing = swap(&store, None, Some(&of(&store.generation(), 5))).await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing(_)), "{missing:?}");
    assert_eq!(read(&store).await, None);
}

pub(crate) async fn a_canary_cannot_be_deleted_until_it_has_ended(store: Fixture) {
    let (_, other) = two(&store).await;
    let canary = of(&other, 5);
    swap(&store, None, Some(&canary)).await.unwrap();
    let held = store.write.delete(&other).await.unwrap_err();
    assert!(matches!(&held, StoreError::Held { holder, .. } if holder.contains("canary")), "{held:?}");
    assert_eq!(read(&store).await, Some(canary.clone()));
    swap(&store, Some(&canary), None).await.unwrap();
    store.write.delete(&other).await.unwrap();
}

pub(crate) async fn what_was_a_canary_can_be_published_and_is_no_user_s_alias(store: Fixture) {
    let (live, other) = two(&store).await;
    let canary = of(&other, 5);
    swap(&store, None, Some(&canary)).await.unwrap();
    let longer = AliasName::parse(&format!("{}-canary", store.alias)).unwrap();
    let unknown = store.read.resolve(&longer, soon()).await.unwrap_err();
    assert!(matches!(unknown, SearchError::UnknownAlias(_)), "{unknown:?}");
    store.publish(Some(&live), &other).await.unwrap();
    assert_eq!(store.resolve().await.unwrap(), other);
    swap(&store, Some(&canary), None).await.unwrap();
    assert_eq!(read(&store).await, None);
    assert_eq!(store.resolve().await.unwrap(), other);
}
