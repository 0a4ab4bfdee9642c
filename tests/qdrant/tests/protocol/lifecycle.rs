//! The server itself: keys, knobs, stops and starts, many callers at once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lectern_test_qdrant::{Calls, Failure, TestQdrant};
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{
    CountPointsBuilder, CreateAliasBuilder, CreateFieldIndexCollectionBuilder, DeletePointsBuilder,
    FieldType, Filter, Query, QueryPointsBuilder, UpdateCollectionBuilder, UpsertPointsBuilder,
};
use serde_json::json;
use tonic::Code;

use crate::{BOOKS, book, client, code, empty, id, layout, metadata, refusal, stored, with_books};

async fn count(client: &Qdrant, name: &str) -> Result<u64, Code> {
    match client.count(CountPointsBuilder::new(name).exact(true)).await {
        Ok(response) => Ok(response.result.unwrap().count),
        failed => Err(code(failed)),
    }
}

#[tokio::test]
async fn it_says_that_it_is_healthy_and_which_release_it_stands_for() {
    let fixture = empty().await;
    let reply = fixture.client.health_check().await.unwrap();
    assert_eq!((reply.title.as_str(), reply.version.as_str()), ("qdrant - vector search engine", "1.19.0"));
}

#[tokio::test]
async fn without_its_key_nothing_but_the_health_check_passes() {
    let server = TestQdrant::builder().api_key("full").start().await.unwrap();
    assert_eq!(code(client(&server.url(), None).list_collections().await), Code::Unauthenticated);
    assert_eq!(code(client(&server.url(), Some("wrong")).list_collections().await), Code::Unauthenticated);
    client(&server.url(), None).health_check().await.unwrap();
    client(&server.url(), Some("full")).create_collection(layout(BOOKS)).await.unwrap();
}

#[tokio::test]
async fn the_read_only_key_reads_and_never_writes() {
    let builder = TestQdrant::builder().api_key("full").read_only_api_key("read");
    let server = builder.start().await.unwrap();
    let writer = client(&server.url(), Some("full"));
    writer.create_collection(layout(BOOKS)).await.unwrap();
    writer.create_alias(CreateAliasBuilder::new(BOOKS, "books")).await.unwrap();

    let reader = client(&server.url(), Some("read"));
    assert_eq!(count(&reader, "books").await, Ok(0));
    assert_eq!(reader.list_aliases().await.unwrap().aliases.len(), 1);
    assert!(reader.collection_info("books").await.is_ok() && reader.collection_exists(BOOKS).await.unwrap());
    assert!(reader.query(QueryPointsBuilder::new(BOOKS)).await.is_ok());

    let points = vec![book(1, [1.0; 4], &[], json!({}))];
    let refused = [
        code(reader.create_collection(layout("other")).await),
        code(reader.delete_collection(BOOKS).await),
        code(
            reader.update_collection(UpdateCollectionBuilder::new(BOOKS).metadata(metadata(json!({})))).await,
        ),
        code(reader.create_alias(CreateAliasBuilder::new(BOOKS, "mine")).await),
        code(reader.delete_alias("books").await),
        code(reader.upsert_points(UpsertPointsBuilder::new(BOOKS, points)).await),
        code(reader.delete_points(DeletePointsBuilder::new(BOOKS).points(Filter::default())).await),
        code(
            reader
                .create_field_index(CreateFieldIndexCollectionBuilder::new(BOOKS, "a", FieldType::Bool))
                .await,
        ),
    ];
    assert_eq!(refused, [Code::PermissionDenied; 8]);
    assert_eq!(count(&writer, BOOKS).await, Ok(0));
}

