//! Conversations as clients see them: what was said before reaches search and prompt, order is kept, replicas share them,
//! what is erased is gone, and a database that is down takes nothing else with it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is a failed test")]

use std::time::{Duration, Instant};

use futures::future::join_all;
use lectern_tests::cut::Cut;
use lectern_tests::lectern::{Lectern, Reply};
use lectern_tests::postgres;
use lectern_tests::provider::Provider;
use lectern_tests::world::World;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const PORT: &str = "On which port does the gateway listen?";

/// A world with two documents and a chat model, on the Qdrant test server: several servers can read it.
async fn world() -> World {
    let world = World::remote().await.with_llm();
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 7443. Its metrics are on port 9100.\n");
    world.write("keys.md", "# Keys\n\nKeys expire after ninety days. Rotate them before.\n");
    world.publish().await;
    world
}

async fn served(world: &World) -> Lectern {
    let server = world.serve();
    server.ready().await;
    server
}

async fn session(server: &Lectern) -> String {
    let reply = server.post("/v1/sessions", &json!({})).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.body["session_id"].as_str().unwrap().to_owned()
}

fn question(session: &str, text: &str) -> Value {
    json!({ "question": text, "session_id": session })
}

async fn ask(server: &Lectern, session: &str, text: &str) -> Value {
    let reply = server.post("/v1/ask", &question(session, text)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["session_id"], session);
    reply.body
}

async fn turns(server: &Lectern, session: &str) -> Vec<Value> {
    let reply = server.get(&format!("/v1/sessions/{session}/turns")).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body["turns"].as_array().unwrap().clone()
}

/// Looks again until `look` sees it.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the session has a turn in each of these states.
async fn states(server: &Lectern, session: &str, expected: &[&str]) {
    until(&format!("{expected:?}"), async || {
        let turns = turns(server, session).await;
        let states: Vec<&str> = turns.iter().map(|turn| turn["state"].as_str().unwrap()).collect();
        (states == expected).then_some(())
    })
    .await;
}

/// What the last message of each chat call said.
fn prompts(provider: &Provider) -> Vec<String> {
    let chats = provider.requests().into_iter().filter(|call| call.path.ends_with("completions"));
    chats
        .map(|call| call.body["messages"].as_array().unwrap().last().unwrap()["content"].to_string())
        .collect()
}

fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (status, Some(code)), "{}", reply.body);
    assert_eq!(reply.headers.contains_key("retry-after"), status == 503);
}

#[tokio::test]
async fn what_was_said_reaches_the_prompt_and_the_rewritten_question_the_search() {
    let world = world().await;
    let server = served(&world).await;
    let id = session(&server).await;
    let first = ask(&server, &id, PORT).await;
    assert!(first["answer"].as_str().unwrap().contains("7443"), "{first}");
    let second = ask(&server, &id, "And its metrics?").await;
    assert_eq!(second["degraded"], json!([]));
    let rewritten = format!("And its metrics? ({PORT})");
    let embedded =
        world.provider.requests().into_iter().rfind(|call| call.path.ends_with("embeddings")).unwrap();
    assert_eq!(embedded.body["input"], json!([rewritten]));
    let prompt = prompts(&world.provider).pop().unwrap();
    for part in [
        "Asked: On which port",
        "Answered: The gateway listens on port 7443.",
        &format!("That is: {rewritten}"),
    ] {
        assert!(prompt.contains(part), "{part} in {prompt}");
    }
    let turns = turns(&server, &id).await;
    assert_eq!(
        (&turns[1]["question"], &turns[1]["standalone_question"]),
        (&json!("And its metrics?"), &json!(rewritten))
    );
    assert_eq!(turns[1]["answer"], second["answer"]);
    assert!(turns[0].get("standalone_question").is_none(), "{}", turns[0]);
    assert!(second["timings_ms"]["rewrite"].is_number(), "{second}");
}

