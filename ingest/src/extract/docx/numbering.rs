//! Knows which paragraphs of a DOCX file are items of lists, and what numbers they bear.
//! Never writes a list: it only says what a reader of the page would see.

use std::collections::HashMap;

use crate::extract::fault::Fault;
use crate::extract::xml::{Piece, Xml};

/// Levels of a list, as Word has them.
const LEVELS: u8 = 9;

#[derive(Debug, Clone)]
struct Level {
    is_numbered: bool,
    first: u64,
}

/// The lists of a document, and how far each has counted.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// Levels by the id of the definition.
    definitions: HashMap<String, HashMap<u8, Level>>,
    /// Definitions by the id of the list.
    lists: HashMap<String, String>,
    /// Last numbers by definition and level: lists of one definition count on.
    counters: HashMap<(String, u8), u64>,
}

/// The mark of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A dot, dash or picture.
    Bullet,
    /// A number, or what a letter stands for.
    Number(u64),
}

impl Numbering {
    /// Reads the part that defines them.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let mut xml = Xml::new(text);
        let mut found = Self::default();
        let (mut definition, mut list, mut level) = (String::new(), String::new(), 0);
        while let Some(piece) = xml.next()? {
            let Piece::Start(element) = piece else { continue };
            match element.name() {
                "abstractNum" => definition = element.attribute("abstractNumId").unwrap_or_default(),
                "num" => list = element.attribute("numId").unwrap_or_default(),
                "abstractNumId" => {
                    let of = element.attribute("val").unwrap_or_default();
                    found.lists.insert(list.clone(), of);
                }
                // A list may change levels of its definition: its kind stays what it is.
                "lvlOverride" => xml.skip()?,
                "lvl" => level = element.number("ilvl").unwrap_or(0),
                "start" => found.level(&definition, level).first = element.number("val").unwrap_or(1),
                "numFmt" => match element.attribute("val").as_deref() {
                    Some("bullet") => found.level(&definition, level).is_numbered = false,
                    Some("none") => {
                        found.definitions.entry(definition.clone()).or_default().remove(&level);
                    }
                    _ => found.level(&definition, level).is_numbered = true,
                },
                _ => {}
            }
        }
        Ok(found)
    }

    /// The mark of the next item of a list; `None` when its paragraphs are no items.
    pub(super) fn next(&mut self, list: &str, level: u8) -> Option<Mark> {
        let definition = self.lists.get(list)?.clone();
        let kind = self.definitions.get(&definition)?.get(&level)?.clone();
        for deeper in level.saturating_add(1)..LEVELS {
            self.counters.remove(&(definition.clone(), deeper));
        }
        if !kind.is_numbered {
            return Some(Mark::Bullet);
        }
        let counter = self.counters.entry((definition, level));
        let number = counter.and_modify(|last| *last = last.saturating_add(1)).or_insert(kind.first);
        Some(Mark::Number(*number))
    }

    fn level(&mut self, definition: &str, level: u8) -> &mut Level {
        let levels = self.definitions.entry(definition.to_owned()).or_default();
        levels.entry(level).or_insert(Level { is_numbered: true, first: 1 })
    }
}
