//! Knows what the paragraph styles of a DOCX file mean, whatever they are called in the writer's language.
//! Never looks at fonts or colours.

use std::collections::HashMap;

use crate::extract::fault::Fault;
use crate::extract::xml::{Piece, Xml};

/// Styles are based on others at most this often: Word itself stops at 11.
const LONGEST_CHAIN: usize = 16;

/// What a paragraph is by its style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The document's title.
    Title,
    /// A heading; 1 is the outermost.
    Heading(u8),
    /// A line of a table of contents.
    Contents,
}

#[derive(Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline_level: Option<u8>,
    list: Option<(String, u8)>,
}

/// The styles of a document by their ids.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    language: String,
}

impl Styles {
    /// Reads the part that defines them.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let mut xml = Xml::new(text);
        let mut found = Self::default();
        let mut id = String::new();
        while let Some(piece) = xml.next()? {
            let Piece::Start(element) = piece else { continue };
            let value = || element.attribute("val");
            match element.name() {
                "style" => {
                    id = element.attribute("styleId").unwrap_or_default();
                    found.styles.insert(id.clone(), Style::default());
                    continue;
                }
                "lang" if found.language.is_empty() => found.language = value().unwrap_or_default(),
                _ => {}
            }
            let Some(style) = found.styles.get_mut(&id) else { continue };
            match element.name() {
                "name" => style.name = value().unwrap_or_default().to_lowercase(),
                "basedOn" => style.based_on = value(),
                "outlineLvl" => style.outline_level = element.number("val"),
                "numId" => style.list = value().map(|id| (id, style.list.take().map_or(0, |list| list.1))),
                "ilvl" => style.list = Some((String::new(), element.number("val").unwrap_or(0))),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The language of text that states no other.
    pub(super) fn language(&self) -> &str {
        &self.language
    }

    /// What a style makes of its paragraphs, if anything.
    pub(super) fn role(&self, id: &str) -> Option<Role> {
        self.chain(id).find_map(Style::role)
    }

    /// The list that a style puts its paragraphs in, with the level.
    pub(super) fn list(&self, id: &str) -> Option<(&str, u8)> {
        self.chain(id).find_map(|style| style.list.as_ref()).map(|(id, level)| (id.as_str(), *level))
    }

    fn chain<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Style> {
        let mut next = self.styles.get(id);
        std::iter::from_fn(move || {
            let style = next?;
            next = style.based_on.as_ref().and_then(|id| self.styles.get(id));
            Some(style)
        })
        .take(LONGEST_CHAIN)
    }
}

impl Style {
    /// Built-in styles have English names in the file in every language.
    fn role(&self) -> Option<Role> {
        if self.name == "title" {
            return Some(Role::Title);
        }
        if self.name.starts_with("toc ") {
            return Some(Role::Contents);
        }
        let named = || self.name.strip_prefix("heading ")?.parse::<u8>().ok()?.checked_sub(1);
        heading(self.outline_level.or_else(named)?)
    }
}

/// The heading of an outline level: 9 stands for text.
pub(super) fn heading(outline_level: u8) -> Option<Role> {
    (outline_level < 9).then_some(Role::Heading(outline_level.saturating_add(1)))
}