#[tokio::test]
async fn a_question_that_stands_alone_costs_no_rewriting() {
    let world = world().await;
    let server = served(&world).await;
    let id = session(&server).await;
    ask(&server, &id, PORT).await;
    let second = ask(&server, &id, "When do API keys expire?").await;
    assert_eq!((world.provider.chat().calls, &second["degraded"]), (2, &json!([])));
    assert!(second["answer"].as_str().unwrap().contains("ninety"), "{second}");
}

#[tokio::test]
async fn rewriting_that_was_needed_and_left_out_is_declared() {
    let world = world().await;
    let server = served(&world).await;
    let id = session(&server).await;
    ask(&server, &id, PORT).await;
    world.provider.set(|knobs| knobs.rewritten = Some("Sure!\nHere is your question.".into()));
    let garbled = ask(&server, &id, "And its metrics?").await;
    assert_eq!(garbled["degraded"], json!(["rewrite_skipped"]));
    let calls = world.provider.chat().calls;
    let hurried = json!({ "question": "And its alias?", "session_id": id, "deadline_ms": 600 });
    let hurried = server.post("/v1/ask", &hurried).await;
    assert_eq!((hurried.status.as_u16(), &hurried.body["degraded"]), (200, &json!(["rewrite_skipped"])));
    assert_eq!(world.provider.chat().calls, calls + 1);
    let embedded =
        world.provider.requests().into_iter().rfind(|call| call.path.ends_with("embeddings")).unwrap();
    assert_eq!(embedded.body["input"], json!(["And its alias? And its metrics?"]));
}

#[tokio::test]
async fn without_a_model_a_follow_up_is_searched_with_the_question_before_it() {
    let world = World::embedded().await;
    world.write("ports.md", "# Ports\n\nThe gateway listens on port 7443.\n");
    world.write("keys.md", "# Keys\n\nKeys expire after ninety days.\n");
    world.publish().await;
    let server = served(&world).await;
    let id = session(&server).await;
    ask(&server, &id, PORT).await;
    let second = ask(&server, &id, "Why that one?").await;
    assert!(second["answer"].as_str().unwrap().contains("7443"), "{second}");
    assert_eq!((&second["degraded"], &second["model"]), (&json!([]), &json!("extractive")));
}

#[tokio::test]
async fn a_session_can_be_looked_at_and_exported_in_pages() {
    let world = world().await;
    let server = served(&world).await;
    let created = server.post_raw("/v1/sessions", "").await;
    assert_eq!(created.status, 201);
    let id = created.body["session_id"].as_str().unwrap();
    assert_eq!(created.headers["location"], format!("/v1/sessions/{id}").as_str());
    for text in [PORT, "When do keys expire?", "When must keys be rotated?"] {
        ask(&server, id, text).await;
    }
    let looked = server.get(&format!("/v1/sessions/{id}")).await.body;
    assert_eq!((&looked["created_at"], &looked["turns"]), (&created.body["created_at"], &json!(3)));
    assert!(looked["expires_at"].as_str() > created.body["expires_at"].as_str(), "{looked}");
    let page = server.get(&format!("/v1/sessions/{id}/turns?limit=2")).await.body;
    assert_eq!((page["turns"].as_array().unwrap().len(), &page["next"]), (2, &json!(2)));
    let turn = &page["turns"][0];
    assert_eq!(
        (&turn["number"], &turn["state"], &turn["question"]),
        (&json!(1), &json!("answered"), &json!(PORT))
    );
    assert_eq!(turn["citations"][0]["document_id"], "documents/ports.md");
    assert!(turn["generation"].as_str().unwrap().starts_with("docs@"), "{turn}");
    assert!(
        turn["usage"]["completion_tokens"].as_u64().unwrap() > 0 && turn["ended_at"].is_string(),
        "{turn}"
    );
    let rest = server.get(&format!("/v1/sessions/{id}/turns?limit=2&after=2")).await.body;
    assert_eq!((rest["turns"].as_array().unwrap().len(), rest.get("next")), (1, None));
}

