//! Reads Markdown: `CommonMark` with tables, footnotes, task lists, front matter, embedded HTML and JSX.
//! Never follows a link; link targets are dropped, since they are not what a reader sees.

use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, MetadataBlockKind, Options, Parser, Tag, TagEnd};
use serde_json::{Map, Value};

use crate::extract::outline::Outline;
use crate::extract::{Document, Input, Unreadable, decode, front_matter, html, jsx};

/// Reads a document's text.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let is_mdx =
        Path::new(input.name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mdx"));
    let text = decode::text(input.bytes)?;
    let mut document = parsed(&text, is_mdx);
    text.note_encoding(&mut document.metadata);
    Ok(document)
}

fn parsed(text: &str, is_mdx: bool) -> Document {
    let text = jsx::stripped(text, is_mdx);
    let mut reader = Reader::default();
    for event in Parser::new_ext(&text, options()) {
        reader.event(event);
    }
    let title = reader.metadata.remove("title").and_then(|title| title.as_str().map(str::to_owned));
    let title = title.filter(|title| !title.trim().is_empty());
    let title = title.or_else(|| reader.outline.title().map(str::to_owned));
    Document { title, outline: Some(reader.outline), metadata: reader.metadata, ..Document::default() }
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS
}

#[derive(Default)]
struct Reader {
    outline: Outline,
    metadata: Map<String, Value>,
    /// A block that is not Markdown, while it is collected.
    foreign: Option<Foreign>,
}

enum Foreign {
    Html(String),
    FrontMatter(MetadataBlockKind, String),
}

impl Reader {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) => self.text(&text),
            Event::Code(code) => self.text(&format!("`{code}`")),
            Event::InlineHtml(tag) if tag.to_ascii_lowercase().starts_with("<br") => {
                self.outline.line_break();
            }
            Event::InlineMath(math) | Event::DisplayMath(math) => self.text(&math),
            Event::SoftBreak => self.outline.text(" "),
            Event::HardBreak => self.outline.line_break(),
            Event::Rule => self.outline.end_block(),
            Event::InlineHtml(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        match &mut self.foreign {
            Some(Foreign::Html(collected) | Foreign::FrontMatter(_, collected)) => collected.push_str(text),
            None => self.outline.text(text),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => self.outline.start_heading(rank(level)),
            Tag::CodeBlock(CodeBlockKind::Fenced(language)) => self.outline.start_code(&language),
            Tag::CodeBlock(CodeBlockKind::Indented) => self.outline.start_code(""),
            Tag::List(first) => self.outline.start_list(first),
            Tag::Item => self.outline.start_item(),
            Tag::Table(_) => self.outline.start_table(),
            Tag::TableHead | Tag::TableRow => self.outline.start_row(),
            Tag::TableCell => self.outline.start_cell(),
            Tag::HtmlBlock => {
                self.outline.end_block();
                self.foreign = Some(Foreign::Html(String::new()));
            }
            Tag::MetadataBlock(kind) => self.foreign = Some(Foreign::FrontMatter(kind, String::new())),
            Tag::Paragraph | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => self.outline.end_block(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::List(_) => self.outline.end_list(),
            TagEnd::Table => self.outline.end_table(),
            TagEnd::HtmlBlock | TagEnd::MetadataBlock(_) => self.end_foreign(),
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::CodeBlock
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
            | TagEnd::FootnoteDefinition => self.outline.end_block(),
            _ => {}
        }
    }

    fn end_foreign(&mut self) {
        match self.foreign.take() {
            Some(Foreign::Html(block)) => html::read_into(&mut self.outline, &block),
            Some(Foreign::FrontMatter(MetadataBlockKind::YamlStyle, block)) => {
                self.metadata = front_matter::yaml(&block);
            }
            Some(Foreign::FrontMatter(MetadataBlockKind::PlusesStyle, block)) => {
                self.metadata = front_matter::toml(&block);
            }
            None => {}
        }
    }
}

fn rank(level: HeadingLevel) -> u8 {
    use HeadingLevel::{H1, H2, H3, H4, H5, H6};
    match level {
        H1 => 1,
        H2 => 2,
        H3 => 3,
        H4 => 4,
        H5 => 5,
        H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Section;
    use std::time::{Duration, Instant};

    fn sections(text: &str, is_mdx: bool) -> (Option<String>, Vec<Section>) {
        let document = parsed(text, is_mdx);
        let title = document.title.clone().unwrap_or_default();
        (document.title, document.outline.unwrap().finish(&title))
    }

    #[test]
    fn what_a_reader_sees_is_kept_and_markup_is_not() {
        let (title, sections) = sections(
            "# The *Guide*\n\nSee [the manual](https://example.org/long) and **act**, `now`.\nSame line.\n\n![logo](x.png)\n\n## Steps\n\n1. one\n2. two\n   - inner\n\n> quoted\n\n| a | b |\n|---|---|\n| 1 | `x` |\n\n```sh\nmake  run\n```\n",
            false,
        );
        assert_eq!(title.as_deref(), Some("The Guide"));
        assert_eq!(sections[0].text, "See the manual and act, `now`. Same line.\n\nlogo");
        assert_eq!(sections[1].heading_path, ["Steps"]);
        assert_eq!(
            sections[1].text,
            "1. one\n2. two\n  - inner\n\nquoted\n\n| a | b |\n| --- | --- |\n| 1 | `x` |\n\n```sh\nmake  run\n```"
        );
    }

    #[test]
    fn front_matter_becomes_title_and_metadata() {
        let document = parsed("---\ntitle: Plans\ntags: [a]\n---\n\nText.\n", false);
        assert_eq!(document.title.as_deref(), Some("Plans"));
        assert_eq!(Value::Object(document.metadata), serde_json::json!({"tags": ["a"]}));
    }

    #[test]
    fn html_and_jsx_in_markdown_leave_their_text() {
        let (_, sections) = sections(
            "import X from 'x'\n\n<details>\n<summary>More</summary>\n\n<p align=\"center\">Shown <b>bold</b></p>\n\n</details>\n\n<Tip>\n\nA *tip*.\n\n</Tip>\n\nline<br/>break\n",
            true,
        );
        assert_eq!(sections[0].text, "More\n\nShown bold\n\nA tip.\n\nline\nbreak");
    }

    #[test]
    fn deep_nesting_costs_neither_stack_nor_time() {
        let begun = Instant::now();
        for text in [
            format!("{}deep", "> ".repeat(50_000)),
            format!("{}deep", "- ".repeat(20_000)),
            format!("{}deep{}", "[".repeat(50_000), "]".repeat(50_000)),
            format!("{}deep", "*a_ ".repeat(50_000)),
            "<div>\n\n".repeat(20_000),
        ] {
            parsed(&text, true);
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
