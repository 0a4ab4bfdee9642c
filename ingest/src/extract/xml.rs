//! Reads XML as a stream of tags and text, by local names.
//! Never expands an entity, never opens another file, and never keeps a tree: depth costs nothing.

use std::borrow::Cow;

use encoding_rs::UTF_8;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::QName;
use quick_xml::{Reader, XmlVersion};

use crate::extract::fault::Fault;

/// Real documents stay below 100: what is deeper was made to exhaust its reader.
const DEEPEST: usize = 1_000;

/// A piece of a document.
pub(super) enum Piece<'a> {
    /// A tag that opens an element; one that is empty is closed by the next piece.
    Start(Element<'a>),
    /// The local name of an element that ends.
    End(String),
    /// Text, with its references resolved.
    Text(Cow<'a, str>),
}

/// An opening tag.
pub(super) struct Element<'a>(BytesStart<'a>);

/// A document being read.
pub(super) struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
}

/// A part's bytes as text: UTF-8, or UTF-16 with a byte order mark.
pub(super) fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    UTF_8.decode(bytes).0
}

impl<'a> Xml<'a> {
    /// Begins to read.
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        Self { reader, depth: 0 }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Piece<'a>>, Fault> {
        loop {
            let event = self.reader.read_event();
            match event.map_err(|error| Fault::Damaged(format!("its XML is broken: {error}")))? {
                Event::Start(tag) => return self.opened(tag).map(Some),
                Event::End(tag) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Some(Piece::End(tag.local_name().as_ref().to_owned())));
                }
                Event::Text(text) => return Ok(Some(Piece::Text(text.into_inner()))),
                Event::CData(text) => return Ok(Some(Piece::Text(text.into_inner()))),
                Event::GeneralRef(reference) => {
                    return Ok(Some(Piece::Text(Cow::Owned(resolved(&reference)))));
                }
                Event::DocType(declared) if declared.contains("<!ENTITY") => {
                    let reason = "it declares XML entities, which documents have no use for and attacks have";
                    return Err(Fault::Hostile(reason.to_owned()));
                }
                Event::Eof => return Ok(None),
                _ => {}
            }
        }
    }

    /// Reads past the end of the element that was opened last.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let mut open = 1_usize;
        while open > 0 {
            match self.next()? {
                Some(Piece::Start(_)) => open += 1,
                Some(Piece::End(_)) => open -= 1,
                Some(Piece::Text(_)) => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The text of the element that was opened last, up to its end.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let mut text = String::new();
        let mut open = 1_usize;
        while open > 0 {
            match self.next()? {
                Some(Piece::Start(_)) => open += 1,
                Some(Piece::End(_)) => open -= 1,
                Some(Piece::Text(piece)) => text.push_str(&piece),
                None => break,
            }
        }
        Ok(text)
    }

    fn opened(&mut self, tag: BytesStart<'a>) -> Result<Piece<'a>, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::Hostile(format!("it nests XML elements deeper than {DEEPEST}")));
        }
        Ok(Piece::Start(Element(tag)))
    }
}

impl Element<'_> {
    /// The name without its prefix.
    pub(super) fn name(&self) -> &str {
        name_of(self.0.name())
    }

    /// The value of an attribute, named without its prefix, or with it where two differ by it alone.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let found = self.0.attributes().with_checks(false).flatten().find(|attribute| {
            let key = attribute.key;
            if name.contains(':') { key.0 == name } else { key.local_name().as_ref() == name }
        })?;
        let value = found.normalized_value(XmlVersion::Implicit1_0);
        Some(value.map_or_else(|_| found.value.to_string(), Cow::into_owned))
    }

    /// A number in an attribute.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.attribute(name)?.trim().parse().ok()
    }

    /// A switch: on unless it says otherwise.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.attribute("val").as_deref(), Some("0" | "false" | "off" | "none"))
    }
}

fn name_of(name: QName<'_>) -> &str {
    name.0.rsplit_once(':').map_or(name.0, |(_, local)| local)
}

/// Entities beyond XML's own five have no meaning without a declaration.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return c.to_string();
    }
    let name: &str = reference;
    match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        "nbsp" => " ",
        _ => "",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(xml: &str) -> Result<String, String> {
        Xml::new(xml).text().map_err(|fault| fault.to_string())
    }

    #[test]
    fn text_has_its_references_resolved_and_entities_are_never_expanded() {
        assert_eq!(text("<a>x &amp; <b>&#x41;&#66;</b><![CDATA[<c>]]>&unknown;</a>").unwrap(), "x & AB<c>");
        let refused = text("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>").unwrap_err();
        assert!(refused.starts_with("is refused: it declares XML entities"), "{refused}");
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(text(&format!("{}x", "<a>".repeat(999))).unwrap(), "x");
        let refused = text(&"<a>".repeat(200_000)).unwrap_err();
        assert_eq!(refused, "is refused: it nests XML elements deeper than 1000");
    }

    #[test]
    fn broken_markup_is_a_fault_and_a_missing_end_is_none() {
        assert!(text("<a><b attr=").unwrap_err().starts_with("is damaged: its XML is broken"));
        assert_eq!(text("<a>x</b></a>").unwrap(), "x");
    }

    #[test]
    fn attributes_are_found_by_local_name_or_by_the_whole() {
        let mut xml = Xml::new("<p:s id='1' r:id='2' w:val='a&amp;b'/>");
        let Some(Piece::Start(element)) = xml.next().unwrap() else { panic!("a tag") };
        assert_eq!(element.name(), "s");
        assert_eq!(element.attribute("r:id").as_deref(), Some("2"));
        assert_eq!(element.number::<u8>("id"), Some(1));
        assert_eq!(element.attribute("val").as_deref(), Some("a&b"));
    }

    #[test]
    fn utf_16_is_read() {
        let bytes: Vec<u8> = "\u{FEFF}<a>ä</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&decoded(&bytes)).unwrap(), "ä");
    }
}