#[tokio::test]
async fn what_is_no_session_is_refused_with_the_reason() {
    let world = world().await;
    let server = served(&world).await;
    let nobodys = "00000000-0000-4000-8000-000000000000";
    for path in
        [format!("/v1/sessions/{nobodys}"), "/v1/sessions/x".into(), format!("/v1/sessions/{nobodys}/turns")]
    {
        refused(&server.get(&path).await, 404, "unknown_session");
    }
    refused(&server.post("/v1/ask", &question(nobodys, PORT)).await, 404, "unknown_session");
    let bad = server.post("/v1/ask", &question("mine", PORT)).await;
    refused(&bad, 422, "invalid_value");
    assert_eq!(bad.body["field"], "session_id");
    refused(&server.post("/v1/sessions", &json!({ "tenant": "x" })).await, 422, "invalid_value");
    refused(&server.get("/v1/sessions").await, 405, "method_not_allowed");
    let id = session(&server).await;
    for query in ["limit=0", "limit=201", "after=-1", "before=3"] {
        refused(&server.get(&format!("/v1/sessions/{id}/turns?{query}")).await, 422, "invalid_value");
    }
    assert_eq!(world.provider.chat().calls, 0);
}

#[tokio::test]
async fn two_questions_of_one_session_at_once_keep_their_order_across_replicas() {
    let world = world().await;
    let (one, other) = (served(&world).await, served(&world).await);
    let id = session(&one).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_millis(700));
    let first = ask(&one, &id, PORT);
    let second = async {
        states(&other, &id, &["open"]).await;
        ask(&other, &id, "And its metrics?").await
    };
    let third = async {
        states(&one, &id, &["open", "open"]).await;
        ask(&one, &id, "And its keys?").await
    };
    futures::join!(first, second, third);
    let turns = turns(&one, &id).await;
    let questions: Vec<&str> = turns.iter().map(|turn| turn["question"].as_str().unwrap()).collect();
    assert_eq!(questions, [PORT, "And its metrics?", "And its keys?"]);
    let time = |turn: &Value, name: &str| turn[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(time(&turns[1], "began_at") < time(&turns[0], "ended_at"), "not at once: {turns:?}");
    let last = prompts(&world.provider).pop().unwrap();
    assert!(last.contains(&format!("Asked: {PORT}")) && last.contains("Asked: And its metrics?"), "{last}");
}

async fn replicas_share(mut world: World, url: Option<&str>) {
    if let Some(url) = url {
        world.set("LECTERN_SQL__URL", url);
    }
    let (one, other) = (served(&world).await, served(&world).await);
    let id = session(&one).await;
    ask(&one, &id, PORT).await;
    ask(&other, &id, "And its metrics?").await;
    assert!(prompts(&world.provider).pop().unwrap().contains(&format!("Asked: {PORT}")));
    assert_eq!(turns(&one, &id).await, turns(&other, &id).await);
    assert_eq!(turns(&one, &id).await.len(), 2);
    let erased = other.http().delete(format!("{}/v1/sessions/{id}", other.url())).send().await.unwrap();
    assert_eq!(erased.status(), 204);
    refused(&one.post("/v1/ask", &question(&id, "And now?")).await, 404, "unknown_session");
}

#[tokio::test]
async fn two_replicas_share_a_session_on_sqlite() {
    replicas_share(world().await, None).await;
}

#[tokio::test]
async fn two_replicas_share_a_session_on_postgresql() {
    let database = postgres::database().await;
    replicas_share(world().await, Some(&database.url)).await;
}

#[tokio::test]
async fn server_and_ingest_open_a_new_database_at_once() {
    for url in [None, Some(postgres::database().await.url)] {
        let mut world = World::remote().await;
        if let Some(url) = &url {
            world.set("LECTERN_SQL__URL", url);
        }
        world.write("ports.md", "# Ports\n\nThe gateway listens on port 7443.\n");
        let servers = [world.serve(), world.serve(), world.serve()];
        world.publish().await;
        for server in &servers {
            server.ready().await;
            ask(server, &session(server).await, PORT).await;
        }
    }
}

