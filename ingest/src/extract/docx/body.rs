//! Reads the body of a DOCX file into an outline.
//! Never reads a part itself: styles, lists and notes are given to it.

use std::collections::HashMap;

use crate::extract::docx::numbering::{Mark, Numbering};
use crate::extract::docx::styles::{Role, Styles, heading};
use crate::extract::fault::Fault;
use crate::extract::outline::Outline;
use crate::extract::xml::{Element, Piece, Xml};

/// More columns than Word allows a table: a span beyond is an attack.
const MOST_COLUMNS: usize = 64;

/// What the other parts of the document say.
pub(super) struct Known {
    pub(super) styles: Styles,
    pub(super) footnotes: HashMap<String, String>,
    pub(super) endnotes: HashMap<String, String>,
}

/// Reads the whole body.
pub(super) fn read(text: &str, known: &Known, numbering: Numbering) -> Result<Outline, Fault> {
    let mut xml = Xml::new(text);
    let mut body = Body {
        known,
        numbering,
        outline: Outline::default(),
        paragraphs: Vec::new(),
        lists: Vec::new(),
        tables: 0,
        span: 1,
        notes: Vec::new(),
        noted: HashMap::new(),
    };
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => body.start(&element, &mut xml)?,
            Piece::End(name) => body.end(&name),
            Piece::Text(_) => {}
        }
    }
    body.outline.end_block();
    body.end_lists(0);
    body.write_notes();
    Ok(body.outline)
}

#[derive(Debug, Default, Clone)]
struct Paragraph {
    style: String,
    list: Option<String>,
    level: Option<u8>,
    outline_level: Option<u8>,
}

struct Body<'a> {
    known: &'a Known,
    numbering: Numbering,
    outline: Outline,
    /// Open paragraphs: text boxes hold paragraphs within paragraphs.
    paragraphs: Vec<Paragraph>,
    /// The list of each open level, and whether it is numbered.
    lists: Vec<(String, bool)>,
    tables: usize,
    /// Columns of the open cell.
    span: usize,
    /// Notes that the text has referred to and that are not written yet, with their numbers.
    notes: Vec<(usize, String)>,
    /// Numbers of the notes that the text has referred to, by kind and id.
    noted: HashMap<(&'static str, String), usize>,
}

