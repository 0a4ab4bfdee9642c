//! Chat completion in the wire format of Anthropic's Messages, streamed and whole.
//! Never waits, never retries, and sees no bytes: [`super::reading`] does.

use lectern_resilience::deadline::Deadline;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::reading::{self, Dialect, Faults, Manner, Told};
use super::{ChatEvent, ChatRequest, ChatStream, FinishReason, Message, Role, Usage};
use crate::error::ModelError;
use crate::http::Endpoint;

/// The path below a base address, which their documentation gives without the version and other clients with it.
pub(super) fn path(base: Option<&Url>) -> &'static [&'static str] {
    let last = base.and_then(|url| url.path_segments()?.rfind(|segment| !segment.is_empty()));
    if last == Some("v1") { &["messages"] } else { &["v1", "messages"] }
}

/// Starts a call; resolves when the provider has begun to answer.
pub(super) async fn chat(
    endpoint: &Endpoint,
    request: &ChatRequest,
    manner: Manner,
    deadline: Deadline,
) -> Result<ChatStream, ModelError> {
    let call = Call::new(endpoint.model(), request, manner.is_streamed());
    reading::chat::<Anthropic>(endpoint, &call, manner, deadline).await
}

/// The body of a call.
#[derive(Debug, Serialize)]
struct Call<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<CallMessage<'a>>,
    max_tokens: u32,
    temperature: f32,
    stream: bool,
}

#[derive(Debug, Serialize)]
struct CallMessage<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Call<'a> {
    /// Their scale ends where others' goes on to 2.
    const HOTTEST: f32 = 1.0;

    fn new(model: &'a str, request: &'a ChatRequest, stream: bool) -> Self {
        let (rules, talk): (Vec<&Message>, Vec<&Message>) =
            request.messages.iter().partition(|message| message.role == Role::System);
        let rules: Vec<&str> = rules.into_iter().map(|message| message.content.as_str()).collect();
        let message = |message: &'a Message| CallMessage {
            role: if message.role == Role::Assistant { "assistant" } else { "user" },
            content: &message.content,
        };
        Self {
            model,
            system: rules.join("\n\n"),
            messages: talk.into_iter().map(message).collect(),
            max_tokens: request.max_tokens,
            temperature: request.temperature.min(Self::HOTTEST),
            stream,
        }
    }
}

/// One event of a stream. Events and deltas that are not listed are new ones, which their clients have to ignore.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    MessageDelta {
        delta: End,
        #[serde(default)]
        usage: Tokens,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Start {
    #[serde(default)]
    usage: Tokens,
}

#[derive(Debug, Deserialize)]
struct Delta {
    /// Text; deltas of other kinds have none.
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct End {
    stop_reason: Option<String>,
}

/// Counts so far, not since the last event. Tokens read from and written to their prompt cache are part of the prompt.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Tokens {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

impl Tokens {
    fn prompt(self) -> u64 {
        let parts = [self.input, self.cache_creation, self.cache_read];
        parts.into_iter().flatten().fold(0, u64::saturating_add)
    }
}

/// A whole answer.
#[derive(Debug, Deserialize)]
struct Answer {
    content: Option<Vec<Delta>>,
    stop_reason: Option<String>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

/// Takes over what is reported; what is left out stays as it was.
fn count(usage: &mut Usage, tokens: Tokens) -> Usage {
    usage.prompt_tokens = usage.prompt_tokens.max(tokens.prompt());
    usage.completion_tokens = tokens.output.unwrap_or(usage.completion_tokens);
    *usage
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "refusal" => FinishReason::Filtered,
        _ => FinishReason::Stop,
    }
}

/// What is known of a stream so far.
#[derive(Debug, Default)]
struct Anthropic {
    usage: Usage,
    reason: Option<FinishReason>,
}

impl Dialect for Anthropic {
    type Whole = Answer;

    fn whole(answer: Answer, faults: &Faults) -> Result<Vec<ChatEvent>, ModelError> {
        if let Some(fault) = answer.error {
            return Err(faults.late(&fault));
        }
        let blocks = answer.content.ok_or_else(|| faults.garbled("an answer without content"))?;
        let reason = answer.stop_reason.ok_or_else(|| faults.garbled("an answer without a stop reason"))?;
        let text: String = blocks.into_iter().filter_map(|block| block.text).collect();
        let mut usage = Usage::default();
        let used = answer.usage.map(|tokens| ChatEvent::Usage(count(&mut usage, tokens)));
        let text = Some(text).filter(|text| !text.is_empty()).map(ChatEvent::Delta);
        Ok(text.into_iter().chain(used).chain([ChatEvent::Finished(finish_reason(&reason))]).collect())
    }