#[tokio::test]
async fn a_crashed_replica_holds_its_session_no_longer_than_its_lease() {
    let mut world = world().await;
    world.set("LECTERN_SESSION__LEASE_MS", "1500");
    let (one, other) = (served(&world).await, served(&world).await);
    let id = session(&one).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_mins(1));
    let hanging = one.http().post(format!("{}/v1/ask", one.url())).json(&question(&id, PORT)).send();
    let hanging = tokio::spawn(hanging);
    states(&other, &id, &["open"]).await;
    one.kill();
    assert!(hanging.await.unwrap().is_err());
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::ZERO);
    ask(&other, &id, "When do keys expire?").await;
    states(&other, &id, &["failed", "answered"]).await;
}

#[tokio::test]
async fn a_living_replica_holds_its_session_for_longer_than_a_lease() {
    let mut world = world().await;
    world.set("LECTERN_SESSION__LEASE_MS", "600");
    let (one, other) = (served(&world).await, served(&world).await);
    let id = session(&one).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_millis(2_500));
    let second = async {
        states(&other, &id, &["open"]).await;
        ask(&other, &id, "When do keys expire?").await
    };
    let (first, _) = futures::join!(ask(&one, &id, PORT), second);
    assert_eq!(first["degraded"], json!([]));
    assert!(prompts(&world.provider).pop().unwrap().contains(&format!("Asked: {PORT}")));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_leaves_a_failed_turn() {
    let world = world().await;
    let server = served(&world).await;
    let id = session(&server).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_mins(1));
    let mut body = question(&id, PORT);
    body["stream"] = json!(true);
    let response = server.http().post(format!("{}/v1/ask", server.url())).json(&body).send().await.unwrap();
    states(&server, &id, &["open"]).await;
    drop(response);
    states(&server, &id, &["failed"]).await;
    assert_eq!(turns(&server, &id).await[0]["answer"], Value::Null);
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::ZERO);
    ask(&server, &id, PORT).await;
}

#[tokio::test]
async fn a_client_that_leaves_after_the_answer_was_made_has_it_saved_once() {
    let world = world().await;
    let server = served(&world).await;
    let id = session(&server).await;
    // More than all buffers between server and client hold: a client that does not read cannot have seen the end.
    let long = ["a".repeat(4_000), " ".to_owned()].concat().repeat(4_000);
    world.provider.set(|knobs| knobs.answer = Some(long.clone()));
    let mut body = question(&id, PORT);
    body["stream"] = json!(true);
    let response = server.http().post(format!("{}/v1/ask", server.url())).json(&body).send().await.unwrap();
    until("the whole answer", async || server.log().contains("answer made").then_some(())).await;
    states(&server, &id, &["open"]).await;
    drop(response);
    states(&server, &id, &["answered"]).await;
    let answer = turns(&server, &id).await.pop().unwrap()["answer"].take();
    assert!(answer.as_str() == Some(&long), "not the whole answer");
}

#[tokio::test]
async fn a_failed_answer_is_a_failed_turn_that_later_questions_do_not_see() {
    let world = world().await;
    let server = served(&world).await;
    let id = session(&server).await;
    world.provider.set(|knobs| knobs.failures = vec![lectern_tests::provider::Failure::always(500)]);
    let failed = json!({ "question": "Rumpelstiltskin's keys?", "session_id": id, "mode": "sparse" });
    assert_eq!(server.post("/v1/ask", &failed).await.status, 503);
    world.provider.set(|knobs| knobs.failures.clear());
    ask(&server, &id, PORT).await;
    states(&server, &id, &["failed", "answered"]).await;
    assert!(!prompts(&world.provider).pop().unwrap().contains("Rumpelstiltskin"));
}

