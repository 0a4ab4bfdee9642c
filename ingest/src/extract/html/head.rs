//! Reads what a page says about itself: `meta` elements, its language, and linked data (JSON-LD).
//! Never takes anything of it for text.

use serde_json::{Map, Value};

use crate::extract::metadata::{self, field};

/// Most bytes of linked data that are looked at: what it says of a page is short.
const LINKED_BYTES: usize = 64 * 1024;

/// Names of `meta` elements, in lower case, and the fields that they give; of several, the first on the page counts.
const NAMES: [(&str, &str); 26] = [
    ("author", field::AUTHOR),
    ("article:author", field::AUTHOR),
    ("dc.creator", field::AUTHOR),
    ("dcterms.creator", field::AUTHOR),
    ("citation_author", field::AUTHOR),
    ("article:published_time", field::CREATED),
    ("date", field::CREATED),
    ("datepublished", field::CREATED),
    ("dc.date", field::CREATED),
    ("dc.date.created", field::CREATED),
    ("dc.date.issued", field::CREATED),
    ("dcterms.created", field::CREATED),
    ("dcterms.issued", field::CREATED),
    ("citation_publication_date", field::CREATED),
    ("article:modified_time", field::MODIFIED),
    ("datemodified", field::MODIFIED),
    ("dc.date.modified", field::MODIFIED),
    ("dcterms.modified", field::MODIFIED),
    ("last-modified", field::MODIFIED),
    ("og:updated_time", field::MODIFIED),
    ("content-language", field::LANGUAGE),
    ("dc.language", field::LANGUAGE),
    ("og:locale", field::LANGUAGE),
    ("description", field::DESCRIPTION),
    ("dc.description", field::DESCRIPTION),
    ("keywords", field::KEYWORDS),
];

/// Keys of linked data and the fields that they give.
const KEYS: [(&str, &str); 3] =
    [("datePublished", field::CREATED), ("dateModified", field::MODIFIED), ("inLanguage", field::LANGUAGE)];

/// The fields that a page gives.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) fields: Map<String, Value>,
    /// Linked data while it is collected.
    linked: String,
}

impl Head {
    /// Takes a `meta` element.
    pub(super) fn meta(&mut self, name: &str, content: &str) {
        let name = name.to_ascii_lowercase();
        if let Some((_, field)) = NAMES.iter().find(|(known, _)| *known == name) {
            metadata::note_as(&mut self.fields, field, content);
        }
    }

    /// Takes the language that the page's outermost element declares, which is surer than what it says elsewhere.
    pub(super) fn language(&mut self, tag: &str) {
        metadata::note_language(&mut self.fields, tag);
    }

    /// Takes a piece of linked data.
    pub(super) fn linked(&mut self, text: &str) {
        if self.linked.len() + text.len() <= LINKED_BYTES {
            self.linked.push_str(text);
        }
    }

    /// Ends the linked data. What `meta` elements say counts more.
    pub(super) fn end_linked(&mut self) {
        let data = serde_json::from_str(&std::mem::take(&mut self.linked)).unwrap_or(Value::Null);
        let graph = data.get("@graph").unwrap_or(&data);
        let things: &[Value] = graph.as_array().map_or(std::slice::from_ref(graph), Vec::as_slice);
        for thing in things {
            for (key, field) in KEYS {
                if let Some(text) = thing.get(key).and_then(Value::as_str) {
                    metadata::note_as(&mut self.fields, field, text);
                }
            }
            self.author(thing.get("author"));
        }
    }

    fn author(&mut self, author: Option<&Value>) {
        let Some(author) = author else { return };
        let authors: &[Value] = author.as_array().map_or(std::slice::from_ref(author), Vec::as_slice);
        let names = authors.iter().filter_map(|author| author.get("name").unwrap_or(author).as_str());
        metadata::note(&mut self.fields, field::AUTHOR, &names.collect::<Vec<_>>().join(", "));
    }
}
