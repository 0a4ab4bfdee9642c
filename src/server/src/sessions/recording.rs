//! Saves the turn of an ask when its end is known, and holds back the end until that is done, so that whoever has seen an
//! answer finds it in the session. The saving itself runs in a task of its own: a client that leaves does not stop it.
//! Never saves a part of an answer.

use std::sync::Arc;

use lectern_resilience::deadline::Deadline;
use tokio::task::JoinHandle;

use crate::answer::error::AnswerError;
use crate::answer::event::{Answer, Event};
use crate::sessions::Sessions;
use crate::sessions::error::SessionError;
use crate::sessions::turn::OpenTurn;
use crate::sessions::turns::Outcome;

/// The turn of an ask, or none.
#[derive(Debug)]
pub struct Recording {
    sessions: Arc<Sessions>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not ended. Without a turn when the ask has no session.
    Open(Option<OpenTurn>),
    /// The answer is being saved.
    Saving(JoinHandle<Result<(), SessionError>>, Arc<Answer>),
    /// The end is known, and nothing is left to do but to tell it.
    Known(Event),
    /// The end was told.
    Told,
}

impl Recording {
    /// Declared when an answer is not known to have been saved in its session.
    pub const UNSAVED: &str = "turn_unsaved";

    /// For an ask with this turn.
    pub fn of(sessions: Arc<Sessions>, turn: Option<OpenTurn>) -> Self {
        Self { sessions, state: State::Open(turn) }
    }

    /// Whether the end is known.
    pub fn has_ended(&self) -> bool {
        !matches!(self.state, State::Open(_))
    }

    /// Takes the last event of the ask. `is_fresh` when the answer was made for it, and its tokens are its own.
    pub fn end(&mut self, event: Event, is_fresh: bool) {
        let State::Open(turn) = &mut self.state else { return };
        self.state = match (turn.take(), event) {
            (Some(turn), Event::Done(answer)) => {
                let outcome = outcome(&answer, is_fresh);
                let saving = async move { turn.finish(&outcome).await };
                let saving = self.sessions.tasks.spawn_on(saving, &self.sessions.runtime);
                State::Saving(saving, answer)
            }
            // A turn that is dropped has failed, and nobody has to wait until that is written.
            (_, event) => State::Known(event),
        };
    }

    /// The last event, once the turn is saved, or by `deadline` with the word that it may not be. Safe to cancel.
    pub async fn ended(&mut self, deadline: Deadline) -> Option<Event> {
        if let State::Saving(saving, answer) = &mut self.state {
            let until = tokio::time::Instant::from_std(deadline.instant());
            let event = match tokio::time::timeout_at(until, saving).await {
                Ok(Ok(Ok(()))) => Event::Done(Arc::clone(answer)),
                Ok(Ok(Err(error))) => unsaved(answer, Some(&error)),
                Ok(Err(_)) => Event::Failed(Arc::new(AnswerError::Broken)),
                Err(_) => unsaved(answer, None),
            };
            self.state = State::Known(event);
        }
        match std::mem::replace(&mut self.state, State::Told) {
            State::Known(event) => Some(event),
            open @ State::Open(_) => {
                self.state = open;
                None
            }
            State::Saving(..) | State::Told => None,
        }
    }
}

fn outcome(answer: &Answer, is_fresh: bool) -> Outcome {
    let usage = if is_fresh { answer.usage } else { lectern_models::llm::Usage::default() };
    // Neither has a map with keys that are no strings: both can be written.
    let json = |written: Result<String, serde_json::Error>| written.unwrap_or_else(|_| "[]".to_owned());
    Outcome {
        standalone: answer.standalone.clone(),
        answer: answer.text.clone(),
        citations: json(serde_json::to_string(&answer.citations)),
        generation: answer.generation.to_string(),
        model: answer.model.clone(),
        degraded: json(serde_json::to_string(&answer.degraded)),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
    }
}

/// The answer is good, and the session does not have it: said, not hidden.
fn unsaved(answer: &Answer, error: Option<&SessionError>) -> Event {
    let cause = error.map(|error| crate::api::error::chain(error));
    tracing::warn!(cause, "turn not saved");
    let mut answer = answer.clone();
    answer.degraded.push(Recording::UNSAVED);
    Event::Done(Arc::new(answer))
}