#[tokio::test]
async fn equal_questions_share_an_answer_only_after_equal_conversations() {
    let world = world().await;
    let server = served(&world).await;
    let (one, two, other) = (session(&server).await, session(&server).await, session(&server).await);
    assert_eq!(ask(&server, &one, PORT).await["cache"], "miss");
    let hit = ask(&server, &two, PORT).await;
    assert_eq!(hit["cache"], "hit");
    ask(&server, &other, "When do keys expire?").await;
    assert_eq!(ask(&server, &one, "And why?").await["cache"], "miss");
    assert_eq!(ask(&server, &two, "And why?").await["cache"], "hit");
    assert_eq!(ask(&server, &other, "And why?").await["cache"], "miss");
    let streamed = server.stream(&question(&two, "Why that?")).await;
    assert_eq!(streamed[0].data["session_id"], json!(two));
    let turns = turns(&server, &two).await;
    assert_eq!((turns.len(), &turns[0]["answer"]), (3, &hit["answer"]));
    assert_eq!(turns[0]["usage"], json!({ "prompt_tokens": 0, "completion_tokens": 0 }));
    assert_eq!(turns[2]["answer"], streamed.last().unwrap().data["answer"]);
}

#[tokio::test]
async fn an_erased_session_leaves_no_word_behind() {
    let mut world = world().await;
    world.set("LECTERN_SESSION__SWEEP_MS", "100");
    let server = served(&world).await;
    let id = session(&server).await;
    ask(&server, &id, "When do Rumpelstiltskin's keys expire?").await;
    let erased = server.http().delete(format!("{}/v1/sessions/{id}", server.url())).send().await.unwrap();
    assert_eq!(erased.status(), 204);
    refused(&server.get(&format!("/v1/sessions/{id}/turns")).await, 404, "unknown_session");
    let again = server.http().delete(format!("{}/v1/sessions/{id}", server.url())).send().await.unwrap();
    assert_eq!(again.status(), 404);
    let secret = b"Rumpelstiltskin";
    until("files without the word", async || {
        let files = ["lectern.db", "lectern.db-wal"].map(|name| world.path().join("data").join(name));
        let found = files.iter().any(|file| {
            std::fs::read(file).unwrap_or_default().windows(secret.len()).any(|bytes| bytes == secret)
        });
        (!found).then_some(())
    })
    .await;
    assert!(!server.log().contains("Rumpelstiltskin"));
}

