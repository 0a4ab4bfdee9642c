//! A provider that cannot be reached, does not begin, or does not go on: what the client gets, and by when.

use std::time::{Duration, Instant};

use futures::future::join;
use lectern_tests::black_hole::BlackHole;
use lectern_tests::lectern::{Event, Lectern, Reply};
use lectern_tests::provider::{Ending, Provider};
use lectern_tests::world::World;
use serde_json::{Value, json};

use super::{question, served};

/// Deadline of every ask here: what takes this long was ended by it and by nothing else.
const DEADLINE: Duration = Duration::from_secs(25);
/// By when an answer must have come that something shorter than the deadline is to end.
const SOON: Duration = Duration::from_secs(12);
/// Silence that makes an endpoint count as stalled.
const SILENCE_MS: &str = "400";
/// The same where it is not to: far above what is waited for here.
const PATIENT_MS: &str = "60000";

/// A server whose chat model is at `url`, with so much patience for the first token and for those behind it.
async fn with_model_at(url: Option<&str>, first_token_ms: &str, stall_ms: &str) -> (World, Lectern) {
    let mut settings =
        vec![("LECTERN_LLM__FIRST_TOKEN_MS", first_token_ms), ("LECTERN_LLM__STALL_MS", stall_ms)];
    settings.extend(url.map(|url| ("LECTERN_LLM__URL", url)));
    served_by(&settings).await
}

/// The model's address in the settings takes the place of the world's own.
async fn served_by(settings: &[(&str, &str)]) -> (World, Lectern) {
    served(World::embedded().await, settings).await
}

fn ask(number: usize) -> Value {
    let mut body = question(number);
    body["deadline_ms"] = json!(DEADLINE.as_millis());
    body
}

/// Asks, and sees the answer soon.
async fn soon(server: &Lectern, path: &str, body: &Value) -> Reply {
    let began = Instant::now();
    let reply = server.post(path, body).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    reply
}

fn is_unavailable(reply: &Reply, code: &str) {
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (503, &json!(code)), "{}", reply.body);
    assert!(reply.headers.contains_key("retry-after"));
}

/// Asks for a stream, and sees its end soon: the text that was told, and the last event.
async fn stream_soon(server: &Lectern, body: &Value) -> (String, Event) {
    let began = Instant::now();
    let events = server.stream(body).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let deltas = events.iter().filter(|event| event.name == "delta");
    let text = deltas.map(|event| event.data["text"].as_str().unwrap()).collect();
    (text, events.last().unwrap().clone())
}

