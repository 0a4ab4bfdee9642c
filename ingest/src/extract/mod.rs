//! Reads documents: which files there are, and what text, headings and metadata are in them.
//! Never cuts text to a size and never writes anything.

use std::fmt;
use std::path::{Path, PathBuf};

use lectern_schema::chunk::key;
use lectern_schema::identifiers::DocumentId;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::extract::decode::NotText;

mod decode;
mod front_matter;
mod html;
mod jsx;
mod markdown;
mod outline;
pub mod source;

/// A supported document format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Markdown, with or without JSX components.
    Markdown,
    /// A web page.
    Html,
    /// Plain text.
    Text,
}

impl Format {
    /// The format that a file's extension promises.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "md" | "mdx" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "txt" | "text" => Some(Self::Text),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Text => "text",
        })
    }
}

/// A file to be ingested as one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name of the document.
    pub document_id: DocumentId,
    /// Where its bytes are.
    pub path: PathBuf,
    /// What its extension promises.
    pub format: Format,
}

/// What was read from a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// Name of the document.
    pub document_id: DocumentId,
    /// The document's title, or its file name when it has none.
    pub title: String,
    /// What it was read as.
    pub format: Format,
    /// Its text in reading order; at least one section, none of them empty.
    pub sections: Vec<Section>,
    /// Fields that filters can name.
    pub metadata: Map<String, Value>,
}

/// Text under one heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Headings above the text, outermost first, without the document's title.
    pub heading_path: Vec<String>,
    /// The text as light Markdown; plain text as it is.
    pub text: String,
}

/// A document, or a file that should be one, that is not in the generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The document's id, or the file where it has none.
    pub document: String,
    /// Why, reading on after the name.
    pub reason: String,
}

impl Skipped {
    /// Notes why `document` is left out.
    pub fn new(document: impl Into<String>, reason: &str) -> Self {
        Self { document: document.into(), reason: reason.to_owned() }
    }
}

/// Why a document is skipped.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file is too large.
    #[error("has {bytes} bytes, more than `ingest.max_file_bytes` = {most}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        most: u64,
    },
    /// Its bytes are not text.
    #[error(transparent)]
    NotText(#[from] NotText),
    /// Nothing in it could be found by a search.
    #[error("has no text in it")]
    Empty,
}

/// Reads one document. Blocks while it reads the file.
pub fn read(source: &Source, most_bytes: u64) -> Result<Extracted, Unreadable> {
    let bytes = bounded_bytes(&source.path, most_bytes)?;
    let document = match source.format {
        Format::Markdown => {
            let is_mdx =
                source.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mdx"));
            markdown::read(&decode::text(&bytes)?, is_mdx)
        }
        Format::Html => html::read(&decode::html(&bytes)?),
        Format::Text => plain(&decode::text(&bytes)?),
    };
    let title = document.title.unwrap_or_else(|| file_name(&source.path));
    let sections = document.outline.map_or(document.sections, |outline| outline.finish(&title));
    if sections.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut metadata = document.metadata;
    metadata.insert(key::FORMAT.to_owned(), Value::from(source.format.to_string()));
    Ok(Extracted {
        document_id: source.document_id.clone(),
        title,
        format: source.format,
        sections,
        metadata,
    })
}

/// What a format's reader found.
#[derive(Debug, Default)]
struct Document {
    title: Option<String>,
    outline: Option<outline::Outline>,
    sections: Vec<Section>,
    metadata: Map<String, Value>,
}

fn plain(text: &str) -> Document {
    let text = text.trim();
    let sections = if text.is_empty() {
        Vec::new()
    } else {
        vec![Section { heading_path: Vec::new(), text: text.replace("\r\n", "\n") }]
    };
    Document { sections, ..Document::default() }
}

fn bounded_bytes(path: &Path, most: u64) -> Result<Vec<u8>, Unreadable> {
    use std::io::Read;
    let file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > most {
        return Err(Unreadable::TooLarge { bytes, most });
    }
    let mut content = Vec::new();
    // The file may grow while it is read.
    let read = file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    match u64::try_from(read) {
        Ok(bytes) if bytes <= most => Ok(content),
        _ => Err(Unreadable::TooLarge { bytes: most.saturating_add(1), most }),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted(name: &str, content: &[u8]) -> Result<Extracted, Unreadable> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let source = Source {
            document_id: DocumentId::parse(name).unwrap(),
            format: Format::of(&path).unwrap(),
            path,
        };
        read(&source, 1_000)
    }

    #[test]
    fn a_plain_text_is_one_section_titled_by_its_file() {
        let text = extracted("notes.TXT", b"  one\r\n\r\ntwo \n").unwrap();
        assert_eq!((text.title.as_str(), text.format), ("notes.TXT", Format::Text));
        assert_eq!(text.sections, [Section { heading_path: vec![], text: "one\n\ntwo".into() }]);
        assert_eq!(text.metadata["format"], "text");
    }

    #[test]
    fn what_cannot_be_ingested_has_a_reason() {
        assert_eq!(extracted("a.md", b" \n ").unwrap_err().to_string(), "has no text in it");
        assert_eq!(
            extracted("a.html", b"<script>f()</script>").unwrap_err().to_string(),
            "has no text in it"
        );
        assert_eq!(
            extracted("a.txt", &[b'a'; 1_001]).unwrap_err().to_string(),
            "has 1001 bytes, more than `ingest.max_file_bytes` = 1000"
        );
        assert!(extracted("a.txt", b"\xFF").unwrap_err().to_string().starts_with("is not UTF-8 text"));
    }
}
