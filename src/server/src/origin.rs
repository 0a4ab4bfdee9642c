//! Where the answer to an ask comes from: the answer cache, a replica's, a question that means the same, the same ask under
//! way, or new work; and where a new answer is kept.
//! Never makes an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_models::llm::Delivery;
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::GenerationId;

use crate::answer::event::{Answer, Event};
use crate::app::App;
use crate::ask::Ask;
use crate::budget::Budget;
use crate::cache::CachePolicy;
use crate::cache::answers::{AnswerKey, AnswerKeyParts, Kept, PartitionKey};
use crate::cache::semantic::Resembled;
use crate::flight::{Found, Subscription};
use crate::generations::Served;
use crate::retrieve::Retrieval;
use crate::timings::Stage;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheOutcome {
    /// Made for this ask.
    Miss,
    /// Kept from an earlier one.
    Hit,
    /// Made for another one at the same time.
    Joined,
    /// Kept from an earlier question that means the same.
    Semantic,
}

impl CacheOutcome {
    /// Whether the answer had been made before: it costs this ask nothing.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::Hit | Self::Semantic)
    }

    /// The name in responses and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Semantic => "semantic",
        }
    }
}

/// Where an answer comes from, and its events.
#[derive(Debug)]
pub struct Origin {
    /// How it was found.
    pub outcome: CacheOutcome,
    /// What happens until it is whole.
    pub events: Events,
    /// How old a kept answer is.
    pub age: Option<Duration>,
    /// The earlier question whose answer it is.
    pub resembled: Option<Resembled>,
}

/// The events of an answer.
#[derive(Debug)]
pub enum Events {
    /// It is there: some are left to be told.
    Kept(Replay),
    /// It is being made.
    Coming(Subscription),
    /// All were told.
    Ended,
}

impl From<Found> for Origin {
    fn from(found: Found) -> Self {
        let (outcome, events, age) = match found {
            Found::Cached(kept) => {
                let age = kept.age(Instant::now());
                (CacheOutcome::Hit, Events::Kept(Replay::of(kept.answer)), Some(age))
            }
            Found::Joined(subscription) => (CacheOutcome::Joined, Events::Coming(subscription), None),
            Found::Started(subscription) => (CacheOutcome::Miss, Events::Coming(subscription), None),
        };
        Self { outcome, events, age, resembled: None }
    }
}

/// What listeners of a kept answer would have seen while it was made.
#[derive(Debug)]
pub struct Replay {
    /// None once its end was told.
    answer: Option<Arc<Answer>>,
    told: usize,
}

impl Replay {
    fn of(answer: Arc<Answer>) -> Self {
        Self { answer: Some(answer), told: 0 }
    }

    /// The next event for whom the answer is read in this way: each, or the last one alone.
    pub fn next_for(&mut self, delivery: Delivery) -> Option<Event> {
        let answer = self.answer.as_ref()?;
        let event = match (delivery, self.told) {
            (Delivery::Whole, _) => None,
            (Delivery::Streamed, 0) => Some(Event::Sources(Arc::clone(&answer.sources))),
            (Delivery::Streamed, 1) => Some(Event::Delta(answer.text.clone())),
            (Delivery::Streamed, n) => answer.citations.get(n - 2).cloned().map(Event::Citation),
        };
        self.told += 1;
        event.or_else(|| self.answer.take().map(Event::Done))
    }

    /// The last event, if it was not told.
    pub fn last(&self) -> Option<Event> {
        self.answer.clone().map(Event::Done)
    }
}

impl App {
    /// The answer that is kept here, by a replica, or for a question that means the same; the one that is being made; or a
    /// new one.
    pub async fn find(self: &Arc<Self>, ask: Ask, served: Served) -> Origin {
        let key = self.key(&ask, &served.manifest().generation);
        if let Some(kept) = self.cache.get(&key) {
            self.renew_if_stale(key, &kept, ask, served);
            return Found::Cached(kept).into();
        }
        if let Some(answer) = self.shared_answer(&key).await {
            self.cache.keep(key.clone(), answer);
        } else if let Some((kept, resembled)) = self.answer_to_the_like(&ask, &served).await {
            let origin = Origin::from(Found::Cached(kept));
            return Origin { outcome: CacheOutcome::Semantic, resembled: Some(resembled), ..origin };
        }
        let deadline = ask.deadline;
        let work = |sink| Arc::clone(self).work(ask, served, sink);
        self.flights.find(key, deadline, &self.cache, work).into()
    }

