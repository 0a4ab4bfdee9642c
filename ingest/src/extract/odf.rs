//! Reads ODT files: headings, lists, tables, notes and text boxes; no deleted text, annotations or tables of contents.
//! Never looks at fonts or colours: what a paragraph is, its element and the name of its style tell.

use std::collections::{HashMap, HashSet};

use crate::extract::archive::{Archive, SAVE_WITHOUT_PASSWORD};
use crate::extract::fault::Fault;
use crate::extract::metadata::field;
use crate::extract::opc::{Properties, dublin_core};
use crate::extract::outline::Outline;
use crate::extract::xml::{Element, Piece, Xml, decoded};
use crate::extract::{Document, Input, Unreadable};

const FORMAT: &str = "an ODT file";
/// Most empty cells that one cell stands for: more columns than a text document has.
const MOST_COLUMNS: usize = 64;

/// Reads a whole file.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut archive = Archive::open(input, FORMAT)?;
    if let Some(manifest) = archive.part("META-INF/manifest.xml")?
        && decoded(&manifest).contains("encryption-data")
    {
        return Err(Fault::Encrypted(SAVE_WITHOUT_PASSWORD).into());
    }
    let content = archive.needed("content.xml", FORMAT)?;
    let properties = match archive.part("meta.xml")? {
        Some(meta) => dublin_core(&decoded(&meta), field::MODIFIED)?,
        None => Properties::default(),
    };
    let outline = Body::default().read(&decoded(&content))?;
    let title = outline.title().map(str::to_owned).or(properties.title);
    Ok(Document { title, outline: Some(outline), metadata: properties.metadata, ..Document::default() })
}

#[derive(Default)]
struct Body {
    outline: Outline,
    /// Styles that are made from the one for titles.
    titles: HashSet<String>,
    /// Whether each level of a list style is numbered.
    numbered: HashMap<(String, usize), bool>,
    /// The list style being defined.
    defined: String,
    /// Styles of the open lists.
    lists: Vec<String>,
    /// Open paragraphs: text boxes hold paragraphs within paragraphs.
    paragraphs: usize,
    tables: usize,
    /// Empty cells that follow the open one.
    covered: usize,
    notes: Vec<(usize, String)>,
    noted: usize,
}

impl Body {
    fn read(mut self, text: &str) -> Result<Outline, Fault> {
        let mut xml = Xml::new(text);
        while let Some(piece) = xml.next()? {
            match piece {
                Piece::Start(element) => self.start(&element, &mut xml)?,
                Piece::End(name) => self.end(&name),
                Piece::Text(text) if self.paragraphs > 0 => self.outline.text(&text),
                Piece::Text(_) => {}
            }
        }
        self.outline.end_block();
        self.write_notes();
        Ok(self.outline)
    }

