//! Who writes the answer: a language model behind an endpoint, or nobody, and the best sentences are quoted.
//! Whoever it is, every marker passes the same check.

use std::sync::Arc;

use futures::StreamExt;
use lectern_models::error::ModelError;
use lectern_models::extractive::{self, Passage};
use lectern_models::llm::{ChatEvent, ChatRequest, Delivery, FinishReason, Llm, TokenCounts, Usage};
use lectern_resilience::deadline::Deadline;
use lectern_resilience::upstream::Snapshot;

use crate::answer::citation::{Checked, Citation, CitationCheck};
use crate::answer::error::AnswerError;
use crate::answer::event::Event;
use crate::answer::evidence::Evidence;
use crate::answer::prompt::Prompt;
use crate::answer::rewrite::Asked;
use crate::flight::EventSink;
use crate::metrics::{Dependency, Metrics};

/// Writes answers.
#[derive(Debug)]
pub enum Writer {
    /// Quotes the evidence, without a model.
    Extractive,
    /// Asks a language model.
    Llm(Llm, Arc<Metrics>),
}

/// What an answer may take, and how it is read.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Most tokens.
    pub tokens: u32,
    /// Until when.
    pub deadline: Deadline,
    /// How it is read.
    pub delivery: Delivery,
}

/// A written answer.
#[derive(Debug, Default)]
pub struct Draft {
    /// The text, its markers checked.
    pub text: String,
    /// The citations: one for each marker of each cited sentence, in their order.
    pub citations: Vec<Citation>,
    /// What the model's call cost; zero without a model.
    pub usage: Usage,
    /// What is not as it should be.
    pub degraded: Vec<&'static str>,
    /// The model that wrote it; [`Writer::EXTRACTIVE`] says that there was none.
    pub model: String,
}

impl Draft {
    /// Said when there is no evidence, or none that answers.
    const NOT_FOUND: &str = "I could not find an answer to this in the documents.";

    fn by(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }

    fn not_found(model: &str, sink: &EventSink) -> Self {
        sink.push(Event::Delta(Self::NOT_FOUND.to_owned()));
        Self { text: Self::NOT_FOUND.to_owned(), ..Self::by(model) }
    }

    /// What events tell: their text together, up to the first that is an error.
    fn read(&mut self, events: Vec<Result<ChatEvent, ModelError>>) -> (String, Result<(), ModelError>) {
        let mut text = String::new();
        for event in events {
            match event {
                Ok(ChatEvent::Delta(more)) if text.is_empty() => text = more,
                Ok(ChatEvent::Delta(more)) => text.push_str(&more),
                Ok(ChatEvent::Usage(usage)) => self.usage = usage,
                Ok(ChatEvent::Finished(FinishReason::Stop)) => {}
                Ok(ChatEvent::Finished(FinishReason::Length)) => self.degraded.push(Writer::TRUNCATED),
                Ok(ChatEvent::Finished(FinishReason::Filtered)) => self.degraded.push(Writer::FILTERED),
                Err(error) => return (text, Err(error)),
            }
        }
        (text, Ok(()))
    }

    fn take(&mut self, parts: Vec<Checked>, sink: &EventSink) {
        for part in parts {
            match part {
                Checked::Text(text) => {
                    self.text.push_str(&text);
                    sink.push(Event::Delta(text));
                }
                Checked::Citation(citation) => {
                    self.citations.push(citation.clone());
                    sink.push(Event::Citation(citation));
                }
            }
        }
    }
}

impl Writer {
    /// The name under which evidence is quoted without a model.
    pub const EXTRACTIVE: &str = "extractive";
    /// Sentences that the extractive answer is made of: enough to answer, few enough to read.
    const SENTENCES: usize = 3;
    /// Most events of the model that are checked together, of those that are there already: what arrives in one packet need
    /// not wake whoever listens token by token.
    const AT_ONCE: usize = 32;
    /// Declared when the model ran into its token limit.
    const TRUNCATED: &str = "answer_truncated";
    /// Declared when another model than the configured ones had to stand in.
    const FALLBACK: &str = "fallback_llm";
    /// Declared when the provider cut the text off for its content.
    const FILTERED: &str = "answer_filtered";

    /// Name of the model; `extractive` says that there is none.
    pub fn model(&self) -> &str {
        match self {
            Self::Extractive => Self::EXTRACTIVE,
            Self::Llm(llm, _) => llm.model(),
        }
    }

    /// What the language models look like from here.
    pub fn upstreams(&self) -> Vec<Snapshot> {
        match self {
            Self::Extractive => vec![],
            Self::Llm(llm, _) => llm.upstreams(),
        }
    }

    /// Tokens of all answers so far; none without a model.
    pub fn tokens(&self) -> Option<TokenCounts> {
        match self {
            Self::Extractive => None,
            Self::Llm(llm, _) => Some(llm.tokens()),
        }
    }

    /// The honest answer when nothing was found; costs no model call.
    pub fn not_found(&self, sink: &EventSink) -> Draft {
        Draft::not_found(self.model(), sink)
    }

    /// Writes the answer, reporting text and citations to `sink` as they come.
    pub async fn write(
        &self,
        asked: &Asked<'_>,
        evidence: &Evidence,
        terms: Terms,
        sink: &EventSink,
    ) -> Result<Draft, AnswerError> {
        match self {
            Self::Extractive => Ok(quote(asked, evidence, sink)),
            Self::Llm(llm, metrics) => {
                let prompt = Prompt::build(asked, evidence, terms.tokens).into_request(terms.delivery);
                let written = generate(llm, prompt, evidence, terms.deadline, sink).await;
                metrics.called(Dependency::Llm, written.is_ok());
                written
            }
        }
    }
}

/// The sentences of the evidence that answer best, word for word, without a model.
pub fn quote(asked: &Asked<'_>, evidence: &Evidence, sink: &EventSink) -> Draft {
    let passages: Vec<Passage<'_>> = evidence
        .pieces()
        .iter()
        .map(|piece| Passage { text: &piece.text, headings: &piece.heading_path })
        .collect();
    let extracts = extractive::answer(asked.search.as_str(), &passages, Writer::SENTENCES);
    if extracts.is_empty() {
        return Draft::not_found(Writer::EXTRACTIVE, sink);
    }
    let mut draft = Draft::by(Writer::EXTRACTIVE);
    let mut check = CitationCheck::new(evidence);
    for (n, extract) in extracts.iter().enumerate() {
        let Some(piece) = evidence.pieces().get(extract.passage) else { continue };
        let space = if n == 0 { "" } else { " " };
        // Brackets of the quoted text are the document's, not markers: only ours goes through the check as one.
        draft.take(vec![Checked::Text(format!("{space}{} ", extract.text))], sink);
        draft.take(check.cite_sentence(piece.marker, &extract.text), sink);
    }
    draft
}

async fn generate(
    llm: &Llm,
    prompt: ChatRequest,
    evidence: &Evidence,
    deadline: Deadline,
    sink: &EventSink,
) -> Result<Draft, AnswerError> {
    let chat = llm.chat(prompt, deadline).await.map_err(AnswerError::llm)?;
    let mut draft = Draft::by(&chat.model);
    if chat.fallback {
        draft.degraded.push(Writer::FALLBACK);
    }
    let mut check = CitationCheck::new(evidence);
    let mut events = chat.events.ready_chunks(Writer::AT_ONCE);
    while let Some(ready) = events.next().await {
        let (text, so_far) = draft.read(ready);
        draft.take(check.push(&text), sink);
        so_far.map_err(AnswerError::llm)?;
    }
    draft.take(check.finish(), sink);
    Ok(draft)
}
