//! `/v1/messages` in Anthropic's format, streamed or whole.
//! Never decides what is answered.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::faults::{Accepted, admit, answer, json_answer};
use super::script::{Script, named_event};
use super::written::Written;
use super::{Knobs, State};

/// Answers one call.
pub(super) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response<Body> {
    let Accepted { knobs, mut guard } = match admit(&state, "/v1/messages", &headers, &body).await {
        Ok(accepted) => accepted,
        Err(response) => return response,
    };
    let written = Written::new(&knobs, &body);
    if knobs.streams && body.get("stream") == Some(&Value::Bool(true)) {
        let script = script(&written, &knobs);
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

/// The reason in Anthropic's words.
fn stop_reason(knobs: &Knobs) -> &'static str {
    match knobs.finish_reason {
        "length" => "max_tokens",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}

/// A prompt of which half was in the provider's cache.
fn prompt_usage(written: &Written, output: usize) -> Value {
    let cached = written.prompt_tokens / 2;
    json!({
        "input_tokens": written.prompt_tokens - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
    })
}

fn fault() -> Value {
    json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
}

fn whole(written: &Written, knobs: &Knobs) -> Value {
    let usage = if knobs.usage { prompt_usage(written, written.tokens.len()) } else { Value::Null };
    json!({
        "id": "msg_mock", "type": "message", "role": "assistant", "model": written.model,
        "content": [{"type": "text", "text": written.tokens.concat()}],
        "stop_reason": stop_reason(knobs), "stop_sequence": null, "usage": usage,
    })
}

fn script(written: &Written, knobs: &Knobs) -> Script {
    let mut message = json!({
        "id": "msg_mock", "type": "message", "role": "assistant", "model": written.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
    });
    let mut last =
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(knobs), "stop_sequence": null}});
    if knobs.usage {
        message["usage"] = prompt_usage(written, 1);
        last["usage"] = json!({"output_tokens": written.tokens.len()});
    }
    let block = json!({"type": "text", "text": ""});
    let token = |text: &String| {
        let delta = json!({"type": "text_delta", "text": text});
        named_event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    Script {
        opening: vec![
            named_event(&json!({"type": "message_start", "message": message})),
            named_event(&json!({"type": "content_block_start", "index": 0, "content_block": block})),
            named_event(&json!({"type": "ping"})),
        ],
        stamp: None,
        tokens: written.tokens.iter().map(token).collect(),
        closing: vec![
            named_event(&json!({"type": "content_block_stop", "index": 0})),
            named_event(&last),
            named_event(&json!({"type": "message_stop"})),
        ],
        fault: named_event(&fault()),
    }
}
