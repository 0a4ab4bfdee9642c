//! Reads PDF files: text in reading order with its pages, paragraphs put together, headings by bookmarks or size of type.
//! Never draws: pictures, colours and shapes are not looked at, and no text is guessed from pictures.

use std::sync::Arc;

use hayro_syntax::object::{DateTime, Dict, String as Text};
use hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use serde_json::Map;

use crate::extract::archive::SAVE_WITHOUT_PASSWORD;
use crate::extract::fault::Fault;
use crate::extract::metadata::{field, note, note_language, note_time, stated_title};
use crate::extract::{Document, Input, Unreadable};

mod bookmarks;
mod glyphs;
mod layout;
mod lines;
mod matrix;
mod streams;
mod strings;

const FORMAT: &str = "a PDF file";
/// A file may begin with a few other bytes, as mail programs and web servers add them.
const HEADER_WITHIN: usize = 1_024;

/// Reads a whole file.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut streams = streams::Streams::new(input.settings.max_expanded_bytes);
    let pdf = opened(input.bytes, &mut streams)?;
    let mut pages = Vec::new();
    let mut seen = glyphs::Seen::default();
    let fonts = glyphs::Fonts::default();
    for page in pdf.pages().iter() {
        let glyphs = glyphs::read(page, &fonts, &mut streams, &mut seen)?;
        pages.push(lines::lines(glyphs));
    }
    if pages.iter().all(Vec::is_empty) {
        return Err(without_text(&seen).map_or(Unreadable::Empty, Unreadable::from));
    }
    let bookmarks = bookmarks::read(&pdf);
    let laid_out = layout::outline(pages, &bookmarks);
    let metadata = pdf.metadata();
    let stated = stated_title(&strings::decoded(metadata.title.as_deref().unwrap_or_default()));
    let mut fields = Map::new();
    note(&mut fields, field::AUTHOR, &strings::decoded(metadata.author.as_deref().unwrap_or_default()));
    note_time(&mut fields, field::CREATED, &metadata.creation_date.as_ref().map(written).unwrap_or_default());
    note_time(
        &mut fields,
        field::MODIFIED,
        &metadata.modification_date.as_ref().map(written).unwrap_or_default(),
    );
    let root = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id());
    let language = root.and_then(|root| root.get::<Text<'_>>("Lang"));
    note_language(&mut fields, &strings::decoded(language.as_ref().map_or(&[][..], Text::as_bytes)));
    Ok(Document {
        title: stated.or(laid_out.title),
        outline: Some(laid_out.outline),
        metadata: fields,
        ..Document::default()
    })
}

fn opened(bytes: &[u8], streams: &mut streams::Streams) -> Result<Pdf, Fault> {
    let found = |found: &str| Fault::NotFormat { format: FORMAT, found: found.to_owned() };
    if bytes.is_empty() {
        return Err(found("it is empty"));
    }
    let head = bytes.get(..HEADER_WITHIN).unwrap_or(bytes);
    if !head.windows(5).any(|window| window == b"%PDF-") {
        return Err(found("it does not begin with %PDF-"));
    }
    streams.measure_structure(bytes)?;
    Pdf::new(Arc::new(bytes.to_vec())).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            Fault::Encrypted(SAVE_WITHOUT_PASSWORD)
        }
        LoadPdfError::Decryption(_) => {
            Fault::Encrypted("it is so in a way that is not supported: save it without encryption")
        }
        LoadPdfError::Invalid if streams::find(bytes, b"/Encrypt").is_some() => {
            Fault::Encrypted(SAVE_WITHOUT_PASSWORD)
        }
        LoadPdfError::Invalid => Fault::Damaged("no pages are found in it; it may be cut off".to_owned()),
    })
}

/// Why there is no text, if there should be some.
fn without_text(seen: &glyphs::Seen) -> Option<Fault> {
    if seen.unknown > 0 {
        let reason =
            "its fonts do not say which characters they show; run text recognition (OCR) on it first";
        return Some(Fault::Damaged(reason.to_owned()));
    }
    (seen.pictures > 0).then_some(Fault::NoTextLayer)
}

fn written(time: &DateTime) -> String {
    let DateTime { year, month, day, hour, minute, second, utc_offset_hour, utc_offset_minute } = time;
    let sign = if *utc_offset_hour < 0 { '-' } else { '+' };
    let offset = utc_offset_hour.unsigned_abs();
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{offset:02}:{utc_offset_minute:02}"
    )
}

#[cfg(test)]
mod tests;
