//! Reads reStructuredText: sections, lists, tables, code and directives, those of Sphinx among them.
//! Never opens another file and never builds a tree: lines are read one by one, and nesting is what their indentation says.

use serde_json::{Map, Value};

use crate::extract::metadata;
use crate::extract::outline::Outline;
use crate::extract::rst::directive::{LEFT_OUT, PARSED};
use crate::extract::rst::inline::plain;
use crate::extract::rst::line::{SHORTEST_RULE, directive, field, indentation, item, reaches, rule, verse};
use crate::extract::rst::table::Rows;
use crate::extract::substitutions::Substitutions;
use crate::extract::{Document, Input, Unreadable, decode};

mod directive;
mod inline;
mod line;
mod table;

/// Reads a whole document.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let text = decode::text(input.bytes)?;
    let mut document = parsed(&text);
    text.note_encoding(&mut document.metadata);
    Ok(document)
}

fn parsed(text: &str) -> Document {
    let text = text.replace('\t', "        ");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut reader = Reader::new(&lines);
    while reader.at < lines.len() {
        reader.line();
    }
    reader.end_paragraph();
    reader.end_lists(0);
    let title = reader.outline.title().map(str::to_owned);
    Document { title, outline: Some(reader.outline), metadata: reader.metadata, ..Document::default() }
}

struct Reader<'a> {
    lines: &'a [&'a str],
    /// Indentation of each line; empty ones are deeper than all others.
    indents: Vec<usize>,
    at: usize,
    outline: Outline,
    metadata: Map<String, Value>,
    substitutions: Substitutions,
    /// Styles of headings, outermost first.
    styles: Vec<(char, bool)>,
    /// Indentations of the open lists, and whether they are numbered.
    lists: Vec<(usize, bool)>,
    paragraph: String,
    /// Indentation of the paragraph's last line.
    indent: usize,
    /// Whether nothing but headings and fields was seen.
    is_head: bool,
    /// The line that ends the last simple table, so that none is looked for in vain again and again.
    last_border: usize,
}