impl Body<'_> {
    fn start(&mut self, element: &Element<'_>, xml: &mut Xml<'_>) -> Result<(), Fault> {
        match element.name() {
            "p" => self.paragraphs.push(Paragraph::default()),
            "pPr" => {
                let paragraph = properties(xml)?;
                if self.known.styles.role(&paragraph.style) == Some(Role::Contents) {
                    self.paragraphs.pop();
                    return skip_to_end(xml, "p");
                }
                self.start_paragraph(&paragraph);
                if let Some(open) = self.paragraphs.last_mut() {
                    *open = paragraph;
                }
            }
            "rPr" => skip_if_hidden(xml)?,
            "t" => self.outline.text(&xml.text()?),
            "tab" | "ptab" => self.outline.text(" "),
            "noBreakHyphen" => self.outline.text("-"),
            "br" | "cr" => self.outline.line_break(),
            "footnoteReference" => self.refer(element, "footnote", &self.known.footnotes),
            "endnoteReference" => self.refer(element, "endnote", &self.known.endnotes),
            "tbl" => {
                self.end_lists(0);
                self.tables += 1;
                self.outline.start_table();
            }
            "tr" => self.outline.start_row(),
            "tc" => self.outline.start_cell(),
            "gridSpan" => self.span = element.number("val").unwrap_or(1),
            "txbxContent" => self.outline.end_block(),
            // What was deleted, what is computed or repeated, and what old programs show instead.
            "del" | "moveFrom" | "delText" | "instrText" | "delInstrText" | "Fallback" | "rt" | "sectPr"
            | "tblPr" | "tblGrid" => xml.skip()?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        match name {
            "p" => {
                self.paragraphs.pop();
                self.outline.end_block();
                if self.tables == 0 {
                    self.write_notes();
                }
            }
            "tc" => {
                for _ in 1..std::mem::replace(&mut self.span, 1).min(MOST_COLUMNS) {
                    self.outline.start_cell();
                }
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                self.outline.end_table();
                if self.tables == 0 {
                    self.write_notes();
                }
            }
            "txbxContent" => {
                self.outline.end_block();
                if let Some(paragraph) = self.paragraphs.last().cloned() {
                    self.start_heading(&paragraph);
                }
            }
            _ => {}
        }
    }

    fn start_paragraph(&mut self, paragraph: &Paragraph) {
        if self.start_heading(paragraph) {
            return;
        }
        let styled = self.known.styles.list(&paragraph.style);
        let list = paragraph.list.clone().or_else(|| styled.map(|(list, _)| list.to_owned()));
        let level = paragraph.level.or_else(|| styled.map(|(_, level)| level)).unwrap_or(0);
        match list.and_then(|list| Some((self.numbering.next(&list, level)?, list))) {
            Some((mark, list)) if self.tables == 0 => self.start_item(&list, level, mark),
            _ => self.end_lists(0),
        }
    }

    fn start_heading(&mut self, paragraph: &Paragraph) -> bool {
        let role = paragraph.outline_level.and_then(heading);
        let level = match role.or_else(|| self.known.styles.role(&paragraph.style)) {
            Some(Role::Title) => 1,
            Some(Role::Heading(level)) => level.saturating_add(1),
            Some(Role::Contents) | None => return false,
        };
        self.end_lists(0);
        self.outline.start_heading(level);
        true
    }

    fn start_item(&mut self, list: &str, level: u8, mark: Mark) {
        let depth = usize::from(level) + 1;
        self.end_lists(depth);
        let is_numbered = matches!(mark, Mark::Number(_));
        if self.lists.len() == depth
            && self.lists.last().is_some_and(|open| *open != (list.to_owned(), is_numbered))
        {
            self.end_lists(depth - 1);
        }
        while self.lists.len() < depth {
            let first = match mark {
                Mark::Number(number) if self.lists.len() + 1 == depth => Some(number),
                _ => None,
            };
            self.outline.start_list(first);
            self.lists.push((list.to_owned(), is_numbered));
        }
        self.outline.start_item();
    }

    fn end_lists(&mut self, depth: usize) {
        while self.lists.len() > depth {
            self.lists.pop();
            self.outline.end_list();
        }
    }

    /// A note is written once, however often the text refers to it.
    fn refer(&mut self, element: &Element<'_>, kind: &'static str, notes: &HashMap<String, String>) {
        let id = element.attribute("id").unwrap_or_default();
        let Some(note) = notes.get(&id) else { return };
        let next = self.noted.len() + 1;
        let number = *self.noted.entry((kind, id)).or_insert(next);
        self.outline.text(&format!("[^{number}]"));
        if number == next {
            self.notes.push((number, note.clone()));
        }
    }

    fn write_notes(&mut self) {
        for (number, note) in std::mem::take(&mut self.notes) {
            self.end_lists(0);
            self.outline.text(&format!("[^{number}]: {note}"));
            self.outline.end_block();
        }
    }
}

fn properties(xml: &mut Xml<'_>) -> Result<Paragraph, Fault> {
    let mut paragraph = Paragraph::default();
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => match element.name() {
                "pStyle" => paragraph.style = element.attribute("val").unwrap_or_default(),
                "numId" => paragraph.list = element.attribute("val"),
                "ilvl" => paragraph.level = element.number("val"),
                "outlineLvl" => paragraph.outline_level = element.number("val"),
                "rPr" | "sectPr" | "pPrChange" | "numberingChange" => xml.skip()?,
                _ => {}
            },
            Piece::End(name) if name == "pPr" => break,
            _ => {}
        }
    }
    Ok(paragraph)
}

/// Reads past the end of the run whose properties begin when it is not shown.
fn skip_if_hidden(xml: &mut Xml<'_>) -> Result<(), Fault> {
    let mut is_hidden = false;
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) if element.name() == "vanish" => is_hidden = element.is_on(),
            Piece::Start(element) if element.name() == "rPrChange" => xml.skip()?,
            Piece::End(name) if name == "rPr" => break,
            _ => {}
        }
    }
    if is_hidden { skip_to_end(xml, "r") } else { Ok(()) }
}

/// Reads past the end of an element that is open.
fn skip_to_end(xml: &mut Xml<'_>, name: &str) -> Result<(), Fault> {
    let mut open = 1_usize;
    while open > 0 {
        match xml.next()? {
            Some(Piece::Start(element)) if element.name() == name => open += 1,
            Some(Piece::End(ended)) if ended == name => open -= 1,
            Some(_) => {}
            None => break,
        }
    }
    Ok(())
}
