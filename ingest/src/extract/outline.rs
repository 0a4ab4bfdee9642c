//! Assembles sections of light Markdown from headings, paragraphs, lists, tables and code in reading order.
//! Knows no file format: readers of formats tell it what they see. Nesting costs no stack and no quadratic time.

use serde_json::{Map, Value};

use crate::extract::Section;

/// Lists deeper than this are indented like this: deeper is noise, or an attack.
const DEEPEST_INDENT: usize = 6;
/// Longest heading in characters: a longer one is text with a large font.
const LONGEST_HEADING: usize = 200;

/// A document's text while it is being read.
#[derive(Debug, Default)]
pub(super) struct Outline {
    sections: Vec<Section>,
    /// Open headings with their levels, outermost first.
    headings: Vec<(u8, String)>,
    title: Option<String>,
    /// Fields that following sections carry.
    metadata: Map<String, Value>,
    body: String,
    /// Text of the block being read.
    line: String,
    block: Block,
    lists: Vec<List>,
    /// Bullet or number that the next block begins with.
    marker: Option<String>,
    last_was_item: bool,
    table: Option<Table>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Block {
    #[default]
    Paragraph,
    Heading(u8),
    Code(String),
}

#[derive(Debug)]
struct List {
    next_number: Option<u64>,
}

#[derive(Debug, Default)]
struct Table {
    /// Tables within cells of this one: their text is kept, their grid is not.
    nested: usize,
    rows: Vec<Vec<String>>,
}

impl Outline {
    /// Adds text to the block being read; runs of white space become one space, but in code.
    pub(super) fn text(&mut self, text: &str) {
        if matches!(self.block, Block::Code(_)) {
            self.line.push_str(text);
            return;
        }
        for c in text.chars() {
            if !c.is_whitespace() {
                self.line.push(c);
            } else if !self.line.is_empty() && !self.line.ends_with([' ', '\n']) {
                self.line.push(' ');
            }
        }
    }

    /// A line that ends within its block.
    pub(super) fn line_break(&mut self) {
        if matches!(self.block, Block::Code(_)) || (self.block == Block::Paragraph && self.table.is_none()) {
            self.line.truncate(self.line.trim_end_matches(' ').len());
            self.line.push('\n');
        } else {
            self.text(" ");
        }
    }

    /// Ends the paragraph being read, if there is one.
    pub(super) fn end_block(&mut self) {
        match std::mem::take(&mut self.block) {
            Block::Paragraph => self.end_paragraph(),
            Block::Heading(level) => self.end_heading(level),
            Block::Code(language) => self.end_code(&language),
        }
    }

    /// Says where following text stands, such as its page. Text of different places is never in one section.
    pub(super) fn place(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        if self.metadata.get(field) != Some(&value) {
            self.forget(field);
            self.metadata.insert(field.to_owned(), value);
        }
    }

    /// Says no longer where following text stands.
    pub(super) fn forget(&mut self, field: &str) {
        self.end_block();
        if !self.body.is_empty() {
            self.end_section();
        }
        self.metadata.remove(field);
    }

    /// Begins a heading; level 1 is the outermost. Within a table it is text like any other.
    pub(super) fn start_heading(&mut self, level: u8) {
        self.end_block();
        if self.table.is_none() {
            self.block = Block::Heading(level);
        }
    }

    /// Ends all headings: what follows stands under none of them.
    pub(super) fn end_headings(&mut self) {
        self.end_block();
        self.end_section();
        self.headings.clear();
    }

    /// Begins text that is kept as it is. Within a table it is text like any other.
    pub(super) fn start_code(&mut self, language: &str) {
        self.end_block();
        if self.table.is_none() {
            self.block = Block::Code(language.split_whitespace().next().unwrap_or_default().to_owned());
        }
    }

    /// Begins a list, numbered from `first` or bulleted.
    pub(super) fn start_list(&mut self, first: Option<u64>) {
        self.end_block();
        self.lists.push(List { next_number: first });
    }

    /// Ends the innermost list.
    pub(super) fn end_list(&mut self) {
        self.end_block();
        self.lists.pop();
        self.marker = None;
    }

    /// Begins an item of the innermost list.
    pub(super) fn start_item(&mut self) {
        self.end_block();
        let number = self.lists.last_mut().and_then(|list| list.next_number.as_mut());
        self.marker = Some(number.map_or_else(
            || "- ".to_owned(),
            |number| {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            },
        ));
    }