impl<'a> Reader<'a> {
    fn new(lines: &'a [&'a str]) -> Self {
        let indent = |line: &&str| if line.is_empty() { usize::MAX } else { indentation(line) };
        Self {
            lines,
            indents: lines.iter().map(indent).collect(),
            at: 0,
            outline: Outline::default(),
            metadata: Map::new(),
            substitutions: substitutions(lines),
            styles: Vec::new(),
            lists: Vec::new(),
            paragraph: String::new(),
            indent: 0,
            is_head: true,
            last_border: last_border(lines),
        }
    }

    /// Reads what begins on this line, and goes to the line behind it.
    fn line(&mut self) {
        let line = self.peek(0);
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.is_empty() {
            self.end_paragraph();
            self.at += 1;
        } else if self.paragraph.is_empty() || indent != self.indent {
            self.end_paragraph();
            self.block(text, indent);
        } else {
            self.go_on(text, indent);
        }
    }

    fn peek(&self, ahead: usize) -> &'a str {
        self.lines.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn block(&mut self, text: &'a str, indent: usize) {
        if self.heading(text, indent) {
            return;
        }
        if text.starts_with(".. ") || text == ".." {
            return self.explicit(text.get(2..).unwrap_or_default().trim_start(), indent);
        }
        if table::is_grid_border(text) || table::is_simple_border(text) {
            return self.table(text, indent);
        }
        if text.starts_with(">>> ") {
            let end = self.block_end(str::is_empty);
            return self.code("", end, indent);
        }
        if let Some((name, value)) = field(text) {
            return self.field(name, value, indent);
        }
        self.is_head = false;
        if let Some((number, length)) = item(text) {
            return self.item(text, indent, number, length);
        }
        self.end_lists(indent);
        if verse(text).is_none() {
            return self.go_on(text, indent);
        }
        while let Some(verse) = verse(self.peek(0).trim_start()) {
            self.write(verse);
            self.outline.line_break();
            self.at += 1;
        }
    }

    /// Adds a line to the paragraph. Two colons at its end announce code.
    fn go_on(&mut self, text: &str, indent: usize) {
        self.indent = indent;
        self.paragraph.push_str(text);
        self.paragraph.push('\n');
        self.at += 1;
        let ends = self.peek(0).is_empty();
        if ends && text.ends_with("::") && self.follows_indented(indent) {
            let kept = self.paragraph.trim_end().trim_end_matches(':').trim_end().len();
            let has_text = kept > 0;
            self.paragraph.truncate(kept);
            if has_text {
                self.paragraph.push(':');
            }
            self.end_paragraph();
            let end = self.body_end(indent);
            self.code("", end, indent);
        }
    }

    fn follows_indented(&self, indent: usize) -> bool {
        let next = self.lines.iter().skip(self.at).find(|line| !line.is_empty());
        next.is_some_and(|line| indentation(line) > indent)
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        self.write(&paragraph);
        self.outline.end_block();
    }

    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            self.outline.text(&plain(text, &self.substitutions));
        }
    }

    /// A title with a line below it, and above it in some styles; or a line by itself, which only divides.
    fn heading(&mut self, text: &'a str, indent: usize) -> bool {
        let below = self.peek(1).trim();
        let (title, style, length) = match (rule(text), rule(below)) {
            (Some(mark), None) if !below.is_empty() && rule(self.peek(2)) == Some(mark) => {
                (below, (mark, true), 3)
            }
            (Some(_), _) if text.len() >= SHORTEST_RULE && below.is_empty() => {
                self.at += 1;
                return true;
            }
            (None, Some(mark)) if indent == 0 && reaches(below, text) => (text, (mark, false), 2),
            _ => return false,
        };
        self.end_lists(0);
        let level = self.styles.iter().position(|known| *known == style).unwrap_or_else(|| {
            self.styles.push(style);
            self.styles.len() - 1
        });
        self.outline.start_heading(u8::try_from(level + 1).unwrap_or(u8::MAX));
        self.write(title);
        self.outline.end_block();
        self.at += length;
        true
    }

    fn item(&mut self, text: &'a str, indent: usize, number: Option<u64>, length: usize) {
        while self.lists.last().is_some_and(|(open, _)| *open > indent) {
            self.end_list();
        }
        let list = (indent, number.is_some());
        if self.lists.last().is_some_and(|open| *open == (indent, number.is_none())) {
            self.end_list();
        }
        if self.lists.last() != Some(&list) {
            self.outline.start_list(number);
            self.lists.push(list);
        }
        self.outline.start_item();
        let content = text.get(length..).unwrap_or_default();
        let inner = content.trim_start();
        if inner.is_empty() {
            self.at += 1;
        } else {
            self.go_on(inner, indent + length + content.len() - inner.len());
        }
    }

    /// Ends the lists whose items' text is indented by more.
    fn end_lists(&mut self, indent: usize) {
        while self.lists.last().is_some_and(|(open, _)| *open >= indent) {
            self.end_list();
        }
    }

    fn end_list(&mut self) {
        self.lists.pop();
        self.outline.end_list();
    }

    /// A field: metadata at the head of the document, text elsewhere.
    fn field(&mut self, name: &'a str, value: &'a str, indent: usize) {
        if !self.is_head {
            self.end_lists(indent);
            return self.go_on(&format!("{name}: {value}"), indent);
        }
        self.at += 1;
        let end = self.body_end(indent);
        let more = self.lines.get(self.at..end).unwrap_or_default().iter().map(|line| line.trim());
        let value: Vec<&str> = std::iter::once(value).chain(more).collect();
        let text = plain(value.join(" ").trim(), &self.substitutions);
        metadata::note(&mut self.metadata, &name.to_lowercase().replace(' ', "_"), &text);
        self.at = end;
    }

    /// What begins with two dots: a directive, a footnote, a target, or a comment.
    fn explicit(&mut self, text: &'a str, indent: usize) {
        if let Some((label, note)) = text.strip_prefix('[').and_then(|text| text.split_once("] ")) {
            self.end_lists(indent);
            self.write(&format!("[{label}] {note}"));
            self.at += 1;
            return;
        }
        match directive(text) {
            Some((name, argument)) if !LEFT_OUT.contains(&name) => self.directive(name, argument, indent),
            _ => {
                self.at += 1;
                self.at = self.body_end(indent);
            }
        }
    }

    /// The line behind what is indented by more, empty lines at its end included.
    fn body_end(&self, indent: usize) -> usize {
        let rest = self.indents.get(self.at..).unwrap_or_default();
        rest.iter().position(|other| *other <= indent).map_or(self.lines.len(), |length| self.at + length)
    }

    fn block_end(&self, ends: impl Fn(&str) -> bool) -> usize {
        let rest = self.lines.iter().skip(self.at);
        rest.clone().position(|line| ends(line)).map_or(self.lines.len(), |length| self.at + length)
    }

    fn code(&mut self, language: &str, end: usize, indent: usize) {
        let lines = self.lines.get(self.at..end).unwrap_or_default();
        let margin = lines.iter().filter(|line| !line.is_empty()).map(|line| indentation(line)).min();
        self.end_lists(indent);
        self.outline.start_code(if language == PARSED { "" } else { language });
        for line in lines {
            // Its lines are kept, but not its marks.
            let line = if language == PARSED { plain(line, &self.substitutions) } else { (*line).to_owned() };
            self.outline.text(line.get(margin.unwrap_or_default()..).unwrap_or_default());
            self.outline.text("\n");
        }
        self.outline.end_block();
        self.at = end;
    }

    fn table(&mut self, border: &str, indent: usize) {
        self.is_head = false;
        self.end_lists(indent);
        let (end, rows) = if table::is_grid_border(border) {
            let end = self.block_end(|line| !line.trim_start().starts_with(['+', '|']));
            (end, table::grid(self.lines.get(self.at..end).unwrap_or_default()))
        } else {
            let mut lines = (self.at + 1..self.last_border).filter(|at| self.is_last_border(*at));
            let end = lines.next().unwrap_or(self.last_border).max(self.at) + 1;
            (end, table::simple(self.lines.get(self.at..end).unwrap_or_default()))
        };
        self.rows(rows);
        self.at = end;
    }

    fn is_last_border(&self, at: usize) -> bool {
        let line = |at: usize| self.lines.get(at).copied().unwrap_or_default();
        table::is_simple_border(line(at)) && line(at + 1).is_empty()
    }

    fn rows(&mut self, rows: Rows) {
        self.outline.start_table();
        for row in rows {
            self.outline.start_row();
            for cell in row {
                self.outline.start_cell();
                self.write(&cell);
            }
        }
        self.outline.end_table();
    }
}

