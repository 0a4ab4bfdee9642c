//! What happens while an answer is made, in the order in which a client sees it, and the whole answer at the end.
//! Never formats bytes: that is the protocol's part.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use lectern_models::llm::Usage;
use lectern_schema::identifiers::{ChunkId, DocumentId, GenerationId};
use serde::{Deserialize, Serialize};

use crate::answer::citation::Citation;
use crate::answer::error::AnswerError;
use crate::answer::evidence::Evidence;
use crate::answer::injection::Kind;
use crate::timings::{Stage, Timings};

/// One step of an answer that is being made.
#[derive(Debug, Clone)]
pub enum Event {
    /// What the answer will be made of.
    Sources(Arc<Vec<Source>>),
    /// More of the text.
    Delta(String),
    /// A cited sentence is over: one for each of its markers.
    Citation(Citation),
    /// The whole answer. Nothing follows.
    Done(Arc<Answer>),
    /// There will be no whole answer. Nothing follows.
    Failed(Arc<AnswerError>),
}

impl Event {
    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

/// A piece of evidence, as clients see it before the text begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The number by which the text will cite it.
    pub marker: u32,
    /// The chunk.
    pub chunk_id: ChunkId,
    /// The document that it was cut from.
    pub document_id: DocumentId,
    /// Where the document can be found.
    pub uri: String,
    /// The document's title.
    pub title: String,
    /// Headings above the chunk, outermost first.
    pub heading_path: Vec<String>,
    /// The retrieval's score.
    pub score: f32,
    /// What to know of its text: `instruction_like`, `cut`.
    pub flags: Vec<Cow<'static, str>>,
    /// By what it is like an instruction: for the metrics.
    #[serde(skip)]
    pub suspicions: BTreeSet<Kind>,
}

impl Source {
    /// The sources that evidence stands for.
    pub fn list(evidence: &Evidence) -> Vec<Self> {
        let source = |piece: &crate::answer::evidence::Piece| Self {
            marker: piece.marker,
            chunk_id: piece.chunk_id,
            document_id: piece.document_id.clone(),
            uri: piece.uri.clone(),
            title: piece.title.clone(),
            heading_path: piece.heading_path.clone(),
            score: piece.score,
            flags: piece.flags().into_iter().map(Cow::Borrowed).collect(),
            suspicions: piece.suspicions.clone(),
        };
        evidence.pieces().iter().map(source).collect()
    }
}

/// A whole answer, as it is cached.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The generated text; its markers all point at evidence.
    pub text: String,
    /// The question as it was searched, when it had to be rewritten to stand alone.
    pub standalone: Option<String>,
    /// The citations: one for each marker of each cited sentence, in their order.
    pub citations: Vec<Citation>,
    /// What the answer was made of.
    pub sources: Arc<Vec<Source>>,
    /// The generation that all of it comes from.
    pub generation: GenerationId,
    /// The model that wrote it.
    pub model: String,
    /// What was skipped or replaced.
    pub degraded: Vec<&'static str>,
    /// What the model's call cost.
    pub usage: Usage,
    /// Where the time went.
    pub timings: Timings,
}

impl Answer {
    /// What to know of the texts that it was made of, cited or not, each once.
    pub fn flags(&self) -> BTreeSet<&str> {
        self.sources.iter().flat_map(|source| source.flags.iter().map(Cow::as_ref)).collect()
    }

    /// Tells the log where the time of the work went; `request_id` is the one that the work was begun for.
    pub fn log(&self, request_id: &str) {
        tracing::info!(
            request_id,
            generation = %self.generation,
            model = self.model,
            evidence = self.sources.len(),
            citations = self.citations.len(),
            flags = ?self.flags(),
            degraded = ?self.degraded,
            queue_ms = self.timings.stage_ms(Stage::Queue),
            rewrite_ms = self.timings.stage_ms(Stage::Rewrite),
            embed_ms = self.timings.stage_ms(Stage::Embed),
            search_ms = self.timings.stage_ms(Stage::Search),
            prompt_ms = self.timings.stage_ms(Stage::Prompt),
            llm_ms = self.timings.stage_ms(Stage::Llm),
            "answer made"
        );
    }

    /// Size in memory, for the cache's accounts: texts plus a flat share for each structure.
    pub fn weight(&self) -> u32 {
        let citations: usize = self
            .citations
            .iter()
            .map(|c| c.quote.len() + c.sentence.len() + c.uri.len() + c.title.len() + 200)
            .sum();
        let sources: usize = self.sources.iter().map(|s| s.uri.len() + s.title.len() + 200).sum();
        u32::try_from(
            self.text.len() + self.standalone.as_ref().map_or(0, String::len) + citations + sources + 400,
        )
        .unwrap_or(u32::MAX)
    }
}