#[tokio::test]
async fn a_timeout_on_connect() {
    let hole = BlackHole::open().await;
    let (_world, server) = with_model_at(Some(&hole.url()), PATIENT_MS, PATIENT_MS).await;
    let (plain, streamed) = (ask(1), ask(2));
    let (reply, (text, last)) = join(soon(&server, "/v1/ask", &plain), stream_soon(&server, &streamed)).await;
    is_unavailable(&reply, "llm_unavailable");
    assert_eq!(
        (text.as_str(), last.name.as_str(), &last.data["status"]),
        ("", "error", &json!(503)),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_timeout_on_connect_to_the_embedder() {
    let hole = BlackHole::open().await;
    let (mut world, first) = served_by(&[]).await;
    first.kill();
    world.set("LECTERN_EMBEDDER__URL", &hole.url());
    let server = world.serve();
    server.ready().await;
    let search = |mode: &str| json!({ "query": "port", "mode": mode, "deadline_ms": DEADLINE.as_millis() });
    let (dense, hybrid) = (search("dense"), search("hybrid"));
    let (dense, hybrid) =
        join(soon(&server, "/v1/search", &dense), soon(&server, "/v1/search", &hybrid)).await;
    is_unavailable(&dense, "embedder_unavailable");
    assert_eq!((hybrid.status.as_u16(), &hybrid.body["degraded"]), (200, &json!(["dense_skipped"])));
}

#[tokio::test]
async fn a_timeout_on_the_first_byte() {
    let (world, server) = with_model_at(None, SILENCE_MS, PATIENT_MS).await;
    world.provider.set(|knobs| knobs.silent = true);
    is_unavailable(&soon(&server, "/v1/ask", &ask(1)).await, "llm_unavailable");
    // Headers alone are no beginning.
    world.provider.set(|knobs| {
        knobs.silent = false;
        knobs.delay_before_first_token = Duration::from_mins(5);
    });
    is_unavailable(&soon(&server, "/v1/ask", &ask(2)).await, "llm_unavailable");
    assert_eq!(world.provider.chat().calls, 2, "who was silent once is not asked again for the same answer");
}

#[tokio::test]
async fn a_timeout_in_mid_stream() {
    let (world, server) = with_model_at(None, PATIENT_MS, SILENCE_MS).await;
    for (number, ending) in [Ending::StallAfter(9), Ending::BreakAfter(9)].into_iter().enumerate() {
        world.provider.set(|knobs| {
            knobs.answer = Some("It listens on port 7443 [1]. And then nothing comes any more.".to_owned());
            knobs.ending = ending;
        });
        let (text, last) = stream_soon(&server, &ask(number)).await;
        assert_eq!(
            (last.name.as_str(), &last.data["code"]),
            ("error", &json!("llm_unavailable")),
            "{last:?}"
        );
        assert_eq!(last.data["delivered"], json!({ "answer": text, "citations": 1 }), "{last:?}");
        assert!(text.contains("7443"), "{text}");
        // A plain ask gets no half of an answer, and nothing of it is kept.
        is_unavailable(&soon(&server, "/v1/ask", &ask(number)).await, "llm_unavailable");
    }
    assert_eq!(world.provider.chat().calls, 4, "there is no other try after the first token");
}

/// A server with a second model, which stands in for the first.
async fn with_stand_in(settings: &[(&str, &str)]) -> (World, Provider, Lectern) {
    let stand_in = Provider::start().await.unwrap();
    let url = stand_in.url();
    let mut all = vec![
        ("LECTERN_LLM__FALLBACK__0__KIND", "openai"),
        ("LECTERN_LLM__FALLBACK__0__URL", url.as_str()),
        ("LECTERN_LLM__FALLBACK__0__MODEL", "stand-in"),
    ];
    all.extend(settings);
    let (world, server) = served_by(&all).await;
    (world, stand_in, server)
}

fn is_by_the_stand_in(reply: &Reply) {
    let said = (reply.status.as_u16(), &reply.body["model"], &reply.body["degraded"], &reply.body["cache"]);
    assert_eq!(said, (200, &json!("stand-in"), &json!(["fallback_llm"]), &json!("miss")), "{}", reply.body);
    assert!(reply.body["answer"].as_str().unwrap().contains("7443"));
}

#[tokio::test]
async fn a_stalled_provider() {
    let (world, stand_in, server) = with_stand_in(&[("LECTERN_LLM__FIRST_TOKEN_MS", SILENCE_MS)]).await;
    world.provider.set(|knobs| knobs.silent = true);
    is_by_the_stand_in(&soon(&server, "/v1/ask", &ask(1)).await);
    // It is not kept as if it were what was configured: the next one who asks gets the first model again.
    is_by_the_stand_in(&soon(&server, "/v1/ask", &ask(1)).await);
    assert_eq!(stand_in.chat().calls, 2);
    world.provider.set(|knobs| knobs.silent = false);
    let healed = soon(&server, "/v1/ask", &ask(1)).await.body;
    let said = (&healed["model"], &healed["degraded"], &healed["cache"]);
    assert_eq!(said, (&json!("mock-chat"), &json!([]), &json!("miss")), "{healed}");
    assert_eq!(soon(&server, "/v1/ask", &ask(1)).await.body["cache"], "hit");
}

#[tokio::test]
async fn a_stalled_provider_is_replaced_before_the_deadline_however_patient_the_server_is() {
    let (world, _stand_in, server) = with_stand_in(&[("LECTERN_LLM__FIRST_TOKEN_MS", PATIENT_MS)]).await;
    world.provider.set(|knobs| knobs.silent = true);
    let mut body = ask(1);
    body["deadline_ms"] = json!(3_000);
    is_by_the_stand_in(&soon(&server, "/v1/ask", &body).await);
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_replaced() {
    let hole = BlackHole::open().await;
    let (_world, _stand_in, server) = with_stand_in(&[("LECTERN_LLM__URL", &hole.url())]).await;
    is_by_the_stand_in(&soon(&server, "/v1/ask", &ask(1)).await);
}
