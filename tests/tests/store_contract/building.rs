//! From the first point to the seal, and what is refused on the way.

use lectern_ingest::store::StoreError;
use lectern_schema::generation::{BuildState, Counts};
use lectern_schema::identifiers::DocumentId;
use lectern_search::error::{OpenError, SearchError};
use lectern_search::query::Arms;

use crate::fixture::{
    Fixture, corpus, counts, documents, encoding, manifest, meaning, query, search, soon, words,
};

pub(crate) async fn a_point_written_twice_is_there_once(store: Fixture) {
    let manifest = store.begun().await;
    for _ in 0..2 {
        store.write.upsert(&manifest.generation, corpus()).await.unwrap();
    }
    store.write.seal(&manifest, counts(&corpus())).await.unwrap();
    let collection = store.open(&manifest.generation).await;
    assert_eq!(collection.count(soon()).await.unwrap(), 4);
    let all = query(Arms::Dense(meaning([1.0; 4])), 100);
    assert_eq!(search(&collection, &all).await.len(), 4);
}

pub(crate) async fn a_build_that_lost_points_is_torn_and_stays_incomplete(store: Fixture) {
    let manifest = store.begun().await;
    store.write.upsert(&manifest.generation, corpus()).await.unwrap();
    let torn = store.write.seal(&manifest, Counts { documents: 5, chunks: 5 }).await.unwrap_err();
    assert!(matches!(torn, StoreError::Torn { expected: 5, found: 4, .. }), "{torn:?}");
    let refused = store.try_open(&manifest.generation).await.unwrap_err();
    assert!(matches!(refused, OpenError::Incomplete(_)), "{refused:?}");
}

pub(crate) async fn a_name_that_is_taken_is_refused(store: Fixture) {
    let manifest = store.begun().await;
    let taken = store.write.create(&manifest).await.unwrap_err();
    assert!(matches!(&taken, StoreError::Taken(name) if *name == manifest.generation), "{taken:?}");
    // And the build that has the name goes on.
    store.write.upsert(&manifest.generation, corpus()).await.unwrap();
    store.write.seal(&manifest, counts(&corpus())).await.unwrap();
}

pub(crate) async fn a_generation_that_is_not_there_cannot_be_written(store: Fixture) {
    let absent = manifest(store.generation());
    for failed in [
        store.write.upsert(&absent.generation, corpus()).await,
        store.write.seal(&absent, Counts::default()).await.map(drop),
        store.write.delete(&absent.generation).await,
    ] {
        assert!(matches!(failed, Err(StoreError::Missing(_))), "{failed:?}");
    }
}

pub(crate) async fn a_generation_is_served_only_when_it_is_complete(store: Fixture) {
    let manifest = store.begun().await;
    store.write.upsert(&manifest.generation, corpus()).await.unwrap();
    let refused = store.try_open(&manifest.generation).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Incomplete(name) if *name == manifest.generation), "{refused:?}");
    store.write.seal(&manifest, counts(&corpus())).await.unwrap();
    let collection = store.open(&manifest.generation).await;
    assert_eq!(collection.count(soon()).await.unwrap(), 4);
}

pub(crate) async fn a_generation_built_for_another_model_is_refused_with_the_reason(store: Fixture) {
    let generation = store.built(corpus()).await;
    let mut other = encoding();
    other.embedding.model = "other".into();
    other.embedding.dimension = 8;
    for _ in 0..2 {
        let refused = store.read.open(&generation, &other, soon()).await.unwrap_err();
        let expected = format!(
            "generation `{generation}` does not fit this server: the embedding model is `test` in the generation and \
             `other` in this server; the dimension is 4 in the generation and 8 in this server"
        );
        assert_eq!(refused.to_string(), expected);
        // Also when somebody whom it fits has it open.
        store.open(&generation).await;
    }
}

