//! `/v1/chat/completions`: a scripted answer, or a sentence of the prompt's evidence; streamed or whole.
//! Never understands a question.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract;
use axum::http::{HeaderMap, Response, StatusCode};
use futures::stream;
use serde_json::{Value, json};

use super::counters::InFlight;
use super::faults::{Accepted, admit, answer, json_answer};
use super::stamp::{self, Stamp};
use super::{Ending, Knobs, State};

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
        let steps = steps(&knobs, &written, called);
        return answer(StatusCode::OK, "text/event-stream; charset=utf-8", streamed(steps, guard));
    }
    tokio::time::sleep(knobs.delay_before_first_token).await;
    guard.finish();
    json_answer(&written.whole())
}

/// What is answered.
#[derive(Debug)]
struct Written {
    tokens: Vec<String>,
    prompt_tokens: usize,
    model: Value,
    finish_reason: &'static str,
    usage: bool,
}

impl Written {
    fn new(knobs: &Knobs, body: &Value) -> Self {
        let messages = body.get("messages").and_then(Value::as_array);
        let contents: Vec<&str> =
            messages.into_iter().flatten().filter_map(|message| message.get("content")?.as_str()).collect();
        let text =
            knobs.answer.clone().unwrap_or_else(|| quotation(contents.last().copied().unwrap_or_default()));
        let include_usage = body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
        let is_streamed = body.get("stream") == Some(&Value::Bool(true));
        Self {
            tokens: text.split_inclusive(' ').map(str::to_owned).collect(),
            prompt_tokens: contents.iter().map(|text| text.split_whitespace().count()).sum(),
            model: body.get("model").cloned().unwrap_or_default(),
            finish_reason: knobs.finish_reason,
            usage: knobs.usage && (include_usage || !is_streamed || !knobs.streams),
        }
    }

    fn usage(&self) -> Value {
        let (prompt, completion) = (self.prompt_tokens, self.tokens.len());
        json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
    }

    fn whole(&self) -> Value {
        let choice = json!({
            "index": 0,
            "message": {"role": "assistant", "content": self.tokens.concat()},
            "finish_reason": self.finish_reason,
        });
        let usage = if self.usage { self.usage() } else { Value::Null };
        json!({"id": "mock", "object": "chat.completion", "model": self.model, "choices": [choice], "usage": usage})
    }

    fn part(&self, delta: &Value, finish_reason: Option<&str>) -> Bytes {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        event(
            &json!({"id": "mock", "object": "chat.completion.chunk", "model": self.model, "choices": [choice]}),
        )
    }
}

/// What happens on the wire, one after the other.
#[derive(Debug)]
enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Sends the first token's part with a stamp in the place of [`PLACE`].
    Stamp(String, Duration),
    Stall,
    Break,
}

/// Where a stamp goes in a part.
const PLACE: &str = "STAMP";

fn steps(knobs: &Knobs, written: &Written, called: Duration) -> VecDeque<Step> {
    let mut steps =
        VecDeque::from([Step::Send(written.part(&json!({"role": "assistant", "content": ""}), None))]);
    let most = match knobs.ending {
        Ending::Whole => usize::MAX,
        Ending::StallAfter(n) | Ending::BreakAfter(n) | Ending::StopAfter(n) | Ending::ErrorAfter(n) => n,
    };
    if knobs.stamps {
        steps.push_back(Step::Wait(knobs.delay_before_first_token));
        let part = String::from_utf8_lossy(&written.part(&json!({"content": PLACE}), None)).into_owned();
        steps.push_back(Step::Stamp(part, called));
    }
    for (n, token) in written.tokens.iter().take(most).enumerate() {
        let wait =
            if n == 0 && !knobs.stamps { knobs.delay_before_first_token } else { knobs.delay_between_tokens };
        if !wait.is_zero() {
            steps.push_back(Step::Wait(wait));
        }
        steps.push_back(Step::Send(written.part(&json!({"content": token}), None)));
    }
    match knobs.ending {
        Ending::Whole => steps.extend(last_parts(written).map(Step::Send)),
        Ending::StallAfter(_) => steps.push_back(Step::Stall),
        // The tokens have to be on the wire before the connection breaks.
        Ending::BreakAfter(_) => steps.extend([Step::Wait(Duration::from_millis(20)), Step::Break]),
        Ending::StopAfter(_) => {}
        Ending::ErrorAfter(_) => {
            steps
                .push_back(Step::Send(event(&json!({"error": {"message": "boom", "type": "server_error"}}))));
        }
    }
    steps
}

fn last_parts(written: &Written) -> impl Iterator<Item = Bytes> {
    let finish = written.part(&json!({}), Some(written.finish_reason));
    let usage = event(&json!({"id": "mock", "choices": [], "usage": written.usage()}));
    let done = Bytes::from_static(b"data: [DONE]\n\n");
    [Some(finish), written.usage.then_some(usage), Some(done)].into_iter().flatten()
}

fn event(json: &Value) -> Bytes {
    Bytes::from(format!("data: {json}\n\n"))
}

/// The steps as a body. It is dropped when the caller goes away, and the guard with it.
fn streamed(steps: VecDeque<Step>, guard: InFlight) -> Body {
    Body::from_stream(stream::unfold((steps, guard), |(mut steps, mut guard)| async move {
        loop {
            let step = steps.pop_front();
            if steps.is_empty() && !matches!(step, Some(Step::Stall)) {
                guard.finish();
            }
            match step? {
                Step::Send(bytes) => return Some((Ok(bytes), (steps, guard))),
                Step::Stamp(part, called) => {
                    let stamped = part.replace(PLACE, &Stamp::of(called).token());
                    return Some((Ok(Bytes::from(stamped)), (steps, guard)));
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Stall => match std::future::pending::<Infallible>().await {},
                Step::Break => return Some((Err(io::Error::other("told to break")), (steps, guard))),
            }
        }
    }))
}

/// The first sentence behind the prompt's first marker, with the marker: what a faithful model would do.
fn quotation(prompt: &str) -> String {
    let mut lines = prompt.lines().skip_while(|line| marker(line).is_none());
    let Some(marked) = lines.next() else { return "I could not find an answer.".to_owned() };
    // A fence holds the marker and its nonce; the text begins on the lines below it.
    let beside = marked.split_once(']').map(|(_, text)| text.trim()).filter(|_| !marked.starts_with("<<<"));
    let below = lines
        .take_while(|line| !line.starts_with(">>>") && marker(line).is_none())
        .filter(|line| !line.starts_with(['#', '|', '`']) && line.split_whitespace().count() > 3);
    let text = beside.filter(|text| !text.is_empty()).into_iter().chain(below).next().unwrap_or_default();
    let sentence = text.find(". ").and_then(|end| text.get(..=end)).unwrap_or(text);
    format!("{sentence} [{}]", marker(marked).unwrap_or_default())
}

/// The number in the line's first `[n]`.
fn marker(line: &str) -> Option<u32> {
    line.split('[').skip(1).find_map(|rest| rest.split_once(']')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_answer_quotes_the_first_piece_of_evidence() {
        let prompt = "<<<source [3] nonce\nTitle\nKeys expire after ninety days. Then renew them.\n>>>nonce\n\nQuestion: when?";
        assert_eq!(quotation(prompt), "Keys expire after ninety days. [3]");
        assert_eq!(quotation("[1] Keys expire.\n\nQuestion: when do keys expire?"), "Keys expire. [1]");
        assert_eq!(quotation("Question: when?"), "I could not find an answer.");
    }
}
