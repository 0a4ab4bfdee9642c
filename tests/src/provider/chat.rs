//! `/v1/chat/completions` in OpenAI's format, streamed or whole.
//! Never decides what is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::faults::{Accepted, admit, answer, json_answer};
use super::script::{Script, event};
use super::stamp::{self, Unstamped};
use super::written::Written;
use super::{Knobs, State};

/// Answers one call.
pub(super) async fn complete(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response<Body> {
    let called = stamp::now();
    let Accepted { knobs, mut guard } = match admit(&state, "/v1/chat/completions", &headers, &body).await {
        Ok(accepted) => accepted,
        Err(response) => return response,
    };
    let written = Written::new(&knobs, &body);
    if knobs.streams && body.get("stream") == Some(&Value::Bool(true)) {
        let usage = body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
        let script = Script {
            stamp: knobs.stamps.then(|| unstamped(&written, called)),
            ..script(&written, &knobs, usage)
        };
        return answer(StatusCode::OK, "text/event-stream; charset=utf-8", script.streamed(&knobs, guard));
    }
    if knobs.comes_in_pieces() {
        let script = Script::in_pieces(&whole(&written, &knobs), &fault());
        return answer(StatusCode::OK, "application/json", script.streamed(&knobs, guard));
    }
    tokio::time::sleep(knobs.delay_before_first_token).await;
    guard.finish();
    json_answer(&whole(&written, &knobs))
}

fn usage_of(written: &Written) -> Value {
    let (prompt, completion) = (written.prompt_tokens, written.tokens.len());
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

fn fault() -> Value {
    json!({"error": {"message": "boom", "type": "server_error"}})
}

fn whole(written: &Written, knobs: &Knobs) -> Value {
    let choice = json!({
        "index": 0,
        "message": {"role": "assistant", "content": written.tokens.concat()},
        "finish_reason": knobs.finish_reason,
    });
    let usage = if knobs.usage { usage_of(written) } else { Value::Null };
    json!({"id": "mock", "object": "chat.completion", "model": written.model, "choices": [choice], "usage": usage})
}

/// The part that bears the stamp of its sending.
fn unstamped(written: &Written, called: Duration) -> Unstamped {
    let delta = json!({"content": Unstamped::PLACE});
    let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
    let model = &written.model;
    let part = json!({"id": "mock", "object": "chat.completion.chunk", "model": model, "choices": [choice]});
    Unstamped { part: format!("data: {part}\n\n"), called }
}

fn script(written: &Written, knobs: &Knobs, usage: bool) -> Script {
    let part = |delta: Value, finish_reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        let model = &written.model;
        event(&json!({"id": "mock", "object": "chat.completion.chunk", "model": model, "choices": [choice]}))
    };
    let finish = part(json!({}), Some(knobs.finish_reason));
    let usage = (usage && knobs.usage)
        .then(|| event(&json!({"id": "mock", "choices": [], "usage": usage_of(written)})));
    let done = Bytes::from_static(b"data: [DONE]\n\n");
    Script {
        opening: vec![part(json!({"role": "assistant", "content": ""}), None)],
        stamp: None,
        tokens: written.tokens.iter().map(|token| part(json!({"content": token}), None)).collect(),
        closing: [finish].into_iter().chain(usage).chain([done]).collect(),
        fault: event(&fault()),
    }
}
