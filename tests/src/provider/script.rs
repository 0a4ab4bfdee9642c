//! What happens on the wire while an answer is streamed, whatever its format.
//! Never knows what the bytes mean.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::Value;

use super::counters::InFlight;
use super::stamp::Unstamped;
use super::{Ending, Knobs};

/// An answer in the words of one format.
#[derive(Debug)]
pub(super) struct Script {
    /// Sent before the first token.
    pub(super) opening: Vec<Bytes>,
    /// Sent as the first token, with the time of its sending.
    pub(super) stamp: Option<Unstamped>,
    /// One per token.
    pub(super) tokens: Vec<Bytes>,
    /// Sent when the answer is whole.
    pub(super) closing: Vec<Bytes>,
    /// Sent when the answer is to end in an error.
    pub(super) fault: Bytes,
}

/// One thing after the other.
#[derive(Debug)]
enum Step {
    Send(Bytes),
    Wait(Duration),
    Stamp(Unstamped),
    Stall,
    Break,
}

impl Script {
    /// A whole answer whose bytes come in two pieces.
    pub(super) fn in_pieces(answer: &Value, fault: &Value) -> Self {
        let mut first = Bytes::from(answer.to_string());
        let second = first.split_off(first.len() / 2);
        let fault = Bytes::from(fault.to_string());
        Self { opening: vec![], stamp: None, tokens: vec![first, second], closing: vec![], fault }
    }

    fn steps(self, knobs: &Knobs) -> VecDeque<Step> {
        let mut steps: VecDeque<Step> = self.opening.into_iter().map(Step::Send).collect();
        let most = match knobs.ending {
            Ending::Whole => usize::MAX,
            Ending::StallAfter(n) | Ending::BreakAfter(n) | Ending::StopAfter(n) | Ending::ErrorAfter(n) => n,
        };
        let is_stamped = self.stamp.is_some();
        if let Some(stamp) = self.stamp {
            steps.extend([Step::Wait(knobs.delay_before_first_token), Step::Stamp(stamp)]);
        }
        for (n, token) in self.tokens.into_iter().take(most).enumerate() {
            let wait = if n == 0 && !is_stamped {
                knobs.delay_before_first_token
            } else {
                knobs.delay_between_tokens
            };
            if !wait.is_zero() {
                steps.push_back(Step::Wait(wait));
            }
            steps.push_back(Step::Send(token));
        }
        match knobs.ending {
            Ending::Whole => steps.extend(self.closing.into_iter().map(Step::Send)),
            Ending::StallAfter(_) => steps.push_back(Step::Stall),
            // The tokens have to be on the wire before the connection breaks.
            Ending::BreakAfter(_) => steps.extend([Step::Wait(Duration::from_millis(20)), Step::Break]),
            Ending::StopAfter(_) => {}
            Ending::ErrorAfter(_) => steps.push_back(Step::Send(self.fault)),
        }
        steps
    }

    /// The answer as a body. It is dropped when the caller goes away, and the guard with it.
    pub(super) fn streamed(self, knobs: &Knobs, guard: InFlight) -> Body {
        let steps = self.steps(knobs);
        Body::from_stream(stream::unfold((steps, guard), |(mut steps, mut guard)| async move {
            loop {
                let step = steps.pop_front();
                if steps.is_empty() && !matches!(step, Some(Step::Stall)) {
                    guard.finish();
                }
                match step? {
                    Step::Send(bytes) => return Some((Ok(bytes), (steps, guard))),
                    Step::Stamp(unstamped) => return Some((Ok(unstamped.stamped()), (steps, guard))),
                    Step::Wait(time) => tokio::time::sleep(time).await,
                    Step::Stall => match std::future::pending::<Infallible>().await {},
                    Step::Break => return Some((Err(io::Error::other("told to break")), (steps, guard))),
                }
            }
        }))
    }
}

/// An event without a name.
pub(super) fn event(json: &Value) -> Bytes {
    Bytes::from(format!("data: {json}\n\n"))
}

/// An event that bears its type as its name, too.
pub(super) fn named_event(json: &Value) -> Bytes {
    let name = json.get("type").and_then(Value::as_str).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