    fn start(&mut self, element: &Element<'_>, xml: &mut Xml<'_>) -> Result<(), Fault> {
        match element.name() {
            "style" => {
                if let (Some(name), Some("Title")) =
                    (element.attribute("name"), element.attribute("parent-style-name").as_deref())
                {
                    self.titles.insert(name);
                }
            }
            "list-style" => self.defined = element.attribute("name").unwrap_or_default(),
            "list-level-style-number" | "list-level-style-bullet" => {
                let level = element.number("level").unwrap_or(1);
                let is_numbered = element.name() == "list-level-style-number";
                self.numbered.insert((self.defined.clone(), level), is_numbered);
            }
            "h" | "p" => self.start_paragraph(element),
            "list" => self.start_list(element),
            "list-item" | "list-header" => self.outline.start_item(),
            "table" => {
                self.tables += 1;
                self.outline.start_table();
            }
            "table-row" => self.outline.start_row(),
            "table-cell" | "covered-table-cell" => {
                self.outline.start_cell();
                let repeated = element.number::<usize>("number-columns-repeated").unwrap_or(1);
                self.covered = repeated.saturating_sub(1).min(MOST_COLUMNS);
            }
            "note" => self.note(xml)?,
            "s" | "tab" => self.outline.text(" "),
            "line-break" => self.outline.line_break(),
            "text-box" => self.outline.end_block(),
            // What was deleted, said beside the text, repeated from it or no text at all.
            "tracked-changes" | "annotation" | "table-of-content" | "alphabetical-index"
            | "illustration-index" | "table-index" | "object-index" | "user-index" | "bibliography"
            | "forms" | "ruby-text" | "desc" | "title" | "binary-data" | "script" | "event-listeners" => {
                xml.skip()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        match name {
            "h" | "p" => {
                self.paragraphs = self.paragraphs.saturating_sub(1);
                self.outline.end_block();
                if self.tables == 0 {
                    self.write_notes();
                }
            }
            "list" => {
                self.lists.pop();
                self.outline.end_list();
            }
            "table-cell" | "covered-table-cell" => {
                for _ in 0..std::mem::take(&mut self.covered) {
                    self.outline.start_cell();
                }
            }
            "table" => {
                self.tables = self.tables.saturating_sub(1);
                self.outline.end_table();
                if self.tables == 0 {
                    self.write_notes();
                }
            }
            "text-box" => self.outline.end_block(),
            _ => {}
        }
    }

    /// A title is above the headings of the outermost level.
    fn start_paragraph(&mut self, element: &Element<'_>) {
        self.paragraphs += 1;
        let style = element.attribute("style-name").unwrap_or_default();
        if style == "Title" || self.titles.contains(&style) {
            self.outline.start_heading(1);
        } else if element.name() == "h" {
            let level: u8 = element.number("outline-level").unwrap_or(1);
            self.outline.start_heading(level.saturating_add(1));
        }
    }

    /// A list within another has the style of the outer one.
    fn start_list(&mut self, element: &Element<'_>) {
        let own = element.attribute("style-name");
        let style = own.or_else(|| self.lists.last().cloned()).unwrap_or_default();
        self.lists.push(style.clone());
        let is_numbered = self.numbered.get(&(style, self.lists.len())).copied().unwrap_or(false);
        self.outline.start_list(is_numbered.then_some(1));
    }

    fn note(&mut self, xml: &mut Xml<'_>) -> Result<(), Fault> {
        let mut note = String::new();
        while let Some(piece) = xml.next()? {
            match piece {
                Piece::Start(element) if element.name() == "note-citation" => xml.skip()?,
                Piece::Start(_) => note.push(' '),
                Piece::End(name) if name == "note" => break,
                Piece::End(_) => {}
                Piece::Text(text) => note.push_str(&text),
            }
        }
        self.noted += 1;
        self.outline.text(&format!("[^{}]", self.noted));
        self.notes.push((self.noted, note));
        Ok(())
    }

    fn write_notes(&mut self) {
        for (number, note) in std::mem::take(&mut self.notes) {
            self.outline.text(&format!("[^{number}]: {note}"));
            self.outline.end_block();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::archive::tests::{archive, extracted};

    fn text(body: &str) -> String {
        let content = format!(
            "<office:document-content><office:automatic-styles><text:list-style style:name='L1'>
            <text:list-level-style-number text:level='1'/><text:list-level-style-bullet text:level='2'/></text:list-style>
            <style:style style:name='P1' style:parent-style-name='Title'/></office:automatic-styles>
            <office:body><office:text>{body}</office:text></office:body></office:document-content>"
        );
        let document = extracted(read, &archive(&[("content.xml", &content)])).unwrap();
        let sections = document.sections.iter().map(|s| format!("{}>{}", s.heading_path.join("/"), s.text));
        format!("{}: {}", document.title, sections.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn headings_lists_and_tables_keep_their_shape() {
        assert_eq!(
            text(
                "<text:p text:style-name='P1'>Title</text:p><text:h text:outline-level='1'>A</text:h><text:h text:outline-level='2'>B</text:h>
                <text:list text:style-name='L1'><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>in<text:s/>ner</text:p></text:list-item></text:list>
                </text:list-item><text:list-item><text:p>two</text:p></text:list-item></text:list>"
            ),
            "Title: A/B>1. one\n  - in ner\n2. two"
        );
        assert_eq!(
            text(
                "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell><text:p>b</text:p></table:table-cell>
                <table:table-cell><text:p>c</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell table:number-columns-repeated='2'/>
                <table:table-cell><text:p>3</text:p></table:table-cell></table:table-row></table:table>"
            ),
            "file: >| a | b | c |\n| --- | --- | --- |\n|  |  | 3 |"
        );
    }

    #[test]
    fn notes_follow_their_paragraph_and_what_is_no_text_is_left_out() {
        assert_eq!(
            text(
                "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:table-of-content><text:p>A 1</text:p></text:table-of-content>
                <text:p>Start<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Slowly.</text:p></text:note-body></text:note> it<office:annotation><text:p>why?</text:p></office:annotation>.</text:p><text:p>Next</text:p>"
            ),
            "file: >Start[^1] it.\n\n[^1]: Slowly.\n\nNext"
        );
    }

    #[test]
    fn an_encrypted_file_says_so() {
        let manifest = "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>";
        let refused = extracted(read, &archive(&[("META-INF/manifest.xml", manifest)])).unwrap_err();
        assert_eq!(refused, "is encrypted: save it without a password");
    }
}
