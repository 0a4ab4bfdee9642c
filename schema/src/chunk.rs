//! What is stored with every chunk, and under which payload keys.
//! Never decides where a chunk begins or ends.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::identifiers::{ContentHash, DocumentId, TenantId};

/// Version of [`ChunkPayload`]'s shape: part of the fingerprint, raised by every incompatible change.
pub const PAYLOAD_VERSION: u32 = 1;

/// Payload keys that stores index and filters name. The serde names of [`ChunkPayload`]'s fields are the same.
pub mod key {
    /// Id of the document.
    pub const DOCUMENT_ID: &str = "document_id";
    /// Where the document can be found.
    pub const URI: &str = "uri";
    /// Title of the document.
    pub const TITLE: &str = "title";
    /// Owner of the document.
    pub const TENANT: &str = "tenant";
    /// Object that holds the document's own metadata.
    pub const METADATA: &str = "metadata";
    /// Metadata field with the format a document was read as (`markdown`, `html`, `text`).
    pub const FORMAT: &str = "format";
}

/// One chunk as it is stored beside its vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkPayload {
    /// The document that the chunk was cut from.
    pub document_id: DocumentId,
    /// Where the document can be found, as the source names it.
    pub uri: String,
    /// The document's title, or its file name when it has none.
    pub title: String,
    /// Headings above the chunk, outermost first; without the title.
    pub heading_path: Vec<String>,
    /// The chunk's text, as it is quoted.
    pub text: String,
    /// The chunk's place in its document, from 0.
    pub position: u32,
    /// Length of [`Self::text`] in tokens of the embedder.
    pub tokens: u32,
    /// Hash of what was embedded.
    pub content_hash: ContentHash,
    /// Owner of the document.
    pub tenant: TenantId,
    /// Fields of the document that filters can name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_keys_are_the_fields_names() {
        let payload = ChunkPayload {
            document_id: DocumentId::parse("a.md").unwrap(),
            uri: "a.md".into(),
            title: "A".into(),
            heading_path: vec![],
            text: "text".into(),
            position: 0,
            tokens: 1,
            content_hash: ContentHash::of(&["text"]),
            tenant: TenantId::public(),
            metadata: Map::from_iter([("format".to_owned(), Value::from("markdown"))]),
        };
        let json = serde_json::to_value(&payload).unwrap();
        for name in [key::DOCUMENT_ID, key::URI, key::TITLE, key::TENANT, key::METADATA] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(serde_json::from_value::<ChunkPayload>(json).unwrap(), payload);
    }
}