    /// An answer that has grown old is served once more, and made anew for whoever asks next.
    fn renew_if_stale(self: &Arc<Self>, key: AnswerKey, kept: &Kept, ask: Ask, served: Served) {
        let now = Instant::now();
        if self.cache.is_stale(kept, now) {
            let renewed = self.renewal_of(ask, now);
            self.flights.renew(key, renewed.deadline, |sink| Arc::clone(self).work(renewed, served, sink));
        }
    }

    async fn shared_answer(&self, key: &AnswerKey) -> Option<Arc<Answer>> {
        let found = self.shared.as_ref()?.get(key).await;
        self.metrics.looked_up("redis", found.is_some());
        found
    }

    /// The answer to an earlier question that is near enough, if it is still kept.
    async fn answer_to_the_like(&self, ask: &Ask, served: &Served) -> Option<(Kept, Resembled)> {
        let semantic = self.semantic.as_ref()?;
        let partition = self.partition(ask, &served.manifest().generation)?;
        let budget = Budget::for_ask(ask.deadline, Instant::now());
        let vector =
            self.answerer.retriever.vector_of(&ask.retrieval, budget.until(Stage::Embed)).await.ok()?;
        let nearest = semantic.nearest(&partition, &vector);
        self.metrics.looked_up("semantic", nearest.is_some());
        let (key, resembled) = nearest?;
        let kept = self.cache.get(&key);
        if kept.is_none() {
            semantic.forget(&key);
        }
        Some((kept?, resembled))
    }

    /// Keeps an answer in every layer.
    pub fn keep(self: &Arc<Self>, ask: &Ask, answer: &Arc<Answer>) {
        let key = self.key(ask, &answer.generation);
        self.cache.keep(key.clone(), Arc::clone(answer));
        if let (Some(semantic), true) = (&self.semantic, answer.degraded.is_empty()) {
            let known = self.answerer.retriever.vectors.get(ask.retrieval.question.as_str());
            if let Some((partition, vector)) = self.partition(ask, &answer.generation).zip(known) {
                semantic.remember(partition, vector, ask.retrieval.question.as_str(), key.clone());
            }
        }
        if let Some(shared) = self.shared.clone() {
            let answer = Arc::clone(answer);
            self.flights.afterwards(async move { shared.keep(&key, &answer).await });
        }
    }

    /// The same ask, to be answered anew although an answer is there, in the time of an ask of its own.
    fn renewal_of(&self, ask: Ask, now: Instant) -> Ask {
        let deadline = Deadline::after(now, self.config.limits.deadline);
        let retrieval = Retrieval { cache: CachePolicy::Refresh, ..ask.retrieval };
        Ask { retrieval, deadline, delivery: Delivery::Whole, ..ask }
    }

    fn key(&self, ask: &Ask, generation: &GenerationId) -> AnswerKey {
        self.with_parts(ask, generation, AnswerKey::of)
    }

    fn partition(&self, ask: &Ask, generation: &GenerationId) -> Option<PartitionKey> {
        self.with_parts(ask, generation, PartitionKey::of)
    }

    fn with_parts<T>(
        &self,
        ask: &Ask,
        generation: &GenerationId,
        make: impl Fn(&AnswerKeyParts<'_>) -> T,
    ) -> T {
        make(&AnswerKeyParts {
            tenant: ask.caller.tenant(),
            generation,
            question: &ask.retrieval.question,
            history: &ask.history.digest(),
            mode: ask.retrieval.mode,
            limit: ask.retrieval.limit,
            filter: &ask.retrieval.filter_text(),
            model: self.answerer.writer.model(),
        })
    }
}
