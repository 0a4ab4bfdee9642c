//! Cuts documents into chunks that fit the embedder, along the documents' own structure.
//! Never reads a file, never embeds, and gives the same chunks for the same document every time.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use lectern_schema::chunk::ChunkPayload;
use lectern_schema::fingerprint::Chunker;
use lectern_schema::identifiers::{ChunkId, ContentHash, TenantId};

use crate::chunk::group::Group;
use crate::chunk::split::Split;
use crate::extract::Extracted;

mod group;
pub mod represented;
mod split;

/// Raised whenever the same document would be cut, or the same chunk be embedded, differently.
pub const VERSION: u32 = 1;
/// Tokens that models put around a text.
const SPECIAL_TOKENS: u32 = 2;
/// Share of a chunk's tokens that title and headings may take.
const HEADER_SHARE: usize = 3;

/// Length of a text in the embedder's tokens.
pub type Measure = Arc<dyn Fn(&str) -> usize + Send + Sync>;

/// One chunk, with the text that represents it to the embedder.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Name of the chunk.
    pub id: ChunkId,
    /// Title, headings and text: what is embedded, and what BM25 counts.
    pub embedded: String,
    /// What is stored.
    pub payload: ChunkPayload,
}

/// Cuts documents.
#[derive(Clone)]
pub struct Cutter {
    measure: Measure,
    settings: Chunker,
}

impl Cutter {
    /// Cuts to `chunk_tokens`, or to what a model sees when that is less.
    pub fn new(measure: Measure, model_tokens: usize, chunk_tokens: u32, overlap_tokens: u32) -> Self {
        let seen = u32::try_from(model_tokens).unwrap_or(u32::MAX).saturating_sub(SPECIAL_TOKENS).max(1);
        let settings = Chunker { version: VERSION, max_tokens: chunk_tokens.min(seen), overlap_tokens };
        Self { measure, settings }
    }

    /// How documents are cut, for the fingerprint.
    pub fn settings(&self) -> &Chunker {
        &self.settings
    }

    /// Hands on the chunks of a document one by one, in reading order, until all are cut or `take` breaks off.
    pub fn cut(
        &self,
        document: &Extracted,
        take: &mut dyn FnMut(Chunk) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let is_markup = !document.format.is_plain();
        let most = usize::try_from(self.settings.max_tokens).unwrap_or(usize::MAX);
        let small = most / 4;
        let mut position = 0;
        for group in group::grouped(&document.sections, small, most - most / HEADER_SHARE, &*self.measure) {
            let header = self.header(&document.title, &group);
            let room = most.saturating_sub((self.measure)(&header)).max(1);
            let overlap = usize::try_from(self.settings.overlap_tokens).unwrap_or(0).min(room / 2);
            let split = Split { measure: &*self.measure, room, overlap, is_markup };
            for text in split.pieces(&group.text) {
                take(self.chunk(document, &group, (&header, text), position))?;
                position = position.saturating_add(1);
            }
        }
        ControlFlow::Continue(())
    }

    /// Title and headings as they are embedded. The outer headings go first when it is too long, then the title's end.
    fn header(&self, title: &str, group: &Group) -> String {
        let most = usize::try_from(self.settings.max_tokens).unwrap_or(usize::MAX) / HEADER_SHARE;
        for from in 0..=group.heading_path.len() {
            let header = headed(title, group.heading_path.get(from..).unwrap_or_default());
            if (self.measure)(&header) <= most {
                return header;
            }
        }
        let mut title = longest_title(title, most);
        while !title.is_empty() && (self.measure)(&title) > most {
            title = half(&title);
        }
        headed(&title, &[])
    }

    fn chunk(&self, document: &Extracted, group: &Group, parts: (&str, &str), position: u32) -> Chunk {
        let (header, text) = parts;
        let embedded = format!("{header}{text}");
        let content_hash = ContentHash::of(&[&embedded]);
        Chunk {
            id: ChunkId::derive(&document.document_id, position, &content_hash),
            payload: ChunkPayload {
                document_id: document.document_id.clone(),
                uri: document.uri.clone(),
                title: document.title.clone(),
                heading_path: group.heading_path.clone(),
                text: text.to_owned(),
                position,
                tokens: u32::try_from((self.measure)(text)).unwrap_or(u32::MAX),
                content_hash,
                tenant: document.tenant.clone().unwrap_or_else(TenantId::public),
                metadata: document.metadata.clone().into_iter().chain(group.metadata.clone()).collect(),
            },
            embedded,
        }
    }
}

