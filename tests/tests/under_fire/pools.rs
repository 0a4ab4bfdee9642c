//! Fewer connections than requests: those that find none wait for one, and not without a bound.

use std::time::Instant;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use lectern_tests::lectern::Lectern;
use lectern_tests::postgres;
use lectern_tests::world::World;
use serde_json::{Value, json};

use super::{question, scaled, served};

/// Clients with a session each, who ask at the same time.
const SESSIONS: usize = 200;

async fn session(server: &Lectern) -> String {
    let reply = server.post("/v1/sessions", &json!({})).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.body["session_id"].as_str().unwrap().to_owned()
}

/// A conversation of two questions: each takes a place in the session, reads what was said before and saves its answer.
async fn converse(server: &Lectern, number: usize) {
    let id = session(server).await;
    for turn in 0..2 {
        let mut body = question(number * 2 + turn);
        body["session_id"] = json!(id);
        let reply = server.post("/v1/ask", &body).await;
        assert_eq!((reply.status.as_u16(), &reply.body["degraded"]), (200, &json!([])), "{}", reply.body);
    }
    let kept = server.get(&format!("/v1/sessions/{id}/turns")).await.body;
    let states: Vec<&Value> = kept["turns"].as_array().unwrap().iter().map(|turn| &turn["state"]).collect();
    assert_eq!(states, ["answered", "answered"]);
}

async fn many_sessions_on_few_connections(url: Option<String>, connections: &str) {
    let mut settings = vec![("LECTERN_SQL__MAX_CONNECTIONS", connections)];
    if let Some(url) = &url {
        settings.push(("LECTERN_SQL__URL", url));
    }
    let (_world, server) = served(World::embedded().await, &settings).await;
    let began = Instant::now();
    join_all((0..SESSIONS).map(|number| converse(&server, number))).await;
    println!("{SESSIONS} sessions on {connections} connections: {:?}", began.elapsed());
}

#[tokio::test]
async fn an_exhausted_pool_of_postgresql_connections() {
    many_sessions_on_few_connections(Some(postgres::database().await.url), "2").await;
}

#[tokio::test]
async fn an_exhausted_pool_of_sqlite_connections() {
    many_sessions_on_few_connections(None, "1").await;
}

#[tokio::test]
async fn connections_to_providers_are_used_again() {
    const CLIENTS: usize = 20;
    let (world, server) = served(World::embedded().await, &[]).await;
    let (before, questions) = (world.provider.connections(), scaled(500));
    let server = &server;
    let ask = |number: usize| async move {
        let body = json!({ "question": format!("On which port does gateway {number} listen?") });
        let reply = server.post("/v1/ask", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    };
    stream::iter(0..questions).map(ask).buffer_unordered(CLIENTS).collect::<Vec<()>>().await;
    let (chat, opened) = (world.provider.chat().calls, world.provider.connections() - before);
    println!("{opened} connections for {chat} answers and as many questions embedded");
    assert_eq!(chat, questions);
    // At most one for each call that is under way at once: an answer or an embedding for each client.
    assert!(opened <= CLIENTS * 2, "{opened} connections");
}