#[tokio::test]
async fn an_expired_session_and_old_turns_are_deleted() {
    let mut world = world().await;
    world.set("LECTERN_SESSION__MAX_TURNS", "2");
    let keeping = served(&world).await;
    let id = session(&keeping).await;
    for text in [PORT, "When do keys expire?", "When must keys be rotated?"] {
        ask(&keeping, &id, text).await;
    }
    let numbers: Vec<u64> =
        turns(&keeping, &id).await.iter().map(|turn| turn["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 3]);
    world.set("LECTERN_SESSION__TTL_MS", "500");
    world.set("LECTERN_SESSION__SWEEP_MS", "100");
    let forgetting = served(&world).await;
    let short = session(&forgetting).await;
    until("the end of the session", async || {
        let reply = forgetting.get(&format!("/v1/sessions/{short}")).await;
        (reply.status == 404).then_some(())
    })
    .await;
    until("the sweeping", async || forgetting.log().contains("sessions swept").then_some(())).await;
    assert_eq!(turns(&forgetting, &id).await.len(), 2, "a session of the longer time lives on");
}

/// Sessions do not work, and all else does.
async fn without_sessions(server: &Lectern, known: Option<&str>) {
    refused(&server.post("/v1/sessions", &json!({})).await, 503, "sql_unavailable");
    if let Some(id) = known {
        refused(&server.post("/v1/ask", &question(id, PORT)).await, 503, "sql_unavailable");
        refused(&server.get(&format!("/v1/sessions/{id}")).await, 503, "sql_unavailable");
    }
    assert_eq!(server.post("/v1/ask", &json!({ "question": PORT })).await.status, 200);
    assert_eq!(server.post("/v1/search", &json!({ "query": PORT })).await.status, 200);
    let ready = until("readiness names the database", async || {
        let ready = server.admin("/ready").await;
        (ready.body["failing"][0]["dependency"] == "sql").then_some(ready)
    })
    .await;
    assert_eq!((ready.status.as_u16(), &ready.body["status"]), (200, &json!("degraded")));
    assert!(!ready.body.to_string().contains(postgres::PASSWORD), "{}", ready.body);
}

async fn with_sessions(server: &Lectern) {
    until("sessions", async || (server.post("/v1/sessions", &json!({})).await.status == 201).then_some(()))
        .await;
    until("readiness", async || (server.admin("/ready").await.body["status"] == "ready").then_some(())).await;
}

#[tokio::test]
async fn a_database_that_is_down_at_the_start_takes_sessions_alone_and_needs_no_restart() {
    let mut world = world().await;
    let in_the_way = world.path().join("in-the-way");
    std::fs::write(&in_the_way, "a file").unwrap();
    world.set("LECTERN_SQL__URL", &format!("sqlite:{}", in_the_way.join("lectern.db").display()));
    let server = served(&world).await;
    without_sessions(&server, Some("00000000-0000-4000-8000-000000000000")).await;
    std::fs::remove_file(&in_the_way).unwrap();
    with_sessions(&server).await;
    ask(&server, &session(&server).await, PORT).await;
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test]
async fn a_postgresql_that_is_cut_off_and_comes_back_takes_sessions_alone_and_needs_no_restart() {
    let database = postgres::database().await;
    let mut cut = Cut::before(&database.url).await;
    let mut world = world().await;
    world.set("LECTERN_SQL__URL", &cut.url);
    let server = served(&world).await;
    let id = session(&server).await;
    ask(&server, &id, PORT).await;
    cut.off().await;
    without_sessions(&server, Some(&id)).await;
    cut.on().await;
    with_sessions(&server).await;
    ask(&server, &id, "And its metrics?").await;
    assert_eq!(turns(&server, &id).await.len(), 2);
}

#[tokio::test]
async fn an_answer_that_cannot_be_saved_is_given_and_says_so() {
    let database = postgres::database().await;
    let mut cut = Cut::before(&database.url).await;
    let mut world = world().await;
    world.set("LECTERN_SQL__URL", &cut.url);
    world.set("LECTERN_SESSION__LEASE_MS", "1500");
    world.set("LECTERN_SESSION__SWEEP_MS", "200");
    let server = served(&world).await;
    let id = session(&server).await;
    world.provider.set(|knobs| knobs.delay_before_first_token = Duration::from_millis(1_500));
    let cutting = async {
        states(&server, &id, &["open"]).await;
        cut.off().await;
    };
    let (answer, ()) = futures::join!(ask(&server, &id, PORT), cutting);
    assert_eq!(answer["degraded"], json!(["turn_unsaved"]));
    assert!(answer["answer"].as_str().unwrap().contains("7443"), "{answer}");
    cut.on().await;
    with_sessions(&server).await;
    states(&server, &id, &["failed"]).await;
}

#[tokio::test]
async fn state_is_never_shared_between_a_thousand_concurrent_sessions() {
    const SESSIONS: usize = 1_000;
    let world = world().await;
    world.provider.set(|knobs| knobs.echo = true);
    let server = served(&world).await;
    // Every word of its own stands between the same words as all others, so that one that crosses would be seen.
    let code = |n: usize| format!("codeword{n:04}x");
    let conversations = (0..SESSIONS).map(|n| {
        let (server, own) = (&server, code(n));
        async move {
            let id = session(server).await;
            let first = ask(server, &id, &format!("Does {own} listen on the gateway's port?")).await;
            let second = ask(server, &id, "And what about its keys?").await;
            let kept = turns(server, &id).await;
            (own, [first["answer"].clone(), second["answer"].clone(), Value::from(kept)])
        }
    });
    for (own, told) in join_all(conversations).await {
        for text in told.map(|value| value.to_string()) {
            let seen: Vec<&str> =
                text.match_indices("codeword").map(|(at, _)| &text[at..at + own.len()]).collect();
            assert!(!seen.is_empty() && seen.iter().all(|seen| *seen == own), "{own} in {text}");
        }
    }
}
