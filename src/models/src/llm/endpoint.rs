//! One chat endpoint: its dialect, its upstream's rules, its patience. Opens answers and follows them to their end.
//! Never asks another endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use lectern_resilience::call::{Allowance, Fault};
use lectern_resilience::config::RetrySection;
use lectern_resilience::deadline::Deadline;
use lectern_resilience::rate::Ceilings;
use lectern_resilience::upstream::{Attempt, Bounds, Snapshot, Upstream};

use super::ledger::{Bill, Ledger};
use super::reading::Manner;
use super::{ChatEvent, ChatRequest, ChatStream, Delivery, anthropic, openai};
use crate::config::{LlmKind, LlmSection};
use crate::error::{ModelError, SetupError};
use crate::http::{Account, Endpoint, Http, Scheme};
use crate::patience::until;

/// A chat model behind an endpoint.
#[derive(Debug)]
pub(super) struct ChatEndpoint {
    dialect: Dialect,
    endpoint: Endpoint,
    upstream: Upstream,
    first_token: Duration,
    stall: Duration,
    whole_answers: bool,
    /// Longest wait before a call while there are other endpoints to ask.
    longest_wait: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Dialect {
    Openai,
    Anthropic,
}

impl ChatEndpoint {
    /// The endpoint of a section called `name`.
    pub(super) fn new(
        name: &str,
        section: &LlmSection,
        retry: &RetrySection,
        http: &Http,
    ) -> Result<Self, SetupError> {
        let (dialect, scheme, path): (_, _, &[&str]) = match section.kind {
            LlmKind::Extractive => {
                return Err(SetupError::setting(name, "kind", "must be `openai` or `anthropic`"));
            }
            LlmKind::Openai => (Dialect::Openai, Scheme::Bearer, &["chat", "completions"]),
            LlmKind::Anthropic => {
                (Dialect::Anthropic, Scheme::Anthropic, anthropic::path(section.url.as_ref()))
            }
        };
        let account = Account {
            section: name,
            url: section.url.as_ref(),
            model: &section.model,
            api_key: section.api_key.as_ref(),
            scheme,
        };
        let bounds = Bounds {
            ceilings: Ceilings { requests: section.requests_per_minute, tokens: section.tokens_per_minute },
            ..Bounds::concurrency(section.concurrency.get())
        };
        Ok(Self {
            dialect,
            endpoint: Endpoint::new(http, &account, path)?,
            upstream: Upstream::new(name, retry, bounds),
            first_token: section.first_token,
            stall: section.stall,
            whole_answers: section.whole_answers,
            longest_wait: retry.cap,
        })
    }

    /// Name of the model.
    pub(super) fn model(&self) -> &str {
        self.endpoint.model()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.upstream.snapshot()
    }

    /// Opens an answer, by as many calls as the rules allow. `others` endpoints could be asked after this one.
    pub(super) async fn chat(
        &self,
        request: &ChatRequest,
        deadline: Deadline,
        others: usize,
        ledger: &Arc<Ledger>,
    ) -> Result<ChatStream, ModelError> {
        let bill = Bill::open(request);
        let mut allowance = Allowance::until(deadline).spending(bill.at_most(request.max_tokens));
        if others > 0 {
            allowance = allowance.waiting_at_most(self.longest_wait);
        }
        let manner = self.manner(request.delivery);
        let open = |deadline| async move {
            let unseen = (manner == Manner::Whole).then(|| Unseen::of(bill, ledger));
            let opened = self.open(request, manner, deadline, others).await;
            match (unseen, &opened) {
                (None, _) | (_, Err(ModelError::Late { .. })) => {}
                (Some(unseen), _) => unseen.seen(),
            }
            opened
        };
        let (opened, attempt) = self
            .upstream
            .begin(allowance, open)
            .await
            .map_err(|error| ModelError::of_call(self.model(), error))?;
        Ok(Following::begin(opened, attempt, bill, Arc::clone(ledger)).events())
    }

    fn manner(&self, delivery: Delivery) -> Manner {
        match delivery {
            Delivery::Whole if self.whole_answers => Manner::Whole,
            Delivery::Whole | Delivery::Streamed => Manner::Streamed { stall: self.stall },
        }
    }

