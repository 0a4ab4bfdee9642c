//! Aliases: changed together, read like collections.

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CountPointsBuilder, CreateAlias, DeleteAlias, RenameAlias,
};
use tonic::Code;

use crate::{BOOKS, Fixture, code, layout, with_books};

const OTHER: &str = "books@2";

/// [`BOOKS`] with its six points, and an empty collection beside it.
async fn two_generations() -> Fixture {
    let fixture = with_books().await;
    fixture.client.create_collection(layout(OTHER)).await.unwrap();
    fixture
}

fn point_at(alias: &str, collection: &str) -> Action {
    Action::CreateAlias(CreateAlias { alias_name: alias.to_owned(), collection_name: collection.to_owned() })
}

fn delete(alias: &str) -> Action {
    Action::DeleteAlias(DeleteAlias { alias_name: alias.to_owned() })
}

fn rename(from: &str, to: &str) -> Action {
    Action::RenameAlias(RenameAlias { old_alias_name: from.to_owned(), new_alias_name: to.to_owned() })
}

async fn change(fixture: &Fixture, actions: Vec<Action>) -> Result<(), Code> {
    let mut client = CollectionsClient::connect(fixture.server.url()).await.unwrap();
    let actions = actions.into_iter().map(|action| AliasOperations { action: Some(action) }).collect();
    let outcome = client.update_aliases(ChangeAliases { actions, timeout: None }).await;
    outcome.map(drop).map_err(|status| status.code())
}

async fn listed(fixture: &Fixture) -> Vec<(String, String)> {
    let aliases = fixture.client.list_aliases().await.unwrap().aliases;
    aliases.into_iter().map(|alias| (alias.alias_name, alias.collection_name)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(alias, collection)| ((*alias).to_owned(), (*collection).to_owned())).collect()
}

#[tokio::test]
async fn an_alias_reads_like_its_collection() {
    let fixture = two_generations().await;
    change(&fixture, vec![point_at("books", BOOKS)]).await.unwrap();
    let count = |name: &str| fixture.client.count(CountPointsBuilder::new(name).exact(true));
    assert_eq!(count("books").await.unwrap().result.unwrap().count, 6);
    assert!(fixture.client.collection_exists("books").await.unwrap());
    assert_eq!(fixture.client.collection_info("books").await.unwrap().result.unwrap().points_count, Some(6));
    change(&fixture, vec![point_at("books", OTHER)]).await.unwrap();
    assert_eq!(count("books").await.unwrap().result.unwrap().count, 0);
}

#[tokio::test]
async fn all_actions_of_a_call_take_effect_or_none() {
    let fixture = two_generations().await;
    change(&fixture, vec![point_at("books", BOOKS), point_at("old", BOOKS)]).await.unwrap();
    let outcome =
        change(&fixture, vec![delete("books"), point_at("books", OTHER), point_at("x", "nowhere")]).await;
    assert_eq!(outcome, Err(Code::NotFound));
    assert_eq!(listed(&fixture).await, pairs(&[("books", BOOKS), ("old", BOOKS)]));
    change(&fixture, vec![delete("books"), point_at("books", OTHER), rename("old", "older")]).await.unwrap();
    assert_eq!(listed(&fixture).await, pairs(&[("books", OTHER), ("older", BOOKS)]));
}

#[tokio::test]
async fn aliases_of_one_collection_are_listed_and_go_with_it() {
    let fixture = two_generations().await;
    change(&fixture, vec![point_at("books", BOOKS), point_at("next", OTHER)]).await.unwrap();
    let of = fixture.client.list_collection_aliases(BOOKS).await.unwrap().aliases;
    assert_eq!(of.into_iter().map(|alias| alias.alias_name).collect::<Vec<_>>(), ["books"]);
    fixture.client.delete_collection(BOOKS).await.unwrap();
    assert_eq!(listed(&fixture).await, pairs(&[("next", OTHER)]));
    assert_eq!(code(fixture.client.count(CountPointsBuilder::new("books")).await), Code::NotFound);
}

#[tokio::test]
async fn aliases_and_collections_do_not_share_names() {
    let fixture = two_generations().await;
    assert_eq!(change(&fixture, vec![point_at(OTHER, BOOKS)]).await, Err(Code::AlreadyExists));
    change(&fixture, vec![point_at("books", BOOKS)]).await.unwrap();
    assert_eq!(code(fixture.client.create_collection(layout("books")).await), Code::InvalidArgument);
    assert_eq!(change(&fixture, vec![point_at("second", "books")]).await, Err(Code::NotFound));
}

#[tokio::test]
async fn deleting_an_unknown_alias_is_no_fault_but_renaming_one_is() {
    let fixture = two_generations().await;
    assert_eq!(change(&fixture, vec![delete("nobody")]).await, Ok(()));
    assert_eq!(change(&fixture, vec![rename("nobody", "somebody")]).await, Err(Code::NotFound));
}
