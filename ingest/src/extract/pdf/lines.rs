//! Puts the characters of a page together to words and lines.
//! Keeps the order in which the page shows them, unless that is no order to read in.

use crate::extract::pdf::glyphs::Glyph;

/// A gap of this share of the type size is a space between words: kerning stays below, spaces of justified text above.
const WORD_GAP: f64 = 0.16;
/// A gap of this many type sizes separates the cells of a table: no space between words is as wide.
const CELL_GAP: f64 = 1.5;
/// Text that is raised or lowered by less than this share of the type size is in the same line.
const SAME_LINE: f64 = 0.5;
/// The share of lines that go up the page from which on their order is none to read in.
const MOST_UPWARD: usize = 3;

/// Sizes of type that are told apart in one line.
const MOST_SIZES: usize = 16;

/// A line of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Its text in pieces with wide gaps between them.
    pub(super) cells: Vec<Cell>,
    /// Across the line of writing: larger is higher.
    pub(super) height: f64,
    pub(super) size: f64,
    pub(super) angle: i32,
    pub(super) is_bold: bool,
    pub(super) is_field: bool,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Line {
    /// All of its text.
    pub(super) fn text(&self) -> String {
        self.cells.iter().map(|cell| cell.text.trim()).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn from(&self) -> f64 {
        self.cells.first().map_or(0.0, |cell| cell.from)
    }

    pub(super) fn to(&self) -> f64 {
        self.cells.last().map_or(0.0, |cell| cell.to)
    }
}

/// The lines of a page.
pub(super) fn lines(glyphs: Vec<Glyph>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open: Option<Open> = None;
    for glyph in glyphs {
        match &mut open {
            Some(line) if line.takes(&glyph) => line.add(&glyph),
            _ => lines.extend(open.replace(Open::new(&glyph)).and_then(Open::close)),
        }
    }
    lines.extend(open.and_then(Open::close));
    in_reading_order(lines)
}

/// Most programs show text in the order in which it is read, columns included. Where lines keep going up, it is read
/// from top to bottom.
fn in_reading_order(mut lines: Vec<Line>) -> Vec<Line> {
    let pairs = || lines.iter().zip(lines.iter().skip(1));
    let upward = pairs().filter(|(above, below)| below.height > above.height + above.size).count();
    if upward * MOST_UPWARD > lines.len() {
        lines.sort_by(|a, b| b.height.total_cmp(&a.height).then(a.from().total_cmp(&b.from())));
    }
    lines
}

/// A line being read.
struct Open {
    line: Line,
    last: Glyph,
    /// How many characters are of which size, and how many are bold.
    sizes: Vec<(f64, usize)>,
    bold: usize,
    chars: usize,
}

impl Open {
    fn new(glyph: &Glyph) -> Self {
        let Glyph { height, size, angle, .. } = *glyph;
        let cell = Cell { text: String::new(), from: glyph.from, to: glyph.from };
        let line = Line { cells: vec![cell], height, size, angle, is_bold: false, is_field: glyph.is_field };
        let mut open = Self { line, last: glyph.clone(), sizes: Vec::new(), bold: 0, chars: 0 };
        open.write(glyph);
        open
    }

    fn takes(&self, glyph: &Glyph) -> bool {
        let size = self.line.size.max(glyph.size);
        glyph.angle == self.line.angle
            && glyph.is_field == self.line.is_field
            && (glyph.height - self.line.height).abs() < size * SAME_LINE
            && glyph.from > self.last.to - size
    }

    fn add(&mut self, glyph: &Glyph) {
        let size = self.last.size.max(glyph.size);
        // Type that is printed twice to look bold.
        if glyph.text == self.last.text && (glyph.from - self.last.from).abs() < size * WORD_GAP {
            return;
        }
        let gap = glyph.from - self.last.to;
        if gap > size * CELL_GAP {
            self.line.cells.push(Cell { text: String::new(), from: glyph.from, to: glyph.from });
        } else if gap > size * WORD_GAP {
            self.push(" ");
        }
        // A raised number at the beginning does not make the line small or high.
        if glyph.size > self.line.size {
            (self.line.size, self.line.height) = (glyph.size, glyph.height);
        }
        self.write(glyph);
    }

    fn write(&mut self, glyph: &Glyph) {
        self.push(&plain(&glyph.text));
        if let Some(cell) = self.line.cells.last_mut() {
            cell.to = cell.to.max(glyph.to);
        }
        if !glyph.text.trim().is_empty() {
            self.chars += 1;
            self.bold += usize::from(glyph.is_bold);
            let has_room = self.sizes.len() < MOST_SIZES;
            match self.sizes.iter_mut().find(|(size, _)| (*size - glyph.size).abs() < 0.05) {
                Some((_, count)) => *count += 1,
                None if has_room => self.sizes.push((glyph.size, 1)),
                None => {}
            }
        }
        self.last = glyph.clone();
    }

    fn push(&mut self, text: &str) {
        if let Some(cell) = self.line.cells.last_mut() {
            cell.text.push_str(text);
        }
    }

    fn close(mut self) -> Option<Line> {
        self.line.cells.retain(|cell| !cell.text.trim().is_empty());
        let size = self.sizes.iter().max_by_key(|(_, count)| *count)?.0;
        self.line.size = size;
        self.line.is_bold = self.bold * 10 > self.chars * 9;
        (!self.line.cells.is_empty()).then_some(self.line)
    }
}

/// Ligatures are letters, and what cannot be seen is nothing.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ﬀ' => plain.push_str("ff"),
            'ﬁ' => plain.push_str("fi"),
            'ﬂ' => plain.push_str("fl"),
            'ﬃ' => plain.push_str("ffi"),
            'ﬄ' => plain.push_str("ffl"),
            'ﬅ' | 'ﬆ' => plain.push_str("st"),
            '\u{A0}' => plain.push(' '),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}
