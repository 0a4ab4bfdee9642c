//! Reads the footnotes or endnotes of a DOCX file.
//! Never says where they belong: the text that refers to them does.

use std::collections::HashMap;

use crate::extract::fault::Fault;
use crate::extract::xml::{Piece, Xml};

/// The text of each note by its id.
pub(super) fn read(text: &str) -> Result<HashMap<String, String>, Fault> {
    let mut xml = Xml::new(text);
    let mut notes = HashMap::new();
    while let Some(piece) = xml.next()? {
        let Piece::Start(element) = piece else { continue };
        if !matches!(element.name(), "footnote" | "endnote") {
            continue;
        }
        let id = element.attribute("id").unwrap_or_default();
        let note = note(&mut xml)?;
        if !note.is_empty() {
            notes.insert(id, note);
        }
    }
    Ok(notes)
}

fn note(xml: &mut Xml<'_>) -> Result<String, Fault> {
    let mut note = String::new();
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => match element.name() {
                "t" => note.push_str(&xml.text()?),
                "tab" | "br" | "p" => note.push(' '),
                "del" | "moveFrom" | "instrText" | "Fallback" => xml.skip()?,
                _ => {}
            },
            Piece::End(name) if name == "footnote" || name == "endnote" => break,
            _ => {}
        }
    }
    Ok(note.split_whitespace().collect::<Vec<_>>().join(" "))
}
