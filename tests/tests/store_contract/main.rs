//! One suite of checks for every store: what the server and the ingest rely on, whichever store is configured.
//! Never looks behind the traits, but for what only the embedded store has.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the checks are the bodies of tests, where clippy does not see it"
)]

mod building;
mod canaries;
mod embedded;
mod filters;
mod fixture;
mod gathering;
mod publishing;
mod searching;

/// Makes a test of each check, against each store.
macro_rules! contract {
    ($($group:ident::$check:ident,)*) => {
        mod embedded_store {
            $(#[tokio::test]
            async fn $check() {
                super::$group::$check(super::fixture::Fixture::embedded().await).await;
            })*
        }

        mod qdrant_protocol {
            $(#[tokio::test]
            async fn $check() {
                super::$group::$check(super::fixture::Fixture::test_server().await).await;
            })*
        }

        mod real_qdrant {
            $(#[tokio::test]
            async fn $check() {
                let Some(fixture) = super::fixture::Fixture::real_qdrant().await else {
                    println!("not run: QDRANT_URL is not set");
                    return;
                };
                super::$group::$check(fixture).await;
            })*
        }
    };
}

contract! {
    searching::each_mode_finds_the_best_chunks_first_and_names_its_score,
    searching::a_hit_carries_everything_that_was_stored,
    searching::a_search_returns_no_more_than_its_limit,
    searching::a_limit_beyond_the_collection_returns_all_of_it,
    searching::equal_scores_are_ordered_by_chunk_id,
    searching::words_without_terms_find_nothing_alone_and_do_no_harm_in_a_hybrid,
    searching::a_chunk_without_terms_is_found_by_meaning,
    searching::a_vector_of_another_dimension_is_refused,
    searching::a_search_past_its_deadline_is_late,
    searching::many_searches_at_once_each_find_their_own,
    filters::each_operator_finds_what_it_says,
    filters::filters_combine,
    filters::a_filter_holds_in_every_mode,
    filters::a_tenants_filter_finds_its_documents_alone,
    building::a_point_written_twice_is_there_once,
    building::a_build_that_lost_points_is_torn_and_stays_incomplete,
    building::a_name_that_is_taken_is_refused,
    building::a_generation_that_is_not_there_cannot_be_written,
    building::a_generation_is_served_only_when_it_is_complete,
    building::a_generation_built_for_another_model_is_refused_with_the_reason,
    building::an_empty_generation_can_be_sealed_and_searched,
    building::a_sealed_manifest_is_read_back_as_it_was_written,
    building::a_build_that_is_taken_over_holds_what_was_flushed,
    building::documents_are_deleted_from_a_staging_generation_alone_and_entirely,
    building::a_generation_without_erased_documents_holds_the_others,
    publishing::an_alias_is_unknown_until_something_is_published,
    publishing::an_open_generation_is_searched_after_the_alias_has_moved,
    publishing::a_rollback_serves_the_earlier_generation_again,
    publishing::a_swap_fails_when_somebody_else_has_moved_the_alias,
    publishing::an_alias_cannot_be_pointed_at_a_build_or_at_nothing,
    publishing::generations_are_listed_oldest_first_and_by_alias,
    publishing::a_live_generation_cannot_be_deleted,
    publishing::a_deleted_generation_is_gone,
    canaries::an_alias_has_no_canary_until_one_is_made,
    canaries::a_canary_is_read_with_what_is_live_and_its_share,
    canaries::a_canary_is_given_another_share_and_ended,
    canaries::another_generation_takes_a_canary_s_place,
    canaries::a_canary_that_somebody_else_has_changed_is_left_alone,
    canaries::a_build_or_nothing_cannot_be_a_canary,
    canaries::a_canary_cannot_be_deleted_until_it_has_ended,
    canaries::what_was_a_canary_can_be_published_and_is_no_user_s_alias,
}
