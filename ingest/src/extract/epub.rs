//! Reads e-books: the chapters in the order of the spine, each as the web page that it is.
//! Leaves out the table of contents, and never opens a book that is locked by its seller.

use std::collections::HashMap;

use crate::extract::archive::{Archive, resolved};
use crate::extract::fault::Fault;
use crate::extract::metadata::field;
use crate::extract::opc::{Properties, dublin_core};
use crate::extract::outline::Outline;
use crate::extract::xml::{Piece, Xml, decoded};
use crate::extract::{Document, Input, Unreadable, html};

const FORMAT: &str = "an EPUB file";
/// Elements whose content is no markup in HTML, so that one that is empty as in XML would swallow what follows.
const RAW: [&str; 7] = ["title", "script", "style", "iframe", "textarea", "noscript", "xmp"];

/// Reads a whole book.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut archive = Archive::open(input, FORMAT)?;
    let container = archive.needed("META-INF/container.xml", FORMAT)?;
    let package = package_of(&decoded(&container))?;
    let text = archive.needed(&package, FORMAT)?;
    let book = Book::read(&decoded(&text), &package)?;
    if let Some(lock) = archive.part("META-INF/encryption.xml")?
        && locked(&decoded(&lock))?.iter().any(|part| book.chapters.contains(part))
    {
        return Err(Fault::Encrypted("its chapters are locked (DRM): get a copy without a lock").into());
    }
    let mut outline = Outline::default();
    for chapter in &book.chapters {
        if let Some(page) = archive.part(chapter)? {
            html::read_into(&mut outline, &without_empty_raw(&decoded(&page)));
        }
    }
    let title = book.properties.title.or_else(|| outline.title().map(str::to_owned));
    Ok(Document { title, outline: Some(outline), metadata: book.properties.metadata, ..Document::default() })
}

fn package_of(container: &str) -> Result<String, Fault> {
    let mut xml = Xml::new(container);
    while let Some(piece) = xml.next()? {
        if let Piece::Start(element) = piece
            && element.name() == "rootfile"
            && let Some(path) = element.attribute("full-path")
        {
            return Ok(resolved("", &path));
        }
    }
    Err(Fault::Damaged("its container names no package".to_owned()))
}

struct Book {
    properties: Properties,
    /// Names of the parts, in reading order.
    chapters: Vec<String>,
}

impl Book {
    fn read(text: &str, package: &str) -> Result<Self, Fault> {
        let properties = dublin_core(text, field::CREATED)?;
        let mut xml = Xml::new(text);
        let mut pages = HashMap::new();
        let mut chapters = Vec::new();
        while let Some(piece) = xml.next()? {
            let Piece::Start(element) = piece else { continue };
            match element.name() {
                "item" => {
                    let properties = element.attribute("properties").unwrap_or_default();
                    if let (Some(id), Some(href)) = (element.attribute("id"), element.attribute("href"))
                        && !properties.split_whitespace().any(|property| property == "nav")
                    {
                        pages.insert(id, resolved(package, &unescaped(&href)));
                    }
                }
                "itemref" => {
                    chapters.extend(element.attribute("idref").and_then(|id| pages.remove(&id)));
                }
                _ => {}
            }
        }
        Ok(Self { properties, chapters })
    }
}

/// Names of the parts that are encrypted.
fn locked(text: &str) -> Result<Vec<String>, Fault> {
    let mut xml = Xml::new(text);
    let mut parts = Vec::new();
    while let Some(piece) = xml.next()? {
        if let Piece::Start(element) = piece
            && element.name() == "CipherReference"
            && let Some(part) = element.attribute("URI")
        {
            parts.push(resolved("", &unescaped(&part)));
        }
    }
    Ok(parts)
}

/// A link as the name of a part.
fn unescaped(link: &str) -> String {
    let link = link.split('#').next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(link.len());
    let mut rest = link.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *first == b'%');
        let hex = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn without_empty_raw(page: &str) -> String {
    let mut kept = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        kept.push_str(before);
        let end = tag.find('>').map_or(tag.len(), |end| end + 1);
        let (tag, after) = tag.split_at(end);
        let name = tag.trim_start_matches('<').split(|c: char| !c.is_ascii_alphanumeric()).next();
        if !(tag.ends_with("/>") && name.is_some_and(|name| RAW.contains(&name))) {
            kept.push_str(tag);
        }
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::archive::tests::{archive, extracted};

    const CONTAINER: &str =
        "<container><rootfiles><rootfile full-path='OPS/book.opf'/></rootfiles></container>";
    const PACKAGE: &str = "<package><metadata><dc:title>A Book</dc:title><dc:creator>Ada</dc:creator><dc:language>en</dc:language>
        <dc:date>2020-01-02</dc:date></metadata><manifest><item id='n' href='nav.xhtml' properties='nav'/><item id='b' href='b.xhtml'/>
        <item id='a' href='text/a%20b.xhtml'/></manifest><spine><itemref idref='n'/><itemref idref='a'/><itemref idref='b'/></spine></package>";

    fn book(more: &[(&str, &str)]) -> Vec<u8> {
        let mut parts = vec![
            ("META-INF/container.xml", CONTAINER),
            ("OPS/book.opf", PACKAGE),
            ("OPS/nav.xhtml", "<body>Contents</body>"),
            ("OPS/b.xhtml", "<html><head><title/></head><body><h1>Two</h1><p>second</p></body></html>"),
            (
                "OPS/text/a b.xhtml",
                "<html><head><script src='x'/></head><body><h1>One</h1><p>first</p></body></html>",
            ),
        ];
        parts.extend_from_slice(more);
        archive(&parts)
    }

    #[test]
    fn chapters_are_read_in_the_order_of_the_spine_without_the_contents() {
        let book = extracted(read, &book(&[])).unwrap();
        let found: Vec<_> =
            book.sections.iter().map(|s| (s.heading_path.join("/"), s.text.as_str())).collect();
        assert_eq!(found, [("One".to_owned(), "first"), ("Two".to_owned(), "second")]);
        assert_eq!(book.title, "A Book");
        let metadata: Vec<_> =
            ["author", "language", "created"].map(|name| book.metadata[name].as_str().unwrap()).into();
        assert_eq!(metadata, ["Ada", "en", "2020-01-02T00:00:00Z"]);
    }

    #[test]
    fn locked_chapters_are_refused_and_locked_fonts_are_not() {
        let lock = |part: &str| {
            format!("<encryption><EncryptedData><CipherReference URI='{part}'/></EncryptedData></encryption>")
        };
        let refused =
            extracted(read, &book(&[("META-INF/encryption.xml", &lock("OPS/b.xhtml"))])).unwrap_err();
        assert!(refused.starts_with("is encrypted: its chapters are locked"), "{refused}");
        assert!(extracted(read, &book(&[("META-INF/encryption.xml", &lock("OPS/font.otf"))])).is_ok());
    }
}
