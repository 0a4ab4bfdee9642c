//! The answer pipeline: `Question -> Evidence -> Prompt -> Answer`. Each step takes what only the step before makes.
//! Knows no protocol: what happens is reported as events.

use std::sync::Arc;

use lectern_resilience::deadline::Deadline;

use crate::admission::Admission;
use crate::answer::error::AnswerError;
use crate::answer::event::{Answer, Event, Source};
use crate::answer::evidence::Evidence;
use crate::answer::writer::{Draft, Writer};
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
mod hidden;
pub mod injection;
mod marker;
mod packing;
mod polarity;
pub mod prompt;
pub mod question;
mod tokens;
pub mod verdict;
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
    /// Budgets.
    pub limits: LimitsSection,
    /// Counts and measures.
    pub metrics: Arc<Metrics>,
}

impl Answerer {
    /// Answers one question from one generation, reporting to `sink` on the way. Does not report the end.
    pub async fn answer(
        &self,
        served: &Served,
        retrieval: &Retrieval,
        deadline: Deadline,
        sink: &EventSink,
    ) -> Result<Answer, AnswerError> {
        let mut watch = Stopwatch::start();
        let admitted = self.admission.admit(deadline).await?;
        watch.lap(Stage::Queue);
        let retrieved = self.retriever.retrieve(&admitted, served, retrieval, deadline, &mut watch).await?;
        let evidence = Evidence::select(retrieved.hits, self.limits.evidence_tokens);
        let sources = Arc::new(Source::list(&evidence));
        sink.push(Event::Sources(Arc::clone(&sources)));
        watch.lap(Stage::Prompt);
        let draft = if evidence.is_empty() {
            Draft::not_found(sink)
        } else {
            self.writer.write(&retrieval.question, &evidence, &self.limits, deadline, sink).await
        };
        watch.lap(Stage::Llm);
        let Draft { text, citations, usage, degraded } = draft?;
        let answer = Answer {
            text,
            citations,
            sources,
            generation: served.manifest().generation.clone(),
            model: self.writer.model().to_owned(),
            degraded: [retrieved.degraded, degraded].concat(),
            usage,
            timings: watch.into_timings(),
        };
        self.metrics.stages(&answer.timings);
        self.metrics.checked(&answer);
        Ok(answer)
    }
}
