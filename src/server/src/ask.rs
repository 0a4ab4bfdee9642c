//! One ask from generation to last event: served from the cache, by joining the same ask under way, or by new work.
//! Knows no protocol, and pins each ask to one generation.

use std::sync::Arc;
use std::time::Duration;

use lectern_models::llm::Delivery;
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::{AliasName, GenerationId};
use lectern_search::error::SearchError;

use crate::answer::error::AnswerError;
use crate::answer::event::{Answer, Event};
use crate::app::App;
use crate::cache::semantic::Resembled;
use crate::caller::Caller;
use crate::canary::Ending;
use crate::canary::lot::Lot;
use crate::flight::{Delivered, EventSink, Found};
use crate::generations::Served;
use crate::origin::{CacheOutcome, Events, Origin};
use crate::retrieve::Retrieval;
use crate::sessions::history::History;
use crate::sessions::id::SessionId;
use crate::sessions::recording::Recording;
use crate::sessions::turn::{OpenTurn, TurnRequest};
use crate::timings::Stage;

/// An ask whose every part was checked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks.
    pub caller: Caller,
    /// Under which alias.
    pub alias: AliasName,
    /// What to look for.
    pub retrieval: Retrieval,
    /// In which session.
    pub session: Option<SessionId>,
    /// What was said in it before.
    pub history: Arc<History>,
    /// Until when.
    pub deadline: Deadline,
    /// How the answer is read.
    pub delivery: Delivery,
    /// For the log.
    pub request_id: String,
}

impl Ask {
    fn lot(&self) -> Lot<'_> {
        self.session.map_or(Lot::Question(self.caller.tenant(), &self.retrieval.question), Lot::Session)
    }
}

/// An ask that is being answered. Dropping it takes one listener away from the work.
#[derive(Debug)]
pub struct Asking {
    /// The generation that the ask is pinned to.
    pub generation: GenerationId,
    /// Where the answer comes from.
    pub outcome: CacheOutcome,
    /// How old a kept answer is.
    pub age: Option<Duration>,
    /// The earlier question whose answer it is.
    pub resembled: Option<Resembled>,
    events: Events,
    delivery: Delivery,
    delivered: Delivered,
    recording: Recording,
    served: Served,
    deadline: Deadline,
}

impl Asking {
    /// The next event, or the last one at once for whom nothing else matters; `None` after it. Every ask ends in exactly one [`Event::Done`] or [`Event::Failed`], by its
    /// deadline at the latest. Safe to cancel.
    pub async fn next(&mut self) -> Option<Event> {
        if !self.recording.has_ended() {
            let event = self.next_of_work().await?;
            if !event.is_last() {
                return Some(event);
            }
            self.recording.end(event, !self.outcome.is_kept());
        }
        self.recording.ended(self.deadline).await
    }

    async fn next_of_work(&mut self) -> Option<Event> {
        let event = match &mut self.events {
            Events::Ended => return None,
            Events::Kept(replay) => {
                replay.next_for(self.delivery).unwrap_or_else(|| failed(AnswerError::Broken))
            }
            Events::Coming(subscription) => {
                let until = tokio::time::Instant::from_std(self.deadline.instant());
                match tokio::time::timeout_at(until, subscription.next_for(self.delivery)).await {
                    Ok(event) => event.unwrap_or_else(|| failed(AnswerError::Broken)),
                    Err(_) => failed(AnswerError::Late { stage: Stage::Llm }),
                }
            }
        };
        if event.is_last() {
            if matches!(event, Event::Failed(_)) {
                self.delivered = self.read_so_far();
            }
            self.events = Events::Ended;
            self.served.ended(match &event {
                // What cites nothing found nothing to stand on.
                Event::Done(answer) => Ending::of(answer.citations.len()),
                _ => Ending::Failed,
            });
        }
        Some(event)
    }

    /// When the ask must have ended.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// What came before a failure.
    pub fn delivered(&self) -> &Delivered {
        &self.delivered
    }

