//! Reads documents: which files there are, and what text, headings and metadata are in them.
//! Never cuts text to a size and never writes anything.

use std::path::{Path, PathBuf};

use lectern_schema::chunk::key;
use lectern_schema::identifiers::{ContentHash, DocumentId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::extract::decode::NotText;
use crate::extract::fault::Fault;
use crate::extract::format::{Format, Reader};
use crate::extract::mail::BadMail;
use crate::extract::records::{BadRecord, RecordFields};

mod archive;
mod asciidoc;
mod clean;
mod decode;
mod delimited;
mod docx;
mod drawing;
mod epub;
mod fault;
pub mod format;
mod front_matter;
mod html;
mod jsx;
mod language;
pub mod mail;
mod markdown;
mod metadata;
mod names;
mod odf;
mod opc;
mod outline;
mod pdf;
mod plain;
mod pptx;
pub mod records;
mod rst;
mod rtf;
pub mod source;
mod substitutions;
mod xlsx;
mod xml;

/// A file to be ingested: one document in most formats, many in some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name of the document, or the beginning of the names of all documents in it.
    pub document_id: DocumentId,
    /// Where people find it.
    pub uri: String,
    /// Where its bytes are.
    pub path: PathBuf,
    /// What its extension promises.
    pub format: Format,
}

/// What was read from a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// Name of the document.
    pub document_id: DocumentId,
    /// Where people find it.
    pub uri: String,
    /// The document's title, or its file name when it has none.
    pub title: String,
    /// What it was read as.
    pub format: Format,
    /// Its text in reading order; at least one section, none of them empty.
    pub sections: Vec<Section>,
    /// Whose it is, when it says so itself.
    pub tenant: Option<TenantId>,
    /// Fields that filters can name.
    pub metadata: Map<String, Value>,
}

/// Text under one heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Headings above the text, outermost first, without the document's title.
    pub heading_path: Vec<String>,
    /// The text as light Markdown; plain text as it is.
    pub text: String,
    /// Fields of this section alone that filters can name, such as its page.
    pub metadata: Map<String, Value>,
}

/// One document of a source, or why it is left out.
pub type Part = Result<Extracted, Unread>;

/// A document that was found and not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Name of the document.
    pub document_id: DocumentId,
    /// Where people find it.
    pub uri: String,
    /// Why, reading on after the name.
    pub reason: String,
}

impl Unread {
    /// Notes why nothing, or nothing more, was read from `source`.
    pub fn whole(source: &Source, reason: &impl ToString) -> Self {
        Self { document_id: source.document_id.clone(), uri: source.uri.clone(), reason: reason.to_string() }
    }
}

/// A document, or a file that should be one, that is not in the generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    Io(#[source] std::io::Error),
    /// There is not enough memory for it.
    #[error("needs more memory to be read than `ingest.extract_mib` allows")]
    Memory,
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
    /// It is in a binary or packed format and cannot be read as such.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It is no record that can be ingested.
    #[error(transparent)]
    Record(#[from] BadRecord),
    /// It is no mail that can be read.
    #[error(transparent)]
    Mail(#[from] BadMail),
    /// Nothing in it could be found by a search.
    #[error("has no text in it")]
    Empty,
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::OutOfMemory { Self::Memory } else { Self::Io(error) }
    }
}

/// How documents are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
    /// Most bytes that the compressed parts of a file may have together when they are expanded.
    pub max_expanded_bytes: u64,
    /// Which field of a record is what.
    pub records: RecordFields,
}

/// What a format's reader is given.
#[derive(Debug, Clone, Copy)]
struct Input<'a> {
    /// Name of the file, with its extension.
    name: &'a str,
    /// Its content.
    bytes: &'a [u8],
    /// How to read it.
    settings: &'a Settings,
    /// How many files it lies within.
    depth: usize,
}

/// What a format's reader found.
#[derive(Debug, Default)]
struct Document {
    title: Option<String>,
    /// What it was read as, when that is not what the file is.
    format: Option<Format>,
    outline: Option<outline::Outline>,
    sections: Vec<Section>,
    uri: Option<String>,
    tenant: Option<TenantId>,
    metadata: Map<String, Value>,
}

/// Takes the documents of a file that holds many: what each is called within the file (`None` when it is the file itself),
/// and what it is.
type Emit<'a> = dyn FnMut(Option<&str>, Result<Document, Unreadable>) + 'a;

/// Reads all documents of a source, in their order, and hands them to `emit` one by one. Blocks while it reads.
pub fn read(source: &Source, settings: &Settings, emit: &mut dyn FnMut(Part)) {
    let unread = |error: &Unreadable| Err(Unread::whole(source, error));
    let bytes = match bounded_bytes(&source.path, settings.max_file_bytes) {
        Ok(bytes) => bytes,
        Err(error) => return emit(unread(&error)),
    };
    let name = file_name(&source.path);
    let input = Input { name: &name, bytes: &bytes, settings, depth: 0 };
    match source.format.reader() {
        Reader::One(read) => emit(part(source, &name, None, read(&input))),
        Reader::Many(read) => {
            let read = read(&input, &mut |within, document| emit(part(source, &name, within, document)));
            if let Err(error) = read {
                emit(unread(&error));
            }
        }
    }
}

fn part(source: &Source, file: &str, within: Option<&str>, document: Result<Document, Unreadable>) -> Part {
    let named = within.map_or_else(|| source.clone(), |within| named_within(source, within));
    let title = within.unwrap_or(file);
    document
        .and_then(|document| extracted(&named, title, document))
        .map_err(|error| Unread::whole(&named, &error))
}

