//! The answer pipeline: `Question -> Evidence -> Prompt -> Answer`. Each step takes what only the step before makes.
//! Knows no protocol: what happens is reported as events.

use std::sync::Arc;
use std::time::Instant;

use crate::admission::{Admission, Work};
use crate::answer::error::AnswerError;
use crate::answer::event::{Answer, Event, Source};
use crate::answer::evidence::Evidence;
use crate::answer::rewrite::{Asked, Rewrite};
use crate::answer::writer::{Draft, Terms, Writer};
use crate::ask::Ask;
use crate::budget::Budget;
use crate::config::LimitsSection;
use crate::flight::EventSink;
use crate::generations::Served;
use crate::metrics::Metrics;
use crate::retrieve::{Retrieval, Retriever};
use crate::timings::{Stage, Stopwatch};

pub mod citation;
mod claim;
mod code;
mod duplicates;
pub mod error;
pub mod event;
pub mod evidence;
pub mod followup;
mod hidden;
pub mod injection;
mod marker;
mod packing;
mod polarity;
pub mod prompt;
pub mod question;
pub mod rewrite;
mod tokens;
pub mod verdict;
mod words;
pub mod writer;

/// Everything that answers are made with.
#[derive(Debug)]
pub struct Answerer {
    /// The door to the work.
    pub admission: Admission,
    /// Finds the evidence.
    pub retriever: Retriever,
    /// Writes the text.
    pub writer: Writer,
    /// Makes follow-ups stand alone.
    pub rewrite: Rewrite,
    /// Budgets.
    pub limits: LimitsSection,
    /// Counts and measures.
    pub metrics: Arc<Metrics>,
}

impl Answerer {
    /// Declared when the language model was late, and the best sentences were quoted instead of its answer.
    const LLM_TIMEOUT: &str = "llm_timeout";
    /// Declared when the language model was down, and the configuration prefers quotes to an error.
    const LLM_UNAVAILABLE: &str = "llm_unavailable";

    /// Answers one question in its conversation from one generation, reporting to `sink` on the way. Does not report the
    /// end.
    pub async fn answer(&self, served: &Served, ask: &Ask, sink: &EventSink) -> Result<Answer, AnswerError> {
        let budget = Budget::for_ask(ask.deadline, Instant::now());
        let mut watch = Stopwatch::start();
        let admitted =
            self.admission.admit(Work::Ask, ask.caller.tenant(), budget.until(Stage::Queue)).await?;
        watch.lap(Stage::Queue);
        let asked = self.rewrite.apply(&self.writer, &ask.retrieval.question, &ask.history, &budget).await;
        watch.lap(Stage::Rewrite);
        let retrieval = Retrieval { question: asked.search.clone(), ..ask.retrieval.clone() };
        let retrieved = match self.retriever.known(served, &retrieval) {
            Some(known) => known,
            None => self.retriever.retrieve(&admitted, served, &retrieval, &budget, &mut watch).await?,
        };
        let evidence = Evidence::select(&retrieved.hits, self.limits.evidence_tokens);
        let sources = Arc::new(Source::list(&evidence));
        sink.push(Event::Sources(Arc::clone(&sources)));
        watch.lap(Stage::Prompt);
        let terms = Terms {
            tokens: self.limits.answer_tokens,
            deadline: budget.until(Stage::Llm),
            delivery: ask.delivery,
        };
        let draft = self.write(&asked, &evidence, terms, sink).await;
        watch.lap(Stage::Llm);
        let Draft { text, citations, usage, degraded, model } = draft?;
        let answer = Answer {
            text,
            standalone: asked.standalone().map(str::to_owned),
            citations,
            sources,
            generation: served.manifest().generation.clone(),
            model,
            degraded: [asked.degraded, retrieved.degraded, degraded].concat(),
            usage: asked.usage.plus(usage),
            timings: watch.into_timings(),
        };
        self.metrics.stages(&answer.timings);
        self.metrics.degraded(&answer.degraded);
        self.metrics.checked(&answer);
        Ok(answer)
    }

    /// Writes the answer. When the model fails before it has said anything, the evidence can still be quoted.
    async fn write(
        &self,
        asked: &Asked<'_>,
        evidence: &Evidence,
        terms: Terms,
        sink: &EventSink,
    ) -> Result<Draft, AnswerError> {
        if evidence.is_empty() {
            return Ok(self.writer.not_found(sink));
        }
        let error = match self.writer.write(asked, evidence, terms, sink).await {
            Ok(draft) => return Ok(draft),
            Err(error) => error,
        };
        let instead = match &error {
            AnswerError::Late { .. } => Self::LLM_TIMEOUT,
            AnswerError::Llm(cause) if self.limits.quote_when_llm_is_down && cause.is_retryable() => {
                Self::LLM_UNAVAILABLE
            }
            _ => return Err(error),
        };
        if sink.has_text() {
            return Err(error);
        }
        tracing::warn!(error = %crate::api::error::chain(&error), "evidence quoted instead");
        let mut draft = writer::quote(asked, evidence, sink);
        draft.degraded.push(instead);
        Ok(draft)
    }
}
