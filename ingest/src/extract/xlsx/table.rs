//! Puts the rows of a sheet together to tables of bounded size, each with its header.
//! Never reads a cell: rows come as they are shown.

use std::collections::BTreeSet;

use crate::extract::fault::Fault;
use crate::extract::metadata::field;
use crate::extract::outline::Outline;
use crate::extract::xlsx::cells::{Row, Values, rows};

/// Most characters of a section: what fits into one chunk keeps its header with its rows.
const SECTION_CHARS: usize = 800;
/// Most characters of a header that is repeated: a longer one would leave no room for rows.
const HEADER_CHARS: usize = SECTION_CHARS / 2;

/// Reads a sheet.
pub(super) fn read_into(outline: &mut Outline, name: &str, text: &str, values: &Values) -> Result<(), Fault> {
    let mut sheet = Sheet::default();
    let mut sections = Vec::new();
    rows(text, values, |row| sheet.add(row, &mut sections))?;
    sheet.close(&mut sections);
    if sections.is_empty() {
        return Ok(());
    }
    outline.place(field::SHEET, name);
    outline.start_heading(2);
    outline.text(name);
    outline.end_block();
    let is_tall = sections.len() > 1;
    for section in &sections {
        if is_tall {
            outline.place(field::ROW, section.first_row());
        }
        section.write(outline);
    }
    outline.forget(field::ROW);
    Ok(())
}

/// Rows that stand together.
#[derive(Debug, Default)]
struct Block {
    lines: Vec<Row>,
    header: Option<Row>,
    rows: Vec<Row>,
}

/// Blocks of one section.
#[derive(Debug, Default)]
struct Section(Vec<Block>);

#[derive(Debug, Default)]
struct Sheet {
    section: Section,
    block: Block,
    last_row: u32,
    chars: usize,
}

impl Sheet {
    fn add(&mut self, row: Row, done: &mut Vec<Section>) {
        let chars = row.chars();
        if row.number > self.last_row.saturating_add(1) {
            self.end_block();
        } else if self.chars + chars > SECTION_CHARS && !self.block.rows.is_empty() {
            let header = self.block.header.clone().filter(|header| header.chars() <= HEADER_CHARS);
            self.close(done);
            self.chars = header.as_ref().map_or(0, Row::chars);
            self.block.header = header;
        }
        if self.chars + chars > SECTION_CHARS && self.block.rows.is_empty() && self.block.header.is_none() {
            self.close(done);
        }
        self.last_row = row.number;
        self.chars += chars;
        self.block.add(row);
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            self.section.0.push(block);
        }
    }

    fn close(&mut self, done: &mut Vec<Section>) {
        self.end_block();
        let section = std::mem::take(&mut self.section);
        if !section.0.is_empty() {
            done.push(section);
        }
        self.chars = 0;
    }
}

impl Block {
    /// Rows of one cell above a table are lines of text; the first row of several words is its header.
    fn add(&mut self, row: Row) {
        let is_new = self.header.is_none() && self.rows.is_empty();
        if is_new && row.cells.len() == 1 {
            self.lines.push(row);
        } else if is_new && row.cells.iter().all(|cell| cell.is_word) {
            self.header = Some(row);
        } else {
            self.rows.push(row);
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.header.is_none() && self.rows.is_empty()
    }

    fn first_row(&self) -> Option<u32> {
        let first = self.lines.first().or(self.rows.first()).or(self.header.as_ref())?;
        Some(first.number)
    }

    fn write(&self, outline: &mut Outline) {
        for line in &self.lines {
            outline.text(&line.cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" "));
            outline.end_block();
        }
        let all = || self.header.iter().chain(&self.rows);
        let columns: BTreeSet<u32> = all().flat_map(|row| row.cells.iter().map(|cell| cell.column)).collect();
        if columns.is_empty() {
            return;
        }
        outline.start_table();
        for row in all() {
            outline.start_row();
            let mut cells = row.cells.iter().peekable();
            for column in &columns {
                outline.start_cell();
                while let Some(cell) = cells.next_if(|cell| cell.column <= *column) {
                    outline.text(&cell.text);
                    outline.text(" ");
                }
            }
        }
        outline.end_table();
    }
}

impl Section {
    fn first_row(&self) -> u32 {
        self.0.first().and_then(Block::first_row).unwrap_or(1)
    }

    fn write(&self, outline: &mut Outline) {
        for block in &self.0 {
            block.write(outline);
        }
    }
}

impl Row {
    fn chars(&self) -> usize {
        self.cells.iter().map(|cell| cell.text.chars().count() + 3).sum()
    }
}