/// The line behind which no simple table ends; the first one when there is no such table.
fn last_border(lines: &[&str]) -> usize {
    let last = lines.iter().rposition(|line| table::is_simple_border(line));
    last.unwrap_or_default()
}

/// Most lines that a text which stands for a name goes on for.
const MOST_LINES: usize = 16;

/// The texts that `.. |name| replace:: text` gives to names.
fn substitutions(lines: &[&str]) -> Substitutions {
    let mut found = Substitutions::default();
    let none = Substitutions::default();
    for (at, line) in lines.iter().enumerate() {
        let definition =
            line.trim_start().strip_prefix(".. |").and_then(|line| line.split_once("| replace::"));
        let Some((name, text)) = definition else { continue };
        let more = lines.iter().skip(at + 1).take(MOST_LINES);
        let more = more.take_while(|next| !next.is_empty() && indentation(next) > indentation(line));
        let text: Vec<&str> = std::iter::once(text).chain(more.copied()).map(str::trim).collect();
        found.set(name, plain(text.join(" ").trim(), &none));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Section;

    fn sections(text: &str) -> (Option<String>, Vec<Section>) {
        let document = parsed(text);
        let title = document.title.clone().unwrap_or_default();
        (document.title, document.outline.unwrap().finish(&title))
    }

    fn text(text: &str) -> String {
        sections(text).1.into_iter().map(|section| section.text).collect::<Vec<_>>().join("\n---\n")
    }

    #[test]
    fn styles_of_titles_are_levels_in_the_order_of_their_first_use() {
        let (title, sections) = sections(
            "=====\nGuide\n=====\n\nWelcome.\n\nInstall\n=======\n\nLinux\n-----\n\nUse apt.\n\nLicence\n=======\n\nFree.\n",
        );
        let paths: Vec<String> = sections.iter().map(|section| section.heading_path.join("/")).collect();
        assert_eq!(title.as_deref(), Some("Guide"));
        assert_eq!(paths, ["", "Install/Linux", "Licence"]);
        assert_eq!(sections[1].text, "Use apt.");
    }

    #[test]
    fn lists_code_and_definitions_keep_their_shape() {
        assert_eq!(
            text(
                "Do::\n\n  make\n    all\n\n- one\n  more\n\n  * inner\n\n- two\n\n1. first\n#. next\n\nterm\n  Its meaning.\n\n| verse\n| two\n\n>>> f()\n1\n"
            ),
            "Do:\n\n```\nmake\n  all\n```\n\n- one more\n  - inner\n- two\n1. first\n2. next\n\nterm\n\nIts meaning.\n\nverse\ntwo\n\n```\n>>> f()\n1\n```"
        );
    }

    #[test]
    fn directives_show_what_a_reader_sees() {
        assert_eq!(
            text(
                ".. note::\n\n   Mind *this*.\n\n.. versionadded:: 3.1\n   It works.\n\n.. code-block:: sh\n   :linenos:\n\n   make\n\n.. toctree::\n   :maxdepth: 1\n\n   /a/b\n\n.. parsed-literal::\n\n   f(`x`_)\n\n.. image:: x.png\n   :alt: A pump\n\n.. option:: --fast\n\n  Goes fast.\n\n.. a comment\n   of two lines\n\n.. _target:\n\n.. [1] A footnote.\n"
            ),
            "Note: Mind this.\n\nNew in version 3.1: It works.\n\n```sh\nmake\n```\n\n```\nf(x)\n```\n\nA pump\n\n--fast\n\nGoes fast.\n\n[1] A footnote."
        );
    }

    #[test]
    fn all_kinds_of_tables_are_tables() {
        let expected = "| a | b |\n| --- | --- |\n| 1 | `x` |";
        for table in [
            "+---+-------+\n| a | b     |\n+===+=======+\n| 1 | ``x`` |\n+---+-------+\n",
            "=== =====\na   b\n=== =====\n1   ``x``\n=== =====\n",
            ".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n   * - 1\n     - ``x``\n",
            ".. csv-table::\n   :header: a, b\n\n   1, ``x``\n",
        ] {
            assert_eq!(text(&format!("{table}\nAfter.\n")), format!("{expected}\n\nAfter."));
        }
    }

    #[test]
    fn fields_at_the_head_are_metadata_and_substitutions_are_made() {
        let document = parsed(
            "Title\n=====\n\n:Author: Ada\n:date: 2026-03-01\n\n.. |x| replace:: the **pump**\n\nUse |x|.\n\n:later: field\n",
        );
        let expected = serde_json::json!({"author": "Ada", "date": "2026-03-01"});
        assert_eq!(Value::Object(document.metadata), expected);
        assert_eq!(document.outline.unwrap().finish("Title")[0].text, "Use the pump.\n\nlater: field");
    }

    #[test]
    fn other_files_are_never_opened() {
        assert_eq!(
            text(
                ".. include:: /etc/passwd\n\n.. literalinclude:: /etc/passwd\n\n.. csv-table::\n   :file: /etc/passwd\n\nEnd.\n"
            ),
            "End."
        );
    }

    #[test]
    fn deep_and_broken_markup_costs_neither_stack_nor_time() {
        let begun = std::time::Instant::now();
        let nested: Vec<String> =
            (0..2_000).map(|depth| format!("{}- x\n\n", " ".repeat(depth * 2))).collect();
        for text in [
            "== ==\nx\n\n",
            "a::\n\n",
            ".. note::\n",
            "+--+\n",
            "- ",
            "a\n=\n",
            ":a:\n",
            ".. |a| replace:: x\n",
        ] {
            parsed(&text.repeat(50_000));
        }
        parsed(&nested.concat());
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}