    /// Begins a table.
    pub(super) fn start_table(&mut self) {
        self.end_block();
        match &mut self.table {
            Some(table) => table.nested += 1,
            None => self.table = Some(Table::default()),
        }
    }

    /// Begins a row of the table.
    pub(super) fn start_row(&mut self) {
        self.end_block();
        if let Some(table) = self.outer_table() {
            table.rows.push(Vec::new());
        }
    }

    /// Begins a cell of the row.
    pub(super) fn start_cell(&mut self) {
        self.end_block();
        if let Some(table) = self.outer_table() {
            if table.rows.is_empty() {
                table.rows.push(Vec::new());
            }
            if let Some(row) = table.rows.last_mut() {
                row.push(String::new());
            }
        }
    }

    /// Ends the table.
    pub(super) fn end_table(&mut self) {
        self.end_block();
        match self.table.take() {
            Some(table) if table.nested > 0 => {
                self.table = Some(Table { nested: table.nested - 1, ..table });
            }
            Some(table) => self.push_block(&rendered(&table.rows), false),
            None => {}
        }
    }

    /// The first heading of level 1.
    pub(super) fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The sections in reading order; `title` is left out of their heading paths.
    pub(super) fn finish(mut self, title: &str) -> Vec<Section> {
        self.end_block();
        while self.table.is_some() {
            self.end_table();
        }
        self.end_section();
        let mut sections = without_empty(self.sections);
        for section in &mut sections {
            if section.heading_path.first().is_some_and(|first| first == title) {
                section.heading_path.remove(0);
            }
        }
        sections.retain(|section| !section.text.is_empty());
        sections
    }

    fn outer_table(&mut self) -> Option<&mut Table> {
        self.table.as_mut().filter(|table| table.nested == 0)
    }

    fn end_paragraph(&mut self) {
        let text = std::mem::take(&mut self.line);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if let Some(table) = &mut self.table {
            table.append(text);
            return;
        }
        let depth = self.lists.len().min(DEEPEST_INDENT);
        let block = match self.marker.take() {
            Some(marker) => format!("{}{marker}{text}", "  ".repeat(depth.saturating_sub(1))),
            None => format!("{}{text}", "  ".repeat(depth)),
        };
        self.push_block(&block, depth > 0);
    }

    fn end_heading(&mut self, level: u8) {
        let text = std::mem::take(&mut self.line);
        let text = text.trim().to_owned();
        if text.is_empty() {
            return;
        }
        if text.chars().count() > LONGEST_HEADING {
            return self.push_block(&text, false);
        }
        self.end_section();
        while self.headings.last().is_some_and(|(open, _)| *open >= level) {
            self.headings.pop();
        }
        if level == 1 && self.title.is_none() {
            self.title = Some(text.clone());
        }
        self.headings.push((level, text));
    }

    fn end_code(&mut self, language: &str) {
        let code = std::mem::take(&mut self.line);
        let code = code.trim_end().trim_start_matches(['\n', '\r']);
        if code.is_empty() {
            return;
        }
        let mut fence = "```".to_owned();
        while code.contains(&fence) {
            fence.push('`');
        }
        self.marker = None;
        self.push_block(&format!("{fence}{language}\n{code}\n{fence}"), false);
    }

    fn push_block(&mut self, block: &str, is_item: bool) {
        if block.is_empty() {
            return;
        }
        if !self.body.is_empty() {
            self.body.push_str(if is_item && self.last_was_item { "\n" } else { "\n\n" });
        }
        self.body.push_str(block);
        self.last_was_item = is_item;
    }

    fn end_section(&mut self) {
        let text = std::mem::take(&mut self.body);
        let heading_path: Vec<String> = self.headings.iter().map(|(_, heading)| heading.clone()).collect();
        let is_known = self.sections.last().is_some_and(|last| last.heading_path == heading_path);
        self.last_was_item = false;
        if text.is_empty() && is_known {
            return;
        }
        self.sections.push(Section { heading_path, text, metadata: self.metadata.clone() });
    }
}

impl Table {
    fn append(&mut self, text: &str) {
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        let Some(row) = self.rows.last_mut() else { return };
        if row.is_empty() {
            row.push(String::new());
        }
        if let Some(cell) = row.last_mut() {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&text.replace('|', "\\|"));
        }
    }
}

