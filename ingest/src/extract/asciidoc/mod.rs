//! Reads `AsciiDoc`: sections, attributes, lists, blocks, tables and the texts of links.
//! Never opens another file (includes are left out) and never builds a tree: lines are read one by one.

use serde_json::{Map, Value};

use crate::extract::asciidoc::inline::plain;
use crate::extract::asciidoc::line::{heading, is_container, is_table, is_title, is_verbatim, item};
use crate::extract::metadata::{self, field};
use crate::extract::outline::Outline;
use crate::extract::substitutions::Substitutions;
use crate::extract::{Document, Input, Unreadable, decode, html};

mod attributes;
mod inline;
mod line;
mod table;

/// What remarks are called in the source and in the text.
const REMARKS: [(&str, &str); 5] = [
    ("NOTE", "Note:"),
    ("TIP", "Tip:"),
    ("IMPORTANT", "Important:"),
    ("WARNING", "Warning:"),
    ("CAUTION", "Caution:"),
];
/// Block macros of which a reader sees nothing here.
const LEFT_OUT: [&str; 6] = ["include::", "toc::", "video::", "audio::", "image::", "ifeval::"];

/// Reads a whole document.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let text = decode::text(input.bytes)?;
    let mut document = parsed(&text);
    text.note_encoding(&mut document.metadata);
    Ok(document)
}

fn parsed(text: &str) -> Document {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut reader = Reader { lines: &lines, ..Reader::default() };
    while reader.at < lines.len() {
        reader.line();
    }
    reader.end_paragraph();
    let title = reader.outline.title().map(str::to_owned);
    Document { title, outline: Some(reader.outline), metadata: reader.metadata, ..Document::default() }
}

#[derive(Default)]
struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
    outline: Outline,
    metadata: Map<String, Value>,
    attributes: Substitutions,
    /// The list of attributes in brackets above a block.
    style: &'a str,
    /// Marks of the open lists.
    lists: Vec<&'a str>,
    paragraph: String,
    /// For each open condition whether its lines are left out.
    conditions: Vec<bool>,
    /// Whether an empty line stands before this one.
    after_empty: bool,
    /// Whether a plus joins what follows to the item above.
    is_joined: bool,
    stage: Stage,
}

/// How far the document was read.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Comments and attributes above the title.
    #[default]
    Start,
    /// The lines below the title: authors, revision, attributes.
    Head,
    Body,
}

impl<'a> Reader<'a> {
    fn line(&mut self) {
        let line = self.lines.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        if self.condition(line) || self.conditions.contains(&true) || self.entry(line) {
            return;
        }
        if line.is_empty() {
            if self.stage == Stage::Head {
                self.stage = Stage::Body;
            }
            self.after_empty = true;
            return self.end_paragraph();
        }
        if line.starts_with("//") && !line.starts_with("///") {
            return;
        }
        if !self.block(line) {
            self.text(line);
            self.after_empty = false;
            self.is_joined = false;
        }
    }

    /// Reads what is more than text; tells whether it is.
    fn block(&mut self, line: &'a str) -> bool {
        let is_raised = line.starts_with(['=', '#']);
        if let Some((level, title)) = heading(line).filter(|_| is_raised && self.paragraph.is_empty()) {
            self.heading(level, title);
        } else if self.stage == Stage::Head {
            self.head(line);
        } else if line.starts_with('[') && line.ends_with(']') {
            self.end_paragraph();
            self.style = line.trim_matches(['[', ']']);
            // It belongs to what follows, which still stands behind the empty line.
            return true;
        } else if is_table(line) {
            self.table(line);
        } else if is_verbatim(line) {
            self.verbatim(line);
        } else if is_container(line) {
            self.begin_block();
            self.remark();
        } else if let Some(title) = line.strip_prefix('.').filter(|title| is_title(title)) {
            self.begin_block();
            self.paragraph_of(title);
        } else if line == "+" {
            self.end_paragraph();
            self.is_joined = true;
            return true;
        } else if matches!(line, "<<<" | "'''" | "---") {
            self.end_paragraph();
        } else if LEFT_OUT.iter().any(|name| line.starts_with(name)) {
            self.end_paragraph();
            if let Some((_, alt)) = line.split_once('[').filter(|_| line.starts_with("image::")) {
                self.paragraph_of(
                    alt.trim_end_matches(']').split(',').next().unwrap_or_default().trim_matches('"'),
                );
            }
        } else if let Some((mark, text)) = item(line) {
            self.item(mark, text);
        } else {
            return self.described(line);
        }
        self.after_empty = false;
        self.is_joined = false;
        true
    }

    /// Ends what stands above a block, lists included unless a plus joins the block to an item.
    fn begin_block(&mut self) {
        self.end_paragraph();
        if self.after_empty && !self.is_joined {
            self.end_lists();
        }
    }

    fn heading(&mut self, level: u8, title: &str) {
        self.end_paragraph();
        self.end_lists();
        self.style = "";
        self.outline.start_heading(level);
        self.outline.text(&plain(title, &self.attributes));
        self.outline.end_block();
        let is_title = level == 1 && self.stage == Stage::Start;
        self.stage = if is_title { Stage::Head } else { Stage::Body };
    }

