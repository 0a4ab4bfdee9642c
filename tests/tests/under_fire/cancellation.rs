//! Work that goes on when nobody waits for it any more.

use std::time::{Duration, Instant};

use futures::StreamExt;
use lectern_tests::lectern::Lectern;
use lectern_tests::world::World;
use serde_json::{Value, json};

use super::{question, served, until};

/// A server with one place for answers, and a provider that takes half a minute for the first token.
async fn slow_provider() -> (World, Lectern) {
    let (world, server) = served(World::embedded().await, &[("LECTERN_LIMITS__CONCURRENCY", "1")]).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_secs(30));
    (world, server)
}

/// Begins an ask and leaves once the provider has been called.
async fn ask_and_leave(world: &World, server: &Lectern, body: &Value) {
    let calls = world.provider.chat().calls;
    let asking = server.post("/v1/ask", body);
    let called = until("the provider is called", async || world.provider.chat().calls, |now| *now > calls);
    tokio::select! {
        reply = asking => panic!("answered: {reply:?}"),
        _ = called => {}
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_plain_ask_ends_the_provider_s_call() {
    let (world, server) = slow_provider().await;
    ask_and_leave(&world, &server, &question(1)).await;
    let left = Instant::now();
    until("the call is closed", async || world.provider.chat(), |chat| chat.cancelled == 1).await;
    println!("closed {:?} after the client had gone", left.elapsed());
    // Its place is free again: the next ask gets to the provider.
    ask_and_leave(&world, &server, &question(2)).await;
    until("the log says so", async || server.log(), |log| log.contains("status=499")).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_the_provider_s_call() {
    let (world, server) = slow_provider().await;
    let body = json!({ "question": "On which port?", "stream": true, "mode": "sparse" });
    let response = server.http().post(format!("{}/v1/ask", server.url())).json(&body).send().await.unwrap();
    let mut events = response.bytes_stream();
    assert!(events.next().await.unwrap().is_ok());
    until("the provider is called", async || world.provider.chat().calls, |calls| *calls == 1).await;
    drop(events);
    until("the call is closed", async || world.provider.chat(), |chat| chat.cancelled == 1).await;
    ask_and_leave(&world, &server, &question(2)).await;
}

#[tokio::test]
async fn a_client_that_leaves_a_search_frees_its_place() {
    let settings = [("LECTERN_LIMITS__SEARCH_CONCURRENCY", "1"), ("LECTERN_LIMITS__SEARCH_QUEUE", "0")];
    let (world, server) = served(World::embedded().await, &settings).await;
    world.provider.set(|knobs| knobs.delay_before_headers = Duration::from_secs(30));
    let embedded = world.provider.embeddings().calls;
    let search = json!({ "query": "port", "mode": "dense" });
    let asking = server.post("/v1/search", &search);
    let called =
        until("the embedder is called", async || world.provider.embeddings().calls, |now| *now > embedded);
    tokio::select! {
        reply = asking => panic!("answered: {reply:?}"),
        _ = called => {}
    }
    let next = async || server.post("/v1/search", &json!({ "query": "port", "mode": "sparse" })).await.status;
    until("the place is free", next, |status| *status == 200).await;
}

#[tokio::test]
async fn the_work_goes_on_until_the_last_of_those_who_asked_the_same_has_left() {
    let (world, server) = slow_provider().await;
    let body = question(1);
    let mut second = Box::pin(server.post("/v1/ask", &body));
    {
        let first = ask_and_leave(&world, &server, &body);
        tokio::select! {
            () = first => {}
            reply = &mut second => panic!("answered: {reply:?}"),
        }
    }
    // The first has left; the second still waits for the same call.
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!((world.provider.chat().calls, world.provider.chat().cancelled), (1, 0));
    drop(second);
    until("the call is closed", async || world.provider.chat(), |chat| chat.cancelled == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_stream_is_hung_up_on() {
    let settings = [("LECTERN_HTTP__SLOW_READER_MS", "200"), ("LECTERN_LIMITS__CONCURRENCY", "1")];
    let (world, server) = served(World::embedded().await, &settings).await;
    // More text than the kernel keeps for a reader that does not come, so that the server has to wait for it.
    let token = "x".repeat(20_000) + " ";
    world.provider.set(|knobs| knobs.answer = Some(token.repeat(500)));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let body =
        json!({ "question": "On which port?", "stream": true, "mode": "sparse", "deadline_ms": 5_000 });
    let body = body.to_string();
    let request = format!(
        "POST /v1/ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
    until("it is hung up on", async || server.log(), |log| log.contains("slow reader hung up on")).await;
    // What the kernel still holds for the reader ends before the answer does.
    let mut received = Vec::new();
    let rest = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut received);
    let _ended = tokio::time::timeout(Duration::from_secs(8), rest).await.unwrap();
    assert!(!String::from_utf8_lossy(&received).contains("event: done"), "the whole answer was sent");
    let held = async || server.metrics().await;
    until("the place is free", held, |metrics| metrics.contains("lectern_work_running{work=\"ask\"} 0"))
        .await;
}