/// A table as Markdown. The first row counts as its heading, since Markdown has no table without one.
fn rendered(rows: &[Vec<String>]) -> String {
    let mut lines: Vec<String> = Vec::with_capacity(rows.len() + 1);
    for row in rows.iter().filter(|row| row.iter().any(|cell| !cell.is_empty())) {
        lines.push(format!("| {} |", row.join(" | ")));
        if lines.len() == 1 {
            lines.push(format!("|{}", " --- |".repeat(row.len())));
        }
    }
    lines.join("\n")
}

/// A heading without text above another one says its word in the paths below; without one it becomes text, so that
/// it can be found.
fn without_empty(sections: Vec<Section>) -> Vec<Section> {
    let mut kept: Vec<Section> = Vec::with_capacity(sections.len());
    let mut sections = sections.into_iter().peekable();
    while let Some(mut section) = sections.next() {
        let has_child = sections.peek().is_some_and(|next| {
            next.heading_path.len() > section.heading_path.len()
                && next.heading_path.starts_with(&section.heading_path)
        });
        if section.text.is_empty() && !has_child {
            section.text = section.heading_path.pop().unwrap_or_default();
        }
        kept.push(section);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(path: &[&str], text: &str) -> Section {
        Section {
            heading_path: path.iter().map(|h| (*h).to_owned()).collect(),
            text: text.to_owned(),
            ..Section::default()
        }
    }

    fn heading(outline: &mut Outline, level: u8, text: &str) {
        outline.start_heading(level);
        outline.text(text);
        outline.end_block();
    }

    #[test]
    fn headings_make_sections_and_the_title_is_not_repeated_in_paths() {
        let mut outline = Outline::default();
        heading(&mut outline, 1, "Guide");
        outline.text("Welcome.");
        heading(&mut outline, 2, "Install");
        heading(&mut outline, 3, "Linux");
        outline.text("Use  apt.\n");
        heading(&mut outline, 2, "Licence");
        assert_eq!(outline.title(), Some("Guide"));
        assert_eq!(
            outline.finish("Guide"),
            [section(&[], "Welcome."), section(&["Install", "Linux"], "Use apt."), section(&[], "Licence")]
        );
    }

    #[test]
    fn lists_tables_and_code_keep_their_shape() {
        let mut outline = Outline::default();
        outline.start_list(Some(3));
        outline.start_item();
        outline.text("three");
        outline.start_list(None);
        outline.start_item();
        outline.text("inner");
        outline.end_list();
        outline.start_item();
        outline.text("four");
        outline.end_list();
        outline.start_table();
        for row in [["a", "b"], ["1", "2|3"]] {
            outline.start_row();
            for cell in row {
                outline.start_cell();
                outline.text(cell);
            }
        }
        outline.end_table();
        outline.start_code("rust ignore");
        outline.text("fn f() {\n    g();\n}\n");
        outline.end_block();
        assert_eq!(
            outline.finish("")[0].text,
            "3. three\n  - inner\n4. four\n\n| a | b |\n| --- | --- |\n| 1 | 2\\|3 |\n\n```rust\nfn f() {\n    g();\n}\n```"
        );
    }

    #[test]
    fn text_of_different_places_is_in_different_sections_under_the_same_heading() {
        let mut outline = Outline::default();
        outline.place("page", 1);
        heading(&mut outline, 2, "Use");
        outline.place("page", 2);
        outline.text("one");
        outline.place("page", 3);
        outline.text("two");
        let sections = outline.finish("");
        let places: Vec<_> =
            sections.iter().map(|s| (s.metadata["page"].as_u64(), s.text.as_str())).collect();
        assert_eq!(places, [(Some(2), "one"), (Some(3), "two")]);
        assert!(sections.iter().all(|section| section.heading_path == ["Use"]));
    }

    #[test]
    fn a_heading_that_is_too_long_is_text() {
        let mut outline = Outline::default();
        heading(&mut outline, 1, &"long ".repeat(50));
        assert_eq!(outline.title(), None);
        assert_eq!(outline.finish("")[0].text, "long ".repeat(50).trim());
    }

    #[test]
    fn a_table_in_a_table_and_one_that_never_ends_lose_no_text() {
        let mut outline = Outline::default();
        outline.start_table();
        outline.start_cell();
        outline.start_table();
        outline.start_cell();
        outline.text("inner");
        outline.end_table();
        outline.text("outer");
        assert_eq!(outline.finish("")[0].text, "| inner outer |\n| --- |");
    }
}
