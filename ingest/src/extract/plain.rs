//! Reads plain text.
//! Never takes a character of it for markup.

use crate::extract::{Document, Input, Section, Unreadable, decode};

/// The text as one section.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let text = decode::text(input.bytes)?;
    let text = text.trim();
    let section = Section { text: text.replace("\r\n", "\n"), ..Section::default() };
    let sections = if text.is_empty() { Vec::new() } else { vec![section] };
    Ok(Document { sections, ..Document::default() })
}
