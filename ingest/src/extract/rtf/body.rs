//! Puts the text of an RTF file together to paragraphs, lists, tables and notes.
//! Never sees a group or a byte: the reader hands over text and what is said of paragraphs.

use crate::extract::outline::Outline;

/// Outline levels 0 to 8 are headings, 9 is text; lists have as many.
const LEVELS: i32 = 9;

/// What holds for a paragraph, across groups.
#[derive(Debug, Default)]
pub(super) struct Paragraph {
    outline_level: Option<i32>,
    list_level: i32,
    /// The mark of the list's item that it is.
    pub(super) mark: String,
    in_table: bool,
    has_begun: bool,
}

#[derive(Debug, Default)]
struct Table {
    is_open: bool,
    in_row: bool,
    in_cell: bool,
}

/// The text of a document while it is being read.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) outline: Outline,
    pub(super) paragraph: Paragraph,
    lists: usize,
    table: Table,
    /// Notes that the text has referred to and that are not written yet, with their numbers.
    notes: Vec<(usize, String)>,
    noted: usize,
}

impl Body {
    /// Adds text.
    pub(super) fn text(&mut self, text: &str) {
        self.begin_paragraph(text);
        self.outline.text(text);
    }

    /// Does what a control word says of the paragraph or table.
    pub(super) fn format(&mut self, word: &str, number: Option<i32>) {
        match word {
            "pard" => {
                let mark = std::mem::take(&mut self.paragraph.mark);
                let has_begun = self.paragraph.has_begun;
                self.paragraph = Paragraph { mark, has_begun, ..Paragraph::default() };
            }
            "outlinelevel" => self.paragraph.outline_level = number,
            "ilvl" => self.paragraph.list_level = number.unwrap_or(0),
            "intbl" => self.paragraph.in_table = true,
            "cell" | "nestcell" => self.end_cell(),
            "row" => {
                self.end_paragraph();
                self.table.in_row = false;
                self.table.in_cell = false;
            }
            _ => {}
        }
    }

    /// Keeps a note until its paragraph ends; gives the mark that refers to it.
    pub(super) fn add_note(&mut self, note: String) -> String {
        self.noted += 1;
        self.notes.push((self.noted, note));
        format!("[^{}]", self.noted)
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Outline {
        self.end_paragraph();
        self.end_table();
        self.outline
    }

    fn begin_paragraph(&mut self, text: &str) {
        if self.paragraph.has_begun || text.trim().is_empty() {
            return;
        }
        self.paragraph.has_begun = true;
        if self.paragraph.in_table {
            return self.begin_cell();
        }
        self.end_table();
        let mark = std::mem::take(&mut self.paragraph.mark);
        let level = self.paragraph.outline_level.filter(|level| (0..LEVELS).contains(level));
        if let Some(level) = level {
            self.end_lists(0);
            self.outline.start_heading(u8::try_from(level + 2).unwrap_or(u8::MAX));
        } else if mark.trim().is_empty() {
            self.end_lists(0);
        } else {
            self.begin_item(mark.trim());
        }
    }

    fn begin_item(&mut self, mark: &str) {
        let number: Option<u64> = mark.trim_end_matches(['.', ')']).parse().ok();
        let depth = usize::try_from(self.paragraph.list_level.clamp(0, LEVELS)).unwrap_or(0) + 1;
        self.end_lists(depth.saturating_sub(usize::from(number.is_some())));
        while self.lists < depth {
            self.lists += 1;
            self.outline.start_list(number.filter(|_| self.lists == depth));
        }
        self.outline.start_item();
    }

    fn end_lists(&mut self, depth: usize) {
        while self.lists > depth {
            self.lists -= 1;
            self.outline.end_list();
        }
    }

    /// Ends the paragraph being read.
    pub(super) fn end_paragraph(&mut self) {
        self.outline.end_block();
        self.paragraph.has_begun = false;
        if !self.table.is_open {
            self.write_notes();
        }
    }

    fn write_notes(&mut self) {
        for (number, note) in std::mem::take(&mut self.notes) {
            self.end_lists(0);
            self.outline.text(&format!("[^{number}]: {note}"));
            self.outline.end_block();
        }
    }

    fn begin_cell(&mut self) {
        if !self.table.is_open {
            self.end_lists(0);
            self.outline.start_table();
            self.table.is_open = true;
        }
        if !self.table.in_row {
            self.outline.start_row();
            self.table.in_row = true;
        }
        if !self.table.in_cell {
            self.outline.start_cell();
            self.table.in_cell = true;
        }
    }

    fn end_cell(&mut self) {
        self.begin_cell();
        self.end_paragraph();
        self.paragraph.mark.clear();
        self.table.in_cell = false;
    }

    fn end_table(&mut self) {
        if self.table.is_open {
            self.outline.end_table();
            self.table = Table::default();
        }
        self.write_notes();
    }
}