pub(crate) async fn an_empty_generation_can_be_sealed_and_searched(store: Fixture) {
    let collection = store.open(&store.built(Vec::new()).await).await;
    let arms = Arms::Hybrid(meaning([1.0; 4]), words("cat"));
    assert_eq!(search(&collection, &query(arms, 10)).await, []);
    assert_eq!(collection.count(soon()).await.unwrap(), 0);
}

pub(crate) async fn a_sealed_manifest_is_read_back_as_it_was_written(store: Fixture) {
    let begun = store.begun().await;
    store.write.upsert(&begun.generation, corpus()).await.unwrap();
    let listed = store.write.generations(&store.alias).await.unwrap();
    assert_eq!(listed[0].manifest, Some(begun.clone()));
    let sealed = store.write.seal(&begun, counts(&corpus())).await.unwrap();
    assert_eq!(sealed.state, BuildState::Complete(Counts { documents: 4, chunks: 4 }));
    assert!(begun.written_at < sealed.written_at);
    assert_eq!(store.write.generations(&store.alias).await.unwrap()[0].manifest, Some(sealed.clone()));
    assert_eq!(store.open(&begun.generation).await.manifest(), &sealed);
    let again = store.write.create(&sealed).await.unwrap_err();
    assert!(matches!(again, StoreError::Refused { .. } | StoreError::Taken(_)), "{again:?}");
    let absent = store.try_open(&store.generation()).await.unwrap_err();
    assert!(matches!(absent, OpenError::Store(SearchError::Gone(_))), "{absent:?}");
}

fn named(names: &[&str]) -> Vec<DocumentId> {
    names.iter().map(|name| DocumentId::parse(name).unwrap()).collect()
}

pub(crate) async fn a_build_that_is_taken_over_holds_what_was_flushed(store: Fixture) {
    let manifest = store.begun().await;
    store.write.upsert(&manifest.generation, corpus()).await.unwrap();
    store.write.flush(&manifest.generation).await.unwrap();
    let found = store.write.documents(&manifest.generation, None).await.unwrap();
    assert_eq!(found, named(&["cat", "dog", "car", "ship"]).into_iter().map(|name| (name, 1)).collect());
}

pub(crate) async fn documents_are_deleted_from_a_staging_generation_alone_and_entirely(store: Fixture) {
    let manifest = store.begun().await;
    store.write.upsert(&manifest.generation, corpus()).await.unwrap();
    let names = named(&["cat", "ship", "never seen"]);
    store.write.delete_documents(&manifest.generation, &names).await.unwrap();
    store.write.seal(&manifest, Counts { documents: 2, chunks: 2 }).await.unwrap();
    let collection = store.open(&manifest.generation).await;
    let all = query(Arms::Dense(meaning([1.0; 4])), 100);
    let mut left: Vec<_> = search(&collection, &all).await;
    left.sort_by(|a, b| a.payload.document_id.cmp(&b.payload.document_id));
    assert_eq!(documents(&left), ["car", "dog"]);
}

pub(crate) async fn a_generation_without_erased_documents_holds_the_others(store: Fixture) {
    let generation = store.built(corpus()).await;
    let successor = generation.next();
    let sealed = store.write.generations(&store.alias).await.unwrap()[0].manifest.clone().unwrap();
    let pinned = store.open(&generation).await;
    let left = store.write.erase(&sealed, &named(&["dog"]), &successor).await.unwrap();
    assert_eq!(left.counts(), Some(Counts { documents: 3, chunks: 3 }));
    let collection = store.open(&left.generation).await;
    assert_eq!(collection.manifest(), &left);
    let about_dogs = query(Arms::Hybrid(meaning([0.9, 0.3, 0.0, 0.0]), words("dog chases")), 100);
    assert!(!documents(&search(&collection, &about_dogs).await).contains(&"dog"));
    // Whoever has the original open is not disturbed: it is as it was, or it is the one without them.
    let expected = if left.generation == generation { 3 } else { 4 };
    assert_eq!(pinned.count(soon()).await.unwrap(), expected);
}
