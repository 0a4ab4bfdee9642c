//! Chat completion in OpenAI's wire format, streamed and whole.
//! Never waits, never retries, and sees no bytes: [`super::reading`] does.

use lectern_resilience::deadline::Deadline;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reading::{self, Dialect, Faults, Manner, Told};
use super::{ChatEvent, ChatRequest, ChatStream, FinishReason, Message, Role, Usage};
use crate::error::ModelError;
use crate::http::Endpoint;

/// Starts a call; resolves when the provider has begun to answer.
pub(super) async fn chat(
    endpoint: &Endpoint,
    request: &ChatRequest,
    manner: Manner,
    deadline: Deadline,
) -> Result<ChatStream, ModelError> {
    let call = Call::new(endpoint.model(), request, manner.is_streamed());
    reading::chat::<Openai>(endpoint, &call, manner, deadline).await
}

/// The body of a call.
#[derive(Debug, Serialize)]
struct Call<'a> {
    model: &'a str,
    messages: Vec<CallMessage<'a>>,
    max_tokens: u32,
    temperature: f32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
struct CallMessage<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Call<'a> {
    fn new(model: &'a str, request: &'a ChatRequest, stream: bool) -> Self {
        let message = |message: &'a Message| CallMessage {
            role: match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            },
            content: &message.content,
        };
        Self {
            model,
            messages: request.messages.iter().map(message).collect(),
            max_tokens: request.max_tokens,
            temperature: request.temperature,
            stream,
            // Refused without a stream, whose usage is left out unless it is asked for.
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// One event of a stream, or a whole answer: they differ in where the text stands.
#[derive(Debug, Deserialize)]
struct Part {
    choices: Option<Vec<Choice>>,
    usage: Option<PartUsage>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<Text>,
    message: Option<Text>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Text {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PartUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// What is known of a stream's end so far.
#[derive(Debug, Default)]
struct Openai {
    /// Why the model stopped; usage may still follow.
    reason: Option<FinishReason>,
    /// The text is the model's refusal, whatever reason it gives.
    refused: bool,
}

impl Dialect for Openai {
    type Whole = Part;

    fn whole(answer: Part, faults: &Faults) -> Result<Vec<ChatEvent>, ModelError> {
        let mut dialect = Openai::default();
        let mut events = dialect.take(answer, faults)?;
        let reason = dialect.reason().ok_or_else(|| faults.garbled("an answer without a finish reason"))?;
        events.push(ChatEvent::Finished(reason));
        Ok(events)
    }

    fn read(&mut self, data: &str, faults: &Faults) -> Result<Told, ModelError> {
        match data {
            "" => Ok(Told::default()),
            "[DONE]" => Ok(Told { events: vec![], is_last: true }),
            json => {
                let part: Part = serde_json::from_str(json).map_err(|error| faults.garbled(error))?;
                Ok(Told { events: self.take(part, faults)?, is_last: false })
            }
        }
    }

    fn reason(&self) -> Option<FinishReason> {
        self.reason.map(|reason| if self.refused { FinishReason::Filtered } else { reason })
    }
}

impl Openai {
    /// What the part tells the reader.
    fn take(&mut self, part: Part, faults: &Faults) -> Result<Vec<ChatEvent>, ModelError> {
        if let Some(fault) = part.error {
            return Err(faults.late(&fault));
        }
        if part.choices.is_none() && part.usage.is_none() {
            return Err(faults.garbled("neither text nor usage in it"));
        }
        let mut events = Vec::new();
        if let Some(choice) = part.choices.into_iter().flatten().next() {
            self.reason = choice.finish_reason.as_deref().map(finish_reason).or(self.reason);
            let text = choice.delta.or(choice.message).unwrap_or_default();
            self.refused |= text.refusal.is_some();
            let told = [text.content, text.refusal].into_iter().flatten().filter(|text| !text.is_empty());
            events.extend(told.map(ChatEvent::Delta));
        }
        events.extend(part.usage.map(|usage| {
            ChatEvent::Usage(Usage {
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
            })
        }));
        Ok(events)
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::Filtered,
        _ => FinishReason::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Delivery;

    fn events(json: &str) -> Result<(Vec<ChatEvent>, Option<FinishReason>), ModelError> {
        let mut dialect = Openai::default();
        let told = dialect.read(json, &Faults::for_tests())?;
        Ok((told.events, dialect.reason()))
    }

    #[test]
    fn a_call_has_the_shape_that_openai_documents() {
        let request = ChatRequest {
            messages: vec![Message { role: Role::User, content: "Hi".into() }],
            max_tokens: 5,
            temperature: 0.0,
            delivery: Delivery::Streamed,
        };
        let mut call = serde_json::json!({
            "model": "gpt",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 5,
            "temperature": 0.0,
            "stream": false,
        });
        assert_eq!(serde_json::to_value(Call::new("gpt", &request, false)).unwrap(), call);
        call["stream"] = true.into();
        call["stream_options"] = serde_json::json!({"include_usage": true});
        assert_eq!(serde_json::to_value(Call::new("gpt", &request, true)).unwrap(), call);
    }

    #[test]
    fn a_part_gives_its_text_then_its_usage_then_its_reason() {
        let part = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
        let usage = Usage { prompt_tokens: 3, completion_tokens: 2 };
        assert_eq!(
            events(part).unwrap(),
            (vec![ChatEvent::Delta("a".into()), ChatEvent::Usage(usage)], Some(FinishReason::Length))
        );
    }

    #[test]
    fn parts_without_text_are_silent() {
        for part in [
            r#"{"choices":[]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#,
            r#"{"choices":[{"delta":{"content":""},"finish_reason":null}],"usage":null}"#,
        ] {
            assert_eq!(events(part).unwrap(), (vec![], None), "{part}");
        }
    }

    #[test]
    fn a_refusal_is_text_that_was_cut_off_for_its_content() {
        let part = r#"{"choices":[{"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#;
        let told = (vec![ChatEvent::Delta("No.".into())], Some(FinishReason::Filtered));
        assert_eq!(events(part).unwrap(), told);
    }

    #[test]
    fn an_error_in_a_part_is_the_providers_error_by_its_kind() {
        let limited = events(r#"{"error":{"message":"slow","type":"rate_limit_error"}}"#).unwrap_err();
        assert!(matches!(limited, ModelError::Limited { .. }));
        let down = events(r#"{"error":{"message":"boom","type":"server_error"}}"#).unwrap_err();
        assert!(matches!(down, ModelError::Unavailable { .. }));
        let refused = events(r#"{"error":{"message":"no","type":"invalid_request_error"}}"#).unwrap_err();
        assert!(matches!(refused, ModelError::Refused { .. }));
    }

    #[test]
    fn a_part_that_is_something_else_is_garbled() {
        assert!(matches!(events(r#"{"hello":1}"#).unwrap_err(), ModelError::Garbled { .. }));
    }

    #[test]
    fn a_whole_answer_needs_a_finish_reason() {
        let answer = |json| Openai::whole(serde_json::from_str(json).unwrap(), &Faults::for_tests());
        let whole = r#"{"choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
        assert_eq!(
            answer(whole).unwrap(),
            [ChatEvent::Delta("a".into()), ChatEvent::Finished(FinishReason::Stop)]
        );
        let torn = r#"{"choices":[{"message":{"content":"a"}}]}"#;
        assert!(matches!(answer(torn).unwrap_err(), ModelError::Garbled { .. }));
    }
}