#[tokio::test]
async fn its_data_outlives_a_stop_on_the_same_port() {
    let folder = tempfile::tempdir().unwrap();
    let first = TestQdrant::builder().directory(folder.path()).start().await.unwrap();
    let port = first.port();
    let old = client(&first.url(), None);
    old.create_collection(layout(BOOKS)).await.unwrap();
    old.create_collection(layout("gone")).await.unwrap();
    let points = vec![book(1, [1.0; 4], &[(5, 1.0)], json!({"lang": "en"}))];
    old.upsert_points(UpsertPointsBuilder::new(BOOKS, points).wait(true)).await.unwrap();
    old.create_alias(CreateAliasBuilder::new(BOOKS, "books")).await.unwrap();
    old.update_collection(UpdateCollectionBuilder::new(BOOKS).metadata(metadata(json!({"manifest": "two"}))))
        .await
        .unwrap();
    old.delete_collection("gone").await.unwrap();
    first.stop().await;
    // The client's word for a connection that it cannot make.
    assert_eq!(count(&old, "books").await, Err(Code::Internal));

    let second = TestQdrant::builder().directory(folder.path()).port(port).start().await.unwrap();
    assert_eq!(second.port(), port);
    assert_eq!(count(&old, "books").await, Ok(1));
    let info = old.collection_info(BOOKS).await.unwrap().result.unwrap();
    assert_eq!(info.config.unwrap().metadata, stored(json!({"manifest": "two", "kept": 7})));
    assert_eq!(old.list_collections().await.unwrap().collections.len(), 1);
    let query = QueryPointsBuilder::new("books").query(Query::new_nearest(vec![1.0; 4])).using("dense");
    assert_eq!(old.query(query).await.unwrap().result.iter().map(id).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = TestQdrant::start().await;
    let error = TestQdrant::builder().port(first.port()).start().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{}", first.port()));
}

#[tokio::test]
async fn stopping_lets_calls_in_flight_end() {
    let fixture = with_books().await;
    fixture.server.knobs().delay("Count", Duration::from_millis(300));
    let client = fixture.client.clone();
    let slow = tokio::spawn(async move { count(&client, BOOKS).await });
    while fixture.server.calls("Count") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.server.stop().await;
    assert_eq!(slow.await.unwrap(), Ok(6));
}

#[tokio::test]
async fn dropping_it_does_not_wait_for_a_stalled_call() {
    let fixture = with_books().await;
    fixture.server.knobs().delay(Calls::Every, Duration::from_hours(1));
    let client = fixture.client.clone();
    let stalled = tokio::spawn(async move { count(&client, BOOKS).await });
    while fixture.server.calls("Count") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = Instant::now();
    drop(fixture.server);
    assert!(stalled.await.unwrap().is_err());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn calls_are_counted_delayed_and_failed_as_a_test_asks() {
    let fixture = with_books().await;
    let (server, client) = (&fixture.server, &fixture.client);
    server.knobs().forget_calls();
    assert_eq!(count(client, BOOKS).await, Ok(6));
    assert_eq!((server.calls("Count"), server.calls("Points/Count"), server.calls("Query")), (1, 1, 0));

    server.knobs().fail_next("Count", 2, Failure::Late);
    assert!(client.list_collections().await.is_ok());
    assert_eq!(count(client, BOOKS).await, Err(Code::DeadlineExceeded));
    assert_eq!(count(client, BOOKS).await, Err(Code::DeadlineExceeded));
    assert_eq!(count(client, BOOKS).await, Ok(6));

    server.knobs().fail_share(Calls::Every, 0.5, Failure::RateLimited);
    assert_eq!(count(client, BOOKS).await, Ok(6));
    assert_eq!(refusal(client.list_collections().await).0, Code::ResourceExhausted);
    server.knobs().heal();

    server.knobs().delay("Count", Duration::from_millis(120));
    let started = Instant::now();
    assert_eq!(count(client, BOOKS).await, Ok(6));
    assert!(Duration::from_millis(120) <= started.elapsed());
}

#[tokio::test]
async fn the_client_hides_one_unavailability_of_a_read_by_calling_again() {
    let fixture = with_books().await;
    fixture.server.knobs().forget_calls();
    fixture.server.knobs().fail_next("Count", 1, Failure::Unavailable);
    assert_eq!(count(&fixture.client, BOOKS).await, Ok(6));
    assert_eq!(fixture.server.calls("Count"), 2);
    fixture.server.knobs().fail_next("Count", 2, Failure::Unavailable);
    assert_eq!(count(&fixture.client, BOOKS).await, Err(Code::Unavailable));
}

// The clients' connections end on other threads while this one waits for the program.
#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_where_it_listens_and_keeps_its_data_when_it_is_terminated() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Program::start(folder.path());
    client(&first.url, Some("k")).create_collection(layout(BOOKS)).await.unwrap();
    assert_eq!(code(client(&first.url, None).list_collections().await), Code::Unauthenticated);
    assert!(first.terminate().success());
    let mut second = Program::start(folder.path());
    assert!(client(&second.url, Some("k")).collection_exists(BOOKS).await.unwrap());
    assert!(second.terminate().success());
}

struct Program {
    process: Child,
    url: String,
}

impl Program {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lectern-test-qdrant"))
            .args(["--port", "0", "--api-key", "k", "--dir"])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, url }
    }

    fn terminate(&mut self) -> ExitStatus {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        self.process.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone, unless the test failed before it ended the program.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn searches_during_deletes_end_or_find_nothing_of_that_name() {
    let fixture = with_books().await;
    let searches = (0..8).map(|_| {
        let client = fixture.client.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let query =
                    QueryPointsBuilder::new(BOOKS).query(Query::new_nearest(vec![1.0; 4])).using("dense");
                match client.query(query).await {
                    Ok(response) => assert_eq!(response.result.len(), 6),
                    failed => {
                        assert_eq!(code(failed), Code::NotFound);
                        return;
                    }
                }
            }
        })
    });
    let searches = searches.collect::<Vec<_>>();
    while fixture.server.calls("Query") < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.client.delete_collection(BOOKS).await.unwrap();
    assert_eq!(count(&fixture.client, BOOKS).await, Err(Code::NotFound));
    for search in searches {
        search.await.unwrap();
    }
}
