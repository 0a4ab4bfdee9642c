//! Compares documents with what the last run made of them: new, changed, unchanged, gone.
//! Never writes anything; what a run reuses is decided chunk by chunk, by the embedding cache, not here.

use std::collections::HashMap;

use lectern_schema::identifiers::{ContentHash, DocumentId};

use crate::chunk::Chunk;
use crate::pipeline::progress::count;
use crate::pipeline::report::Changes;
use crate::registry::documents::{DocumentRecord, DocumentState};

/// The ingested documents of the last run, waiting to be seen again.
#[derive(Debug, Default)]
pub struct Plan {
    unseen: HashMap<DocumentId, Option<ContentHash>>,
    changes: Changes,
}

impl Plan {
    /// Begins with what the last run knew.
    pub fn new(records: Vec<DocumentRecord>) -> Self {
        let ingested = records.into_iter().filter(|r| matches!(r.state, DocumentState::Ingested { .. }));
        Self {
            unseen: ingested.map(|record| (record.document_id, record.content_hash)).collect(),
            changes: Changes::default(),
        }
    }

    /// Notes a document of this run.
    pub fn see(&mut self, document: &DocumentId, content: &ContentHash) {
        match self.unseen.remove(document) {
            None => self.changes.new += 1,
            Some(known) if known.as_ref() == Some(content) => self.changes.unchanged += 1,
            Some(_) => self.changes.changed += 1,
        }
    }

    /// The differences, once all documents have been seen.
    pub fn finish(self) -> Changes {
        Changes { gone: count(self.unseen.len()), ..self.changes }
    }
}

/// The content of a document as its generation holds it: whatever changes a chunk or its payload changes this.
#[derive(Debug, Default)]
pub struct Content {
    parts: Vec<String>,
}

impl Content {
    /// Notes the document's next chunk.
    pub fn add(&mut self, chunk: &Chunk) {
        let payload = serde_json::to_string(&chunk.payload).unwrap_or_default();
        self.parts.push(ContentHash::of(&[&payload]).to_string());
    }

    /// The hash of it, once all chunks are noted.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(&self.parts.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lectern_schema::chunk::ChunkPayload;
    use lectern_schema::identifiers::{ChunkId, TenantId};

    fn id(text: &str) -> DocumentId {
        DocumentId::parse(text).unwrap()
    }

    fn record(name: &str, content: &str) -> DocumentRecord {
        DocumentRecord {
            document_id: id(name),
            uri: name.into(),
            content_hash: Some(ContentHash::of(&[content])),
            state: DocumentState::Ingested { chunks: 1 },
        }
    }

    fn chunk() -> Chunk {
        let content_hash = ContentHash::of(&["text"]);
        let payload = ChunkPayload {
            document_id: id("a"),
            uri: "a".into(),
            title: "A".into(),
            heading_path: Vec::new(),
            text: "text".into(),
            position: 0,
            tokens: 1,
            content_hash: content_hash.clone(),
            tenant: TenantId::public(),
            metadata: serde_json::Map::new(),
        };
        Chunk { id: ChunkId::derive(&id("a"), 0, &content_hash), embedded: "text".into(), payload }
    }

    fn content_of(chunk: &Chunk) -> ContentHash {
        let mut content = Content::default();
        content.add(chunk);
        content.hash()
    }

    #[test]
    fn a_document_that_changes_its_owner_or_place_is_changed() {
        let (mut owned, mut moved) = (chunk(), chunk());
        owned.payload.tenant = TenantId::parse("acme").unwrap();
        moved.payload.uri = "b".into();
        assert_ne!(content_of(&chunk()), content_of(&owned));
        assert_ne!(content_of(&chunk()), content_of(&moved));
    }

    #[test]
    fn each_document_is_new_changed_unchanged_or_gone() {
        let mut plan = Plan::new(vec![record("same", "a"), record("other", "b"), record("left", "c")]);
        plan.see(&id("same"), &ContentHash::of(&["a"]));
        plan.see(&id("other"), &ContentHash::of(&["B"]));
        plan.see(&id("fresh"), &ContentHash::of(&["d"]));
        assert_eq!(plan.finish(), Changes { new: 1, changed: 1, unchanged: 1, gone: 1 });
    }

    #[test]
    fn a_document_that_was_skipped_before_is_new() {
        let skipped = DocumentRecord {
            state: DocumentState::Skipped { reason: "was broken".into() },
            content_hash: None,
            ..record("a", "")
        };
        let mut plan = Plan::new(vec![skipped]);
        plan.see(&id("a"), &ContentHash::of(&["a"]));
        assert_eq!(plan.finish(), Changes { new: 1, ..Changes::default() });
    }
}
