//! Reads the body of an answer, streamed or whole, whatever the provider's dialect.
//! Never reads past the end that the provider declares, and never takes a torn answer for a whole one.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use lectern_resilience::deadline::Deadline;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sse::Decoder;
use super::{ChatEvent, ChatStream, FinishReason};
use crate::error::{Cause, ModelError};
use crate::http::{Endpoint, Reply};
use crate::rejection::late_fault;

/// Most bytes of one answer, framing included: a hundred times the longest answer that models write.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Token by token.
    Streamed {
        /// Longest silence between two pieces.
        stall: Duration,
    },
    /// In one piece. Its silence tells nothing: it lasts until the answer is written.
    Whole,
}

impl Manner {
    pub(super) fn is_streamed(self) -> bool {
        matches!(self, Self::Streamed { .. })
    }
}

/// What a provider's answers mean, streamed and whole.
pub(super) trait Dialect: Default + Send + 'static {
    /// An answer that came in one piece.
    type Whole: DeserializeOwned;
    /// What it tells, its end included.
    fn whole(answer: Self::Whole, faults: &Faults) -> Result<Vec<ChatEvent>, ModelError>;
    /// Reads the data of one event: what it tells, and whether it is the last one.
    fn read(&mut self, data: &str, faults: &Faults) -> Result<Told, ModelError>;
    /// Why the model stopped, once it was told.
    fn reason(&self) -> Option<FinishReason>;
}

/// What one event of a stream tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) events: Vec<ChatEvent>,
    pub(super) is_last: bool,
}

/// Makes errors of one call.
#[derive(Debug)]
pub(super) struct Faults {
    model: String,
    api_key: Option<SecretString>,
}

impl Faults {
    fn of(endpoint: &Endpoint) -> Self {
        Self { model: endpoint.model().to_owned(), api_key: endpoint.api_key().cloned() }
    }

    pub(super) fn garbled(&self, what: impl Into<Cause>) -> ModelError {
        ModelError::garbled(&self.model, what)
    }

    /// The error for a fault that the provider reports in the body.
    pub(super) fn late(&self, fault: &Value) -> ModelError {
        late_fault(fault, &self.model, self.api_key.as_ref())
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Self {
        Self { model: "gpt".to_owned(), api_key: None }
    }
}

/// Starts a call; resolves when the provider has begun to answer, or with the whole answer. Which of them it is, the
/// provider decides.
pub(super) async fn chat<D: Dialect>(
    endpoint: &Endpoint,
    call: &impl Serialize,
    manner: Manner,
    deadline: Deadline,
) -> Result<ChatStream, ModelError> {
    let reply = endpoint.post(call, deadline).await?;
    let reply = match manner {
        Manner::Streamed { stall } => reply.breaking_silence(stall),
        Manner::Whole => reply,
    };
    let faults = Faults::of(endpoint);
    if reply.is_event_stream() {
        return Ok(Reading::events(reply, faults, D::default()));
    }
    let events = D::whole(reply.json(LONGEST_ANSWER).await?, &faults)?;
    Ok(stream::iter(events.into_iter().map(Ok)).boxed())
}

/// A streamed answer on its way.
#[derive(Debug)]
struct Reading<D> {
    reply: Reply,
    faults: Faults,
    dialect: D,
    decoder: Decoder,
    /// Decoded and not yet handed out.
    ready: VecDeque<ChatEvent>,
    bytes_left: usize,
    finished: bool,
}

impl<D: Dialect> Reading<D> {
    /// Time for the last bytes of a finished answer: they travel with its end, or are not worth a wait.
    const DRAIN_WITHIN: Duration = Duration::from_millis(50);

    /// The events of the reply.
    fn events(reply: Reply, faults: Faults, dialect: D) -> ChatStream {
        let reading = Self {
            reply,
            faults,
            dialect,
            decoder: Decoder::default(),
            ready: VecDeque::new(),
            bytes_left: LONGEST_ANSWER,
            finished: false,
        };
        stream::try_unfold(reading, Self::next).boxed()
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
            if self.finished {
                break;
            }
            let told = self.dialect.read(data.trim(), &self.faults)?;
            self.ready.extend(told.events);
            if told.is_last {
                self.finish(self.dialect.reason().unwrap_or(FinishReason::Stop));
            }
        }
        Ok(())
    }

    /// Some providers leave the last event out: a finish reason says the same.
    fn end_of_body(&mut self) -> Result<(), ModelError> {
        let torn =
            || ModelError::unavailable(&self.faults.model, "the stream ended before the answer was whole");
        self.finish(self.dialect.reason().ok_or_else(torn)?);
        Ok(())
    }

    fn finish(&mut self, reason: FinishReason) {
        self.ready.push_back(ChatEvent::Finished(reason));
        self.finished = true;
    }
}
