//! The answer pipeline: `Question -> Evidence -> Prompt -> Answer`. Each step takes what only the step before makes.
//! Knows no protocol: what happens is reported as events.

use std::sync::Arc;

use lectern_resilience::deadline::Deadline;

use crate::admission::Admission;
use crate::answer::error::AnswerError;
use crate::answer::event::{Answer, Event, Source};
use crate::answer::evidence::Evidence;
use crate::answer::rewrite::Rewrite;
use crate::answer::writer::{Draft, Writer};
use crate::config::LimitsSection;
use crate::flight::EventSink;
use crate::generations::Served;
use crate::metrics::Metrics;
use crate::retrieve::{Retrieval, Retriever};
use crate::sessions::history::History;
use crate::timings::{Stage, Stopwatch};

pub mod citation;
pub mod error;
pub mod event;
pub mod evidence;
pub mod followup;
pub mod prompt;
pub mod question;
pub mod rewrite;
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
    /// Answers one question in its conversation from one generation, reporting to `sink` on the way. Does not report the
    /// end.
    pub async fn answer(
        &self,
        served: &Served,
        (retrieval, history): (&Retrieval, &History),
        deadline: Deadline,
        sink: &EventSink,
    ) -> Result<Answer, AnswerError> {
        let mut watch = Stopwatch::start();
        let admitted = self.admission.admit(deadline).await?;
        watch.lap(Stage::Queue);
        let asked = self.rewrite.apply(&self.writer, &retrieval.question, history, deadline).await;
        watch.lap(Stage::Rewrite);
        let retrieval = Retrieval { question: asked.search.clone(), ..retrieval.clone() };
        let retrieved = self.retriever.retrieve(&admitted, served, &retrieval, deadline, &mut watch).await?;
        let evidence = Evidence::select(retrieved.hits, self.limits.evidence_tokens);
        let sources = Arc::new(Source::list(&evidence));
        sink.push(Event::Sources(Arc::clone(&sources)));
        watch.lap(Stage::Prompt);
        let draft = if evidence.is_empty() {
            Draft::not_found(sink)
        } else {
            self.writer.write(&asked, &evidence, &self.limits, deadline, sink).await
        };
        watch.lap(Stage::Llm);
        let Draft { text, citations, usage, degraded } = draft?;
        let answer = Answer {
            text,
            standalone: asked.standalone().map(str::to_owned),
            citations,
            sources,
            generation: served.manifest().generation.clone(),
            model: self.writer.model().to_owned(),
            degraded: [asked.degraded, retrieved.degraded, degraded].concat(),
            usage: asked.usage.plus(usage),
            timings: watch.into_timings(),
        };
        self.metrics.stages(&answer.timings);
        Ok(answer)
    }
}
