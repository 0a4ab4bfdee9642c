//! Stagings that are poisoned, each in one way, and good ones: refused by the gate that is meant for it, or let through.
//! Real binaries on both stores. The poison is written as the ingest writes, so that no earlier check sees it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this file is test code: a panic is a failed test"
)]

mod answers;
mod content;
mod lists;
mod staging;

/// Makes a test of each check, against each store.
macro_rules! on_both_stores {
    ($($group:ident::$check:ident,)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $check() {
                super::$group::$check(lectern_tests::world::World::embedded().await).await;
            })*
        }

        mod qdrant_protocol {
            $(#[tokio::test]
            async fn $check() {
                super::$group::$check(lectern_tests::world::World::remote().await).await;
            })*
        }
    };
}

on_both_stores! {
    content::a_copy_of_the_live_generation_is_let_through,
    content::vectors_shuffled_between_chunks_are_refused,
    content::vectors_of_texts_with_another_prefix_are_refused,
    content::two_vectors_swapped_are_refused,
    content::constant_vectors_are_refused,
    content::truncated_texts_are_refused,
    content::texts_swapped_between_chunks_are_refused,
    content::half_of_the_documents_missing_is_refused,
    content::a_source_that_is_missing_is_refused_by_name,
    content::a_generation_of_another_model_is_refused_and_cannot_be_forced,
    answers::answers_that_got_lost_are_refused_and_published_for_a_reason,
    answers::answers_as_good_as_the_live_ones_are_let_through,
    answers::a_first_generation_that_answers_too_little_is_refused,
    lists::of_two_publishers_at_once_one_wins_and_the_other_is_told,
    lists::the_list_shows_what_the_gates_said_without_publishing,
}