fn extracted(named: &Source, name: &str, document: Document) -> Result<Extracted, Unreadable> {
    let Source { document_id, uri, format, .. } = named.clone();
    let title = document.title.as_deref().map(line).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| name.to_owned());
    let sections = document.outline.map_or(document.sections, |outline| outline.finish(&title));
    let sections: Vec<Section> = sections.into_iter().filter_map(cleaned).collect();
    if sections.is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut metadata = document.metadata;
    metadata::unify(&mut metadata);
    if !metadata.contains_key(metadata::field::LANGUAGE)
        && let Some(language) = language::detected(&sections)
    {
        metadata::note_language(&mut metadata, &language);
    }
    let mut metadata = metadata::bounded(metadata);
    let format = document.format.unwrap_or(format);
    metadata.insert(key::FORMAT.to_owned(), Value::from(format.name()));
    let uri = document.uri.unwrap_or(uri);
    Ok(Extracted { document_id, uri, tenant: document.tenant, title, format, sections, metadata })
}

/// The section as it is found and shown, unless nothing is left of it.
fn cleaned(section: Section) -> Option<Section> {
    let text = clean::clean(&section.text).trim().to_owned();
    let heading_path = section.heading_path.iter().map(|heading| line(heading)).collect();
    (!text.is_empty()).then_some(Section { heading_path, text, ..section })
}

/// A text of one line.
fn line(text: &str) -> String {
    clean::clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name of a document in a file of many: `mail.mbox#17`. What no name can hold becomes a space, and a name that is
/// too long ends in the hash of all of it.
fn named_within(file: &Source, name: &str) -> Source {
    let plain: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let whole = format!("{}#{plain}", file.document_id);
    let document_id = DocumentId::parse(&whole).unwrap_or_else(|_| shortened(&file.document_id, &whole));
    Source { document_id, uri: format!("{}#{plain}", file.uri), ..file.clone() }
}

fn shortened(file: &DocumentId, whole: &str) -> DocumentId {
    let hash = ContentHash::of(&[whole]).to_string();
    let room = DocumentId::MAX_BYTES.saturating_sub(hash.len() + 1);
    let mut end = room.min(whole.len());
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    let short = format!("{}~{hash}", whole.get(..end).unwrap_or_default());
    DocumentId::parse(&short).unwrap_or_else(|_| file.clone())
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
    use crate::partition::Partition;

    /// What tests read with.
    pub(super) fn settings() -> Settings {
        Settings { max_file_bytes: 1_000, max_expanded_bytes: 10_000, records: RecordFields::default() }
    }

    /// A file of this content.
    pub(super) fn input<'a>(name: &'a str, bytes: &'a [u8]) -> Input<'a> {
        static SETTINGS: std::sync::LazyLock<Settings> = std::sync::LazyLock::new(settings);
        Input { name, bytes, settings: &SETTINGS, depth: 0 }
    }

    /// All that a reader finds in a file of many documents; what is the file itself has no name.
    pub(super) fn many(
        read: fn(&Input<'_>, &mut Emit<'_>) -> Result<(), Unreadable>,
        input: &Input<'_>,
    ) -> Vec<(String, Result<Document, String>)> {
        let mut found = Vec::new();
        read(input, &mut |name, document| {
            found.push((name.unwrap_or_default().to_owned(), document.map_err(|error| error.to_string())));
        })
        .unwrap();
        found
    }

    fn extracted(name: &str, content: &[u8]) -> Part {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let source = Source {
            document_id: DocumentId::parse(name).unwrap(),
            uri: name.to_owned(),
            format: Format::of(&path).unwrap(),
            path,
        };
        let mut parts = Vec::new();
        read(&source, &settings(), &mut |part| parts.push(part));
        assert_eq!(parts.len(), 1);
        parts.remove(0)
    }

    #[test]
    fn a_plain_text_is_one_section_titled_by_its_file() {
        let text = extracted("notes.TXT", b"  one\r\n\r\ntwo \n").unwrap();
        assert_eq!((text.title.as_str(), text.format), ("notes.TXT", Format::parse("text").unwrap()));
        assert_eq!(
            text.sections,
            [Section { heading_path: vec![], text: "one\n\ntwo".into(), ..Section::default() }]
        );
        assert_eq!(text.metadata["format"], "text");
    }

    /// Whoever reads a file must own what is read of it.
    #[test]
    fn documents_of_a_file_fall_into_its_part_however_long_its_name_is() {
        for length in [10, 850, 950, 958, 959, 960, 1_000, 1_024] {
            for letter in ["a", "ä"] {
                let name = letter.repeat(length / letter.len());
                let document_id = DocumentId::parse(&name).unwrap();
                let file = Source { document_id, uri: name, ..source("a.txt") };
                for within in ["x".to_owned(), "#".repeat(20), "y".repeat(1_000)] {
                    let document = named_within(&file, &within).document_id;
                    let owners = |document| Partition::all(97).filter(move |part| part.owns(document));
                    assert!(owners(&document).eq(owners(&file.document_id)), "{document}");
                }
            }
        }
    }

    fn source(name: &str) -> Source {
        Source {
            document_id: DocumentId::parse(name).unwrap(),
            uri: name.to_owned(),
            format: Format::of(Path::new(name)).unwrap(),
            path: name.into(),
        }
    }

    #[test]
    fn what_cannot_be_ingested_has_a_reason() {
        assert_eq!(extracted("a.md", b" \n ").unwrap_err().reason, "has no text in it");
        assert_eq!(extracted("a.html", b"<script>f()</script>").unwrap_err().reason, "has no text in it");
        assert_eq!(
            extracted("a.txt", &[b'a'; 1_001]).unwrap_err().reason,
            "has 1001 bytes, more than `ingest.max_file_bytes` = 1000"
        );
        assert!(
            extracted("a.txt", b"ab\0c").unwrap_err().reason.starts_with("is not text: it holds a NUL byte")
        );
    }
}
