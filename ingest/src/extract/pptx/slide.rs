//! Reads one slide, its notes, or a chart or diagram on it into an outline.
//! Never follows a relation: the parts are given to it.

use crate::extract::fault::Fault;
use crate::extract::outline::Outline;
use crate::extract::xml::{Element, Piece, Xml};

/// Lists on slides have this many levels.
const LEVELS: usize = 9;

/// What a shape is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Title,
    /// Text that is bulleted unless it says otherwise.
    Body,
    /// A text box.
    Other,
    /// Dates, footers, numbers: the same on every slide.
    Repeated,
}

/// The text of the title's shape.
pub(super) fn title(text: &str) -> Result<Option<String>, Fault> {
    let mut title = Shapes { wanted: Role::Title, ..Shapes::new(Outline::default()) };
    title.read(text)?;
    let lines: Vec<String> = title.outline.finish("").into_iter().map(|section| section.text).collect();
    let title = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Some(title).filter(|title| !title.is_empty()))
}

/// All that is on the slide but its title.
pub(super) fn read_into(outline: &mut Outline, text: &str) -> Result<(), Fault> {
    let mut shapes = Shapes::new(std::mem::take(outline));
    let read = shapes.read(text);
    *outline = shapes.outline;
    read
}

/// Whether a notes page has any text.
pub(super) fn has_notes(text: &str) -> Result<bool, Fault> {
    let mut outline = Outline::default();
    read_notes(&mut outline, text)?;
    Ok(!outline.finish("").is_empty())
}

/// The text of a notes page.
pub(super) fn read_notes(outline: &mut Outline, text: &str) -> Result<(), Fault> {
    let mut shapes = Shapes { bulleted: false, ..Shapes::new(std::mem::take(outline)) };
    let read = shapes.read(text);
    *outline = shapes.outline;
    read
}

struct Shapes {
    outline: Outline,
    /// `Title` to read that alone, anything else to read all but that.
    wanted: Role,
    bulleted: bool,
    role: Role,
    in_table: bool,
    /// Whether a paragraph has begun that has said nothing of itself yet.
    is_new: bool,
    /// Open lists.
    depth: usize,
}

#[derive(Debug, Default)]
struct Bullet {
    level: usize,
    /// Whether the paragraph says that it has one, or has none.
    said: Option<bool>,
    is_numbered: bool,
}

impl Shapes {
    fn new(outline: Outline) -> Self {
        Self {
            outline,
            wanted: Role::Other,
            bulleted: true,
            role: Role::Other,
            in_table: false,
            is_new: false,
            depth: 0,
        }
    }

    fn read(&mut self, text: &str) -> Result<(), Fault> {
        let mut xml = Xml::new(text);
        while let Some(piece) = xml.next()? {
            match piece {
                Piece::Start(element) => self.start(&element, &mut xml)?,
                Piece::End(name) => self.end(&name),
                Piece::Text(_) => {}
            }
        }
        self.end_lists(0);
        Ok(())
    }

    fn start(&mut self, element: &Element<'_>, xml: &mut Xml<'_>) -> Result<(), Fault> {
        match element.name() {
            "sp" | "graphicFrame" | "pic" => self.role = Role::Other,
            "ph" => self.role = role(element),
            "txBody" if (self.role == Role::Title) != (self.wanted == Role::Title) => xml.skip()?,
            "txBody" if self.role == Role::Repeated => xml.skip()?,
            "tbl" if self.wanted != Role::Title => {
                self.in_table = true;
                self.end_lists(0);
                self.outline.start_table();
            }
            "tr" => self.outline.start_row(),
            "tc" => self.outline.start_cell(),
            "p" => self.is_new = true,
            "pPr" => self.start_paragraph(&bullet(element, xml)?),
            "r" | "fld" | "br" if self.is_new => {
                self.start_paragraph(&Bullet::default());
                self.start(element, xml)?;
            }
            "t" => self.outline.text(&xml.text()?),
            "br" => self.outline.line_break(),
            "fld" if is_repeated_field(element) => xml.skip()?,
            "Fallback" => xml.skip()?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) {
        match name {
            "p" => self.outline.end_block(),
            "txBody" => self.end_lists(0),
            "tbl" if self.in_table => {
                self.in_table = false;
                self.outline.end_table();
            }
            _ => {}
        }
    }

    fn start_paragraph(&mut self, bullet: &Bullet) {
        self.is_new = false;
        let is_item = bullet.said.unwrap_or(self.bulleted && self.role == Role::Body);
        if !is_item || self.in_table || self.wanted == Role::Title {
            return self.end_lists(0);
        }
        let depth = bullet.level.min(LEVELS) + 1;
        self.end_lists(depth);
        while self.depth < depth {
            self.depth += 1;
            self.outline.start_list((bullet.is_numbered && self.depth == depth).then_some(1));
        }
        self.outline.start_item();
    }

    fn end_lists(&mut self, depth: usize) {
        self.outline.end_block();
        while self.depth > depth {
            self.depth -= 1;
            self.outline.end_list();
        }
    }
}

fn role(frame: &Element<'_>) -> Role {
    match frame.attribute("type").as_deref() {
        Some("title" | "ctrTitle") => Role::Title,
        Some("dt" | "ftr" | "sldNum" | "hdr" | "sldImg") => Role::Repeated,
        Some("subTitle") => Role::Other,
        _ => Role::Body,
    }
}

fn is_repeated_field(field: &Element<'_>) -> bool {
    field.attribute("type").is_some_and(|kind| kind == "slidenum" || kind.starts_with("datetime"))
}

fn bullet(properties: &Element<'_>, xml: &mut Xml<'_>) -> Result<Bullet, Fault> {
    let mut bullet = Bullet { level: properties.number("lvl").unwrap_or(0), ..Bullet::default() };
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => match element.name() {
                "buNone" => bullet.said = Some(false),
                "buChar" | "buBlip" => bullet.said = Some(true),
                "buAutoNum" => (bullet.said, bullet.is_numbered) = (Some(true), true),
                _ => {}
            },
            Piece::End(name) if name == "pPr" => break,
            _ => {}
        }
    }
    Ok(bullet)
}