    fn read(&mut self, data: &str, faults: &Faults) -> Result<Told, ModelError> {
        let mut told = Told::default();
        match serde_json::from_str(data).map_err(|error| faults.garbled(error))? {
            Event::Error { error } => return Err(faults.late(&error)),
            Event::MessageStart { message } => {
                told.events.push(ChatEvent::Usage(count(&mut self.usage, message.usage)));
            }
            Event::ContentBlockDelta { delta } => {
                told.events.extend(delta.text.filter(|text| !text.is_empty()).map(ChatEvent::Delta));
            }
            Event::MessageDelta { delta, usage } => {
                self.reason = delta.stop_reason.as_deref().map(finish_reason).or(self.reason);
                told.events.push(ChatEvent::Usage(count(&mut self.usage, usage)));
            }
            Event::MessageStop => told.is_last = true,
            Event::Other => {}
        }
        Ok(told)
    }

    fn reason(&self) -> Option<FinishReason> {
        self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Delivery;

    fn message(role: Role, content: &str) -> Message {
        Message { role, content: content.to_owned() }
    }

    /// What a stream of these events tells in all.
    fn read(events: &[&str]) -> Result<(Vec<ChatEvent>, Option<FinishReason>), ModelError> {
        let mut dialect = Anthropic::default();
        let mut told = Vec::new();
        for data in events {
            told.extend(dialect.read(data, &Faults::for_tests())?.events);
        }
        Ok((told, dialect.reason()))
    }

    #[test]
    fn a_call_has_the_shape_that_anthropic_documents() {
        let request = ChatRequest {
            messages: vec![message(Role::System, "Be brief."), message(Role::User, "Hi")],
            max_tokens: 5,
            temperature: 1.5,
            delivery: Delivery::Streamed,
        };
        for stream in [true, false] {
            assert_eq!(
                serde_json::to_value(Call::new("claude", &request, stream)).unwrap(),
                serde_json::json!({
                    "model": "claude",
                    "system": "Be brief.",
                    "messages": [{"role": "user", "content": "Hi"}],
                    "max_tokens": 5,
                    "temperature": 1.0,
                    "stream": stream,
                })
            );
        }
    }

    #[test]
    fn the_base_address_may_end_in_the_version() {
        let path = |url: &str| path(Some(&Url::parse(url).unwrap()));
        assert_eq!(path("https://api.anthropic.com"), ["v1", "messages"]);
        assert_eq!(path("https://proxy/anthropic/v1/"), ["messages"]);
        assert_eq!(path("https://proxy/v1/anthropic"), ["v1", "messages"]);
    }

    #[test]
    fn a_stream_gives_text_usage_with_the_cached_part_of_the_prompt_and_the_reason() {
        let (told, reason) = read(&[
            r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":3,"cache_read_input_tokens":40,"cache_creation_input_tokens":7,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":9}}"#,
            r#"{"type":"message_stop"}"#,
        ])
        .unwrap();
        assert_eq!(
            told,
            [
                ChatEvent::Usage(Usage { prompt_tokens: 50, completion_tokens: 1 }),
                ChatEvent::Delta("Hel".into()),
                ChatEvent::Delta("lo".into()),
                ChatEvent::Usage(Usage { prompt_tokens: 50, completion_tokens: 9 }),
            ]
        );
        assert_eq!(reason, Some(FinishReason::Length));
    }

    #[test]
    fn stop_reasons_are_told_apart() {
        for (name, reason) in [
            ("end_turn", FinishReason::Stop),
            ("stop_sequence", FinishReason::Stop),
            ("max_tokens", FinishReason::Length),
            ("refusal", FinishReason::Filtered),
        ] {
            assert_eq!(finish_reason(name), reason, "{name}");
        }
    }

    #[test]
    fn an_error_event_is_the_providers_error_by_its_kind() {
        let error = |kind: &str| {
            read(&[&format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"x"}}}}"#)]).unwrap_err()
        };
        assert!(matches!(error("overloaded_error"), ModelError::Unavailable { .. }));
        assert!(matches!(error("api_error"), ModelError::Unavailable { .. }));
        assert!(matches!(error("rate_limit_error"), ModelError::Limited { .. }));
        assert!(matches!(error("invalid_request_error"), ModelError::Refused { .. }));
        assert!(matches!(error("authentication_error"), ModelError::Refused { .. }));
    }

    #[test]
    fn something_else_than_an_event_is_garbled() {
        for data in ["<html>", "{}", r#"{"type":"message_start"}"#] {
            assert!(matches!(read(&[data]).unwrap_err(), ModelError::Garbled { .. }), "{data}");
        }
    }

    #[test]
    fn a_whole_answer_needs_content_and_a_stop_reason() {
        let answer = |json| Anthropic::whole(serde_json::from_str(json).unwrap(), &Faults::for_tests());
        let whole = r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],
            "stop_reason":"end_turn","usage":{"input_tokens":2,"output_tokens":3}}"#;
        assert_eq!(
            answer(whole).unwrap(),
            [
                ChatEvent::Delta("ab".into()),
                ChatEvent::Usage(Usage { prompt_tokens: 2, completion_tokens: 3 }),
                ChatEvent::Finished(FinishReason::Stop),
            ]
        );
        for torn in ["{}", r#"{"content":[]}"#, r#"{"stop_reason":"end_turn"}"#] {
            assert!(matches!(answer(torn).unwrap_err(), ModelError::Garbled { .. }), "{torn}");
        }
    }
}
