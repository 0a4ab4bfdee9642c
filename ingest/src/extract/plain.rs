//! Reads plain text.
//! Never takes a character of it for markup.

use crate::extract::{Document, Input, Section, Unreadable, decode};

/// The text as one section.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let text = decode::text(input.bytes)?;
    let mut document = Document::default();
    text.note_encoding(&mut document.metadata);
    document.sections.push(Section { text: (*text).to_owned(), ..Section::default() });
    Ok(document)
}