/// Title and headings as they stand above a text that is embedded.
fn headed(title: &str, path: &[String]) -> String {
    if path.is_empty() { format!("{title}\n\n") } else { format!("{title}\n{}\n\n", path.join(" > ")) }
}

/// The part of an endless title that is worth measuring when a header has `most` tokens.
fn longest_title(title: &str, most: usize) -> String {
    title.chars().take(most.saturating_mul(8)).collect()
}

fn half(title: &str) -> String {
    title.chars().take(title.chars().count() / 2).collect()
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Section;
    use crate::extract::format::Format;
    use lectern_schema::identifiers::DocumentId;

    fn words() -> Measure {
        Arc::new(|text: &str| text.split_whitespace().count())
    }

    fn cut(cutter: &Cutter, document: &Extracted) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let ended = cutter.cut(document, &mut |chunk| {
            chunks.push(chunk);
            ControlFlow::Continue(())
        });
        assert!(ended.is_continue());
        chunks
    }

    fn document(sections: &[(&[&str], &str)]) -> Extracted {
        Extracted {
            document_id: DocumentId::parse("docs/a.md").unwrap(),
            uri: "docs/a.md".into(),
            title: "Manual".into(),
            format: Format::parse("markdown").unwrap(),
            sections: sections
                .iter()
                .map(|(path, text)| Section {
                    heading_path: path.iter().map(|h| (*h).to_owned()).collect(),
                    text: (*text).to_owned(),
                    ..Section::default()
                })
                .collect(),
            tenant: None,
            metadata: serde_json::Map::new(),
        }
    }

    #[test]
    fn title_and_headings_are_embedded_but_not_quoted() {
        let chunks =
            cut(&Cutter::new(words(), 256, 100, 0), &document(&[(&["Use", "Start"], "Press the button.")]));
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].embedded, "Manual\nUse > Start\n\nPress the button.");
        assert_eq!(chunks[0].payload.text, "Press the button.");
        assert_eq!(chunks[0].payload.tokens, 3);
        assert_eq!(chunks[0].payload.content_hash, ContentHash::of(&[&chunks[0].embedded]));
    }

    #[test]
    fn what_is_embedded_always_fits_and_no_text_is_lost() {
        let text: Vec<String> =
            (0..5_000).map(|n| format!("word{n}{}", if n % 9 == 0 { ".\n\n" } else { "" })).collect();
        let long = "heading ".repeat(60);
        let document = document(&[(&[long.trim(), "inner"], &text.join(" "))]);
        for most in [32, 100, 240] {
            let cutter = Cutter::new(words(), 256, most, 0);
            let chunks = cut(&cutter, &document);
            let most = usize::try_from(most).unwrap();
            assert!(chunks.iter().all(|chunk| words()(&chunk.embedded) <= most));
            let again: Vec<&str> = chunks.iter().flat_map(|c| c.payload.text.split_whitespace()).collect();
            assert_eq!(again, text.join(" ").split_whitespace().collect::<Vec<_>>());
            assert_eq!(chunks, cut(&cutter, &document));
        }
    }

    #[test]
    fn the_model_s_own_bound_counts_when_it_is_lower() {
        assert_eq!(Cutter::new(words(), 256, 1_000, 0).settings().max_tokens, 254);
        assert_eq!(Cutter::new(words(), 8_191, 240, 0).settings().max_tokens, 240);
    }

    #[test]
    fn an_endless_title_is_cut_not_the_text() {
        let mut document = document(&[(&[], "The text.")]);
        document.title = "title ".repeat(10_000);
        let chunks = cut(&Cutter::new(words(), 256, 60, 0), &document);
        assert_eq!(chunks[0].payload.text, "The text.");
        assert!(words()(&chunks[0].embedded) <= 60);
    }
}
