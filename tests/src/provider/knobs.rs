//! What the mock provider does to its callers.
//! Never random: the same number of calls meets the same failures.

use std::time::Duration;

/// The settings of a mock provider. The default answers at once and well.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a knob of its own")]
pub struct Knobs {
    /// Calls are taken and never answered.
    pub silent: bool,
    /// Wait before anything is answered.
    pub delay_before_headers: Duration,
    /// Wait between the headers and the first token.
    pub delay_before_first_token: Duration,
    /// Wait between tokens.
    pub delay_between_tokens: Duration,
    /// Calls that are answered with an error; the shares add up to at most 1.
    pub failures: Vec<Failure>,
    /// Answered instead of everything else, with status 200.
    pub raw: Option<Raw>,
    /// How an answer ends. A whole one consists of two tokens.
    pub ending: Ending,
    /// Whether usage is reported.
    pub usage: bool,
    /// Whether `stream: true` is obeyed.
    pub streams: bool,
    /// What to answer; by default a sentence of the prompt's evidence with its marker.
    pub answer: Option<String>,
    /// What to reply to whom asks for a rewritten question; by default the follow-up with the question before it.
    pub rewritten: Option<String>,
    /// Whether the answer repeats the question instead of the evidence.
    pub echo: bool,
    /// Whether a streamed answer begins with a [`super::Stamp`], which then is its first token.
    pub stamps: bool,
    /// Why the model stops, in OpenAI's words.
    pub finish_reason: &'static str,
    /// Elements per vector.
    pub dimension: usize,
    /// A text that no call for vectors may contain.
    pub refused_text: Option<String>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            silent: false,
            delay_before_headers: Duration::ZERO,
            delay_before_first_token: Duration::ZERO,
            delay_between_tokens: Duration::ZERO,
            failures: Vec::new(),
            raw: None,
            ending: Ending::Whole,
            usage: true,
            streams: true,
            answer: None,
            rewritten: None,
            echo: false,
            stamps: false,
            finish_reason: "stop",
            dimension: 64,
            refused_text: None,
        }
    }
}

impl Knobs {
    /// Whether the headers of a whole answer come before it.
    pub(super) fn comes_in_pieces(&self) -> bool {
        self.ending != Ending::Whole || !self.delay_between_tokens.is_zero()
    }
}

/// An error status for a share of the calls.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// Which share of the calls meets it, 0 to 1.
    pub share: f64,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The body; by default an error object in the provider's shape.
    pub body: Option<String>,
}

impl Failure {
    /// Every call fails with this status.
    pub fn always(status: u16) -> Self {
        Self::share(status, 1.0)
    }

    /// A share of the calls fails with this status.
    pub fn share(status: u16, share: f64) -> Self {
        Self { status, share, retry_after: None, body: None }
    }

    /// The same, asking to try again then.
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        Self { retry_after: Some(value.to_owned()), ..self }
    }

    /// The same, with another body.
    #[must_use]
    pub fn body(self, body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), ..self }
    }
}

/// An answer as bytes, whatever was asked.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// How an answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole,
    /// After so many tokens nothing comes any more, and the connection stays open.
    StallAfter(usize),
    /// After so many tokens the connection breaks.
    BreakAfter(usize),
    /// After so many tokens the stream ends as if that were all, without a finish reason.
    StopAfter(usize),
    /// After so many tokens an error object comes.
    ErrorAfter(usize),
}