    /// One call, up to the first token.
    async fn open(
        &self,
        request: &ChatRequest,
        manner: Manner,
        deadline: Deadline,
        others: usize,
    ) -> Result<Opened, ModelError> {
        let now = Instant::now();
        // The others need their time, too: each gets its part of what is left.
        let parts = u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1);
        let part = deadline.remaining(now) / parts;
        // A whole answer has no first token: it may take all the time that there is.
        let patience = if manner.is_streamed() { self.first_token } else { part };
        let opening = self.first_events(request, manner, deadline);
        match until(deadline.at_most(now, patience.min(part)), opening).await {
            Some(opened) => opened,
            None if part <= patience => Err(ModelError::late(self.model())),
            None => Err(ModelError::Stalled { model: self.model().to_owned(), silence: patience }),
        }
    }

    /// The first token, with what came before it.
    async fn first_events(
        &self,
        request: &ChatRequest,
        manner: Manner,
        deadline: Deadline,
    ) -> Result<Opened, ModelError> {
        let mut rest = match self.dialect {
            Dialect::Openai => openai::chat(&self.endpoint, request, manner, deadline).await?,
            Dialect::Anthropic => anthropic::chat(&self.endpoint, request, manner, deadline).await?,
        };
        let mut first = Vec::new();
        while let Some(event) = rest.next().await {
            let event = event?;
            let is_token = !matches!(event, ChatEvent::Usage(_));
            first.push(event);
            if is_token {
                break;
            }
        }
        Ok(Opened { first, rest })
    }
}

/// A whole answer that is being written. Dropped before it is there, its prompt was paid in vain; what was written of it,
/// nobody knows.
struct Unseen<'a> {
    bill: Bill,
    ledger: &'a Ledger,
    was_seen: bool,
}

impl<'a> Unseen<'a> {
    fn of(bill: Bill, ledger: &'a Ledger) -> Self {
        Self { bill, ledger, was_seen: false }
    }

    /// It came, or was refused.
    fn seen(mut self) {
        self.was_seen = true;
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        if !self.was_seen {
            self.ledger.given_up(&self.bill);
        }
    }
}

/// An answer whose first token is there.
struct Opened {
    first: Vec<ChatEvent>,
    rest: ChatStream,
}

/// An answer on its way to who asked. Dropped before its end, the call is closed and what it cost so far is counted.
struct Following {
    events: ChatStream,
    bill: Bill,
    ledger: Arc<Ledger>,
    /// None once the answer has ended.
    attempt: Option<Attempt>,
}

impl Following {
    fn begin(opened: Opened, mut attempt: Attempt, bill: Bill, ledger: Arc<Ledger>) -> Self {
        attempt.answering();
        let first = stream::iter(opened.first.into_iter().map(Ok));
        Self { events: first.chain(opened.rest).boxed(), bill, ledger, attempt: Some(attempt) }
    }

    fn events(self) -> ChatStream {
        stream::unfold(self, async |mut following| {
            let event = following.events.next().await?;
            following.follow(&event);
            Some((event, following))
        })
        .boxed()
    }

    fn follow(&mut self, event: &Result<ChatEvent, ModelError>) {
        if let Ok(event) = event {
            self.bill.note(event);
        }
        match event {
            Ok(ChatEvent::Delta(_) | ChatEvent::Usage(_)) => {}
            Ok(ChatEvent::Finished(_)) => {
                self.ledger.whole(&self.bill);
                if let Some(attempt) = self.settled(self.bill.total()) {
                    attempt.succeeded();
                }
            }
            Err(error) => {
                self.ledger.given_up(&self.bill);
                if let Some(attempt) = self.settled(self.bill.so_far()) {
                    attempt.failed(error.verdict());
                }
            }
        }
    }

    /// The attempt, its tokens counted against the ceilings.
    fn settled(&mut self, tokens: u64) -> Option<Attempt> {
        let attempt = self.attempt.take();
        if let Some(attempt) = &attempt {
            attempt.spent(tokens);
        }
        attempt
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(attempt) = self.settled(self.bill.so_far()) {
            self.ledger.given_up(&self.bill);
            drop(attempt);
        }
    }
}
