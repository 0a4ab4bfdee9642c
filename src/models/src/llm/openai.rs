//! Chat completion in OpenAI's wire format, streamed, and whole where a provider does not stream.
//! Never reads past the end that the provider declares, and never takes a torn answer for a whole one.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use lectern_resilience::deadline::Deadline;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sse::Decoder;
use super::{ChatEvent, ChatRequest, ChatStream, FinishReason, Message, Role, Usage};
use crate::error::ModelError;
use crate::http::{Endpoint, Reply};
use crate::rejection::late_fault;

/// Most bytes of one answer, framing included: a hundred times the longest answer that models write.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Starts a call; resolves when the provider has begun to answer.
pub(super) async fn chat(
    endpoint: &Endpoint,
    request: &ChatRequest,
    deadline: Deadline,
) -> Result<ChatStream, ModelError> {
    let reply = endpoint.post(&Call::new(endpoint.model(), request), deadline).await?;
    let faults = Faults { model: endpoint.model().to_owned(), api_key: endpoint.api_key().cloned() };
    if reply.is_event_stream() {
        return Ok(Reading::begin(reply, faults).events());
    }
    let whole: Part = reply.json(LONGEST_ANSWER).await?;
    let events = whole_answer(whole, &faults)?;
    Ok(stream::iter(events.into_iter().map(Ok)).boxed())
}

/// The body of a call.
#[derive(Debug, Serialize)]
struct Call<'a> {
    model: &'a str,
    messages: Vec<CallMessage<'a>>,
    max_tokens: u32,
    temperature: f32,
    stream: bool,
    stream_options: StreamOptions,
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
    fn new(model: &'a str, request: &'a ChatRequest) -> Self {
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
            stream: true,
            stream_options: StreamOptions { include_usage: true },
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

#[derive(Debug, Deserialize)]
struct Text {
    content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PartUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Part {
    /// What the part tells the reader, and why the model stopped if it says so.
    fn into_events(self, faults: &Faults) -> Result<(Vec<ChatEvent>, Option<FinishReason>), ModelError> {
        if let Some(fault) = self.error {
            return Err(late_fault(&fault, &faults.model, faults.api_key.as_ref()));
        }
        if self.choices.is_none() && self.usage.is_none() {
            return Err(faults.garbled("neither text nor usage in it"));
        }
        let choice = self.choices.into_iter().flatten().next();
        let (text, reason) =
            choice.map_or((None, None), |choice| (choice.delta.or(choice.message), choice.finish_reason));
        let text = text.and_then(|text| text.content).filter(|text| !text.is_empty());
        let usage = self.usage.map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        });
        let events = text.map(ChatEvent::Delta).into_iter().chain(usage.map(ChatEvent::Usage)).collect();
        Ok((events, reason.as_deref().map(finish_reason)))
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::Filtered,
        _ => FinishReason::Stop,
    }
}

fn whole_answer(answer: Part, faults: &Faults) -> Result<Vec<ChatEvent>, ModelError> {
    let (mut events, reason) = answer.into_events(faults)?;
    let reason = reason.ok_or_else(|| faults.garbled("an answer without a finish reason"))?;
    events.push(ChatEvent::Finished(reason));
    Ok(events)
}

/// Makes errors of this call.
#[derive(Debug)]
struct Faults {
    model: String,
    api_key: Option<secrecy::SecretString>,
}

impl Faults {
    fn garbled(&self, what: impl Into<crate::error::Cause>) -> ModelError {
        ModelError::garbled(&self.model, what)
    }
}

/// A streamed answer on its way.
#[derive(Debug)]
struct Reading {
    reply: Reply,
    faults: Faults,
    decoder: Decoder,
    /// Decoded and not yet handed out.
    ready: VecDeque<ChatEvent>,
    /// Why the model stopped; usage may still follow.
    reason: Option<FinishReason>,
    bytes_left: usize,
    finished: bool,
}

impl Reading {
    /// Time for the last bytes of a finished answer: they travel with its end, or are not worth a wait.
    const DRAIN_WITHIN: Duration = Duration::from_millis(50);

    fn begin(reply: Reply, faults: Faults) -> Self {
        Self {
            reply,
            faults,
            decoder: Decoder::default(),
            ready: VecDeque::new(),
            reason: None,
            bytes_left: LONGEST_ANSWER,
            finished: false,
        }
    }

    fn events(self) -> ChatStream {
        stream::try_unfold(self, Self::next).boxed()
    }

    /// The next event and the rest of the answer; none after the end.
    async fn next(mut self) -> Result<Option<(ChatEvent, Self)>, ModelError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some((event, self)));
            }
            if self.finished {
                self.reply.drain(Self::DRAIN_WITHIN).await;
                return Ok(None);
            }
            match self.reply.chunk().await? {
                Some(bytes) => self.take_bytes(&bytes)?,
                None => self.end_of_body()?,
            }
        }
    }

    fn take_bytes(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes.len())
            .ok_or_else(|| self.faults.garbled(format!("longer than {LONGEST_ANSWER} bytes")))?;
        for data in self.decoder.push(bytes).map_err(|error| self.faults.garbled(error))? {
            if !self.finished {
                self.take_data(&data)?;
            }
        }
        Ok(())
    }

    fn take_data(&mut self, data: &str) -> Result<(), ModelError> {
        match data.trim() {
            "" => {}
            "[DONE]" => self.finish(self.reason.unwrap_or(FinishReason::Stop)),
            json => {
                let part: Part = serde_json::from_str(json).map_err(|error| self.faults.garbled(error))?;
                let (events, reason) = part.into_events(&self.faults)?;
                self.ready.extend(events);
                self.reason = reason.or(self.reason);
            }
        }
        Ok(())
    }

    /// Some providers leave `[DONE]` out: a finish reason says the same.
    fn end_of_body(&mut self) -> Result<(), ModelError> {
        let torn =
            || ModelError::unavailable(&self.faults.model, "the stream ended before the answer was whole");
        self.finish(self.reason.ok_or_else(torn)?);
        Ok(())
    }

    fn finish(&mut self, reason: FinishReason) {
        self.ready.push_back(ChatEvent::Finished(reason));
        self.finished = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> Faults {
        Faults { model: "gpt".to_owned(), api_key: None }
    }

    fn events(json: &str) -> Result<(Vec<ChatEvent>, Option<FinishReason>), ModelError> {
        serde_json::from_str::<Part>(json).unwrap().into_events(&faults())
    }

    #[test]
    fn a_call_has_the_shape_that_openai_documents() {
        let request = ChatRequest {
            messages: vec![Message { role: Role::User, content: "Hi".into() }],
            max_tokens: 5,
            temperature: 0.0,
        };
        assert_eq!(
            serde_json::to_value(Call::new("gpt", &request)).unwrap(),
            serde_json::json!({
                "model": "gpt",
                "messages": [{"role": "user", "content": "Hi"}],
                "max_tokens": 5,
                "temperature": 0.0,
                "stream": true,
                "stream_options": {"include_usage": true},
            })
        );
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
        let answer = |json| whole_answer(serde_json::from_str(json).unwrap(), &faults());
        let whole = r#"{"choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
        assert_eq!(
            answer(whole).unwrap(),
            [ChatEvent::Delta("a".into()), ChatEvent::Finished(FinishReason::Stop)]
        );
        let torn = r#"{"choices":[{"message":{"content":"a"}}]}"#;
        assert!(matches!(answer(torn).unwrap_err(), ModelError::Garbled { .. }));
    }
}