    /// The lines below the title: authors, then revision.
    fn head(&mut self, line: &str) {
        if !self.metadata.contains_key(field::AUTHOR) && line.starts_with(char::is_alphabetic) {
            let authors = line.split(';').map(|author| author.split('<').next().unwrap_or_default().trim());
            metadata::note(&mut self.metadata, field::AUTHOR, &authors.collect::<Vec<_>>().join(", "));
        } else {
            let revision = line.split_once(": ").map_or(line, |(revision, _)| revision);
            for part in revision.split(", ") {
                metadata::note_time(&mut self.metadata, field::CREATED, part);
            }
        }
    }

    fn text(&mut self, line: &'a str) {
        self.stage = Stage::Body;
        if self.paragraph.is_empty() && self.after_empty {
            self.begin_block();
        }
        if self.paragraph.is_empty() && line.starts_with(' ') && self.lists.is_empty() {
            return self.literal_paragraph();
        }
        if self.paragraph.is_empty() {
            self.remark();
        }
        let line = line.trim_start();
        let remark = REMARKS.iter().find(|(name, _)| {
            self.paragraph.is_empty() && line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": "))
        });
        match remark {
            Some((name, word)) => self.paragraph.push_str(&line.replacen(&format!("{name}:"), word, 1)),
            None => self.paragraph.push_str(line),
        }
        // A plus at the end of a line keeps the break.
        if let Some(kept) = self.paragraph.strip_suffix(" +").map(str::len) {
            self.paragraph.truncate(kept);
            let text = std::mem::take(&mut self.paragraph);
            self.write(&text);
            self.outline.line_break();
        } else {
            self.paragraph.push('\n');
        }
    }

    fn write(&mut self, text: &str) {
        self.outline.text(&plain(text, &self.attributes));
    }

    fn paragraph_of(&mut self, text: &str) {
        self.write(text);
        self.outline.end_block();
    }

    fn end_paragraph(&mut self) {
        let text = std::mem::take(&mut self.paragraph);
        self.write(&text);
        self.outline.end_block();
    }

    fn end_lists(&mut self) {
        while self.lists.pop().is_some() {
            self.outline.end_list();
        }
    }

    /// The word of the remark that the style above a block announces.
    fn remark(&mut self) {
        let style = std::mem::take(&mut self.style);
        if let Some((_, word)) = REMARKS.iter().find(|(name, _)| style.split(',').next() == Some(name)) {
            self.paragraph_of(word);
        }
    }

    fn item(&mut self, mark: &'a str, text: &'a str) {
        self.stage = Stage::Body;
        self.end_paragraph();
        self.style = "";
        if let Some(depth) = self.lists.iter().position(|open| *open == mark) {
            while self.lists.len() > depth + 1 {
                self.lists.pop();
                self.outline.end_list();
            }
        } else {
            let is_numbered = mark.starts_with(['.', '<']) || mark.starts_with(|c: char| c.is_ascii_digit());
            self.outline.start_list(is_numbered.then_some(1));
            self.lists.push(mark);
        }
        self.outline.start_item();
        let text = ["[*] ", "[x] ", "[ ] "].iter().find_map(|check| text.strip_prefix(check)).unwrap_or(text);
        self.paragraph = format!("{text}\n");
    }

    /// `term:: description`.
    fn described(&mut self, line: &'a str) -> bool {
        if !self.paragraph.is_empty() && !self.after_empty {
            let is_short = line.len() < 100;
            if !is_short {
                return false;
            }
        }
        let described = line.split_once(":: ").or_else(|| line.strip_suffix("::").map(|term| (term, "")));
        let Some((term, text)) = described.filter(|(term, _)| !term.is_empty() && !term.contains("::"))
        else {
            return false;
        };
        self.stage = Stage::Body;
        self.end_paragraph();
        self.end_lists();
        self.paragraph = format!("{}: {text}\n", term.trim());
        true
    }

    /// The lines up to the one that is like the first.
    fn enclosed(&mut self, border: &str) -> &'a [&'a str] {
        let rest = self.lines.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|line| *line == border).unwrap_or(rest.len());
        self.at += length + 1;
        rest.get(..length).unwrap_or_default()
    }

    fn verbatim(&mut self, border: &'a str) {
        self.stage = Stage::Body;
        self.begin_block();
        let style = std::mem::take(&mut self.style);
        let fence = if border.starts_with("```") { "```" } else { border };
        let lines = self.enclosed(fence);
        if border.starts_with("////") {
            return;
        }
        if border.starts_with("++++") {
            return html::read_into(&mut self.outline, &lines.join("\n"));
        }
        let mut parts = style.split(',');
        let is_source = parts.next().is_some_and(|kind| kind.starts_with("source") || kind.is_empty());
        let language =
            parts.next().filter(|language| is_source && !language.contains('=')).unwrap_or_default();
        self.code(border.strip_prefix("```").unwrap_or(language), lines);
    }

    fn literal_paragraph(&mut self) {
        let first = self.at.saturating_sub(1);
        let rest = self.lines.get(first..).unwrap_or_default();
        let length = rest.iter().position(|line| line.is_empty()).unwrap_or(rest.len());
        self.at = first + length;
        self.code("", rest.get(..length).unwrap_or_default());
    }

    fn code(&mut self, language: &str, lines: &[&str]) {
        let indents =
            lines.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len());
        let margin = indents.min().unwrap_or_default();
        self.outline.start_code(language);
        for line in lines.iter().filter(|line| !LEFT_OUT.iter().any(|name| line.starts_with(name))) {
            self.outline.text(line.get(margin..).unwrap_or_default());
            self.outline.text("\n");
        }
        self.outline.end_block();
    }

    fn table(&mut self, border: &'a str) {
        self.stage = Stage::Body;
        self.begin_block();
        let style = std::mem::take(&mut self.style);
        let columns = style.split_once("cols=").map(|(_, columns)| {
            let quoted = columns.strip_prefix('"').and_then(|columns| columns.split('"').next());
            table::columns(quoted.unwrap_or_else(|| columns.split(',').next().unwrap_or_default()))
        });
        let lines = self.enclosed(border);
        let separator = border.chars().next().unwrap_or('|');
        let barred: Vec<String>;
        let barred_lines: Vec<&str>;
        let lines = if matches!(separator, ',' | ':') {
            barred = lines.iter().map(|line| format!("{separator}{line}")).collect();
            barred_lines = barred.iter().map(String::as_str).collect();
            &barred_lines
        } else {
            lines
        };
        self.outline.start_table();
        for row in table::rows(lines, columns, separator) {
            self.outline.start_row();
            for cell in row {
                self.outline.start_cell();
                self.write(&cell);
            }
        }
        self.outline.end_table();
    }
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
    fn the_head_gives_title_and_metadata() {
        let document = parsed(
            "// comment\n= Pumps\nAda L <ada@e.org>\nv1.0, 2026-03-01\n:lang: de\n:part: seal\n\nThe {part}.\n",
        );
        assert_eq!(document.title.as_deref(), Some("Pumps"));
        let expected =
            serde_json::json!({"author": "Ada L", "created": "2026-03-01T00:00:00Z", "language": "de"});
        assert_eq!(Value::Object(document.metadata), expected);
        assert_eq!(document.outline.unwrap().finish("Pumps")[0].text, "The seal.");
    }

    #[test]
    fn sections_lists_and_blocks_keep_their_shape() {
        let (_, sections) = sections(
            "= T\n\nIntro.\n\n== Use\n\n* one\nmore\n** inner\n* two\n+\nattached\n\n. first\n. second\n\nterm:: meaning\n\n.Title\n[source,sh]\n----\nmake  all\n----\n\n[NOTE]\n====\nMind it.\n====\n\nTIP: Try it.\n\n literal\n  text\n\nEnd +\nhere.\n",
        );
        assert_eq!(sections[0].text, "Intro.");
        assert_eq!(sections[1].heading_path, ["Use"]);
        assert_eq!(
            sections[1].text,
            "- one more\n  - inner\n- two\n  attached\n  1. first\n  2. second\n\nterm: meaning\n\nTitle\n\n```sh\nmake  all\n```\n\nNote:\n\nMind it.\n\nTip: Try it.\n\n```\nliteral\n text\n```\n\nEnd\nhere."
        );
    }

    #[test]
    fn tables_are_tables() {
        assert_eq!(
            text("[cols=\"1,2\"]\n|===\n|a |b\n\n|1\n|`x`\ny\n|===\n\nAfter."),
            "| a | b |\n| --- | --- |\n| 1 | `x` y |\n\nAfter."
        );
        assert_eq!(text(",===\na,b\n1,2\n,===\n"), "| a | b |\n| --- | --- |\n| 1 | 2 |");
    }

    #[test]
    fn conditions_follow_the_document_s_attributes() {
        assert_eq!(
            text(
                ":a: 1\n\nifdef::a[]\nyes\nendif::[]\n\nifdef::b[]\nno\nifndef::c[]\nno\nendif::[]\nendif::[]\n\nifndef::b[]\nalso\nendif::[]\n\nifdef::a[inline]\n"
            ),
            "yes\n\nalso\n\ninline"
        );
    }

    #[test]
    fn other_files_are_never_opened_and_comments_are_left_out() {
        assert_eq!(
            text(
                "include::/etc/passwd[]\n\n----\ninclude::/etc/passwd[]\ncode\n----\n\n////\nhidden\n////\n// hidden\n\nimage::x.png[A pump,200]\n\nEnd."
            ),
            "```\ncode\n```\n\nA pump\n\nEnd."
        );
    }

    #[test]
    fn deep_and_broken_markup_costs_neither_stack_nor_time() {
        let begun = std::time::Instant::now();
        for text in [
            "====\n",
            "----\n\n",
            "|===\n",
            "ifdef::a[]\n",
            "** x\n",
            ":a: {a}{a}{a}\n",
            "[NOTE]\n====\n",
            "a:: b\n",
            "....\n.....\n",
        ] {
            parsed(&text.repeat(50_000));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}