    fn read_so_far(&self) -> Delivered {
        match &self.events {
            Events::Coming(subscription) => subscription.delivered(),
            Events::Kept(_) | Events::Ended => Delivered::default(),
        }
    }

    /// Waits for the end alone.
    pub async fn finish(mut self) -> Result<Arc<Answer>, Arc<AnswerError>> {
        while let Some(event) = self.next().await {
            match event {
                Event::Done(answer) => return Ok(answer),
                Event::Failed(error) => return Err(error),
                Event::Sources(_) | Event::Delta(_) | Event::Citation(_) => {}
            }
        }
        Err(Arc::new(AnswerError::Broken))
    }
}

impl Drop for Asking {
    /// An answer that was made is saved, whether or not the one who asked has stayed to read it.
    fn drop(&mut self) {
        let end = match &self.events {
            Events::Kept(replay) => replay.last(),
            Events::Coming(subscription) => subscription.newest(),
            Events::Ended => None,
        };
        if let Some(done @ Event::Done(_)) = end {
            self.recording.end(done, !self.outcome.is_kept());
        }
    }
}

fn failed(error: AnswerError) -> Event {
    Event::Failed(Arc::new(error))
}

/// Begins to answer, behind the questions that its session is busy with. Fails only when that session cannot be used or
/// the alias has no generation; everything later is an event.
pub async fn ask(app: &Arc<App>, mut ask: Ask) -> Result<Asking, AnswerError> {
    let turn = app.begin_turn(&ask).await?;
    ask.history = turn.as_ref().map(OpenTurn::history).unwrap_or_default();
    let recording = Recording::of(Arc::clone(&app.sessions), turn);
    let served = app.generations.served(&ask.alias, &ask.lot(), ask.deadline).await?;
    let pinned = served.clone();
    let generation = served.manifest().generation.clone();
    let (deadline, delivery) = (ask.deadline, ask.delivery);
    let origin = if ask.retrieval.cache.reads() {
        app.find(ask, served).await
    } else {
        let work = |sink| Arc::clone(app).work(ask, served, sink);
        Origin::from(Found::Started(app.flights.start_alone(deadline, work)))
    };
    app.metrics.answered(origin.outcome.name());
    let Origin { outcome, events, age, resembled } = origin;
    Ok(Asking {
        generation,
        outcome,
        age,
        resembled,
        events,
        delivery,
        recording,
        served: pinned,
        delivered: Delivered::default(),
        deadline,
    })
}

impl App {
    async fn begin_turn(&self, ask: &Ask) -> Result<Option<OpenTurn>, AnswerError> {
        let Some(session) = ask.session else { return Ok(None) };
        let request = TurnRequest {
            session,
            tenant: ask.caller.tenant().clone(),
            request_id: ask.request_id.clone(),
            question: ask.retrieval.question.as_str().to_owned(),
        };
        Ok(Some(self.sessions.begin_turn(request, ask.deadline).await?))
    }

    /// The work behind an ask: makes the answer, keeps it, and only then reports the end.
    pub(crate) async fn work(self: Arc<Self>, ask: Ask, served: Served, sink: EventSink) {
        match self.answer_once_more_when_gone(&ask, served, &sink).await {
            Ok(answer) => {
                let answer = Arc::new(answer);
                if ask.retrieval.cache.writes() {
                    self.keep(&ask, &answer);
                }
                answer.log(&ask.request_id);
                sink.push(Event::Done(answer));
            }
            Err(error) => sink.push(failed(error)),
        }
    }

    /// A generation can be deleted behind this server's back. Nothing was said from it yet when the search notices: the
    /// whole question is asked again from the one that the alias points at now.
    async fn answer_once_more_when_gone(
        &self,
        ask: &Ask,
        served: Served,
        sink: &EventSink,
    ) -> Result<Answer, AnswerError> {
        match self.answerer.answer(&served, ask, sink).await {
            Err(AnswerError::Search(SearchError::Gone(_))) => {
                let fresh = self.generations.refresh(&ask.alias, ask.deadline).await?;
                self.answerer.answer(&fresh, ask, sink).await
            }
            other => other,
        }
    }
}
