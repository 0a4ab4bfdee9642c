//! Reads web pages: the main content with its headings, lists, tables and code; no navigation, scripts, styles or forms.
//! Works on the stream of tags, never on a tree: nesting and missing end tags cost neither stack nor quadratic time.

use std::cell::RefCell;

use html5ever::LocalName;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use crate::extract::html::head::Head;
use crate::extract::outline::Outline;
use crate::extract::{Document, Input, Unreadable, decode};

mod head;

/// How much of a page counts as content. Tried in this order until there is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What stands in `main` and `article` elements.
    Main,
    /// All but what surrounds content on most pages: headers, footers, navigation, forms.
    Body,
    /// All text: for pages whose whole content is a form or lies behind a tag that never ends.
    All,
}

/// Reads a whole page.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let text = decode::html(input.bytes)?;
    let mut document = page(&text);
    text.note_encoding(&mut document.metadata);
    Ok(document)
}

/// Reads a whole page whose encoding is known.
pub(super) fn page(page: &str) -> Document {
    let mut reader = tokenized(page, Reader::new(Scope::Main, Outline::default()));
    for scope in [Scope::Body, Scope::All] {
        if !reader.found_text {
            reader = tokenized(page, Reader::new(scope, Outline::default()));
        }
    }
    reader.outline.end_block();
    let heading = reader.outline.title().map(str::to_owned);
    let title = heading.or_else(|| Some(reader.title.split_whitespace().collect::<Vec<_>>().join(" ")));
    Document {
        title: title.filter(|title| !title.is_empty()),
        outline: Some(reader.outline),
        metadata: reader.head.fields,
        ..Document::default()
    }
}

/// Reads a piece of HTML that stands within a document of another format.
pub(super) fn read_into(outline: &mut Outline, html: &str) {
    let reader = tokenized(html, Reader::new(Scope::Body, std::mem::take(outline)));
    *outline = reader.outline;
}

fn tokenized(html: &str, reader: Reader) -> Reader {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    let tokenizer = Tokenizer::new(Sink(RefCell::new(reader)), TokenizerOpts::default());
    // Without a tree nothing ever pauses the tokenizer but an encoding or script that it reports: go on.
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    let mut reader = tokenizer.sink.0.into_inner();
    reader.outline.end_block();
    reader
}

/// The tokenizer shares its sink, hence the cell.
struct Sink(RefCell<Reader>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reader = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                reader.start(&tag);
                return raw_content(&tag.name);
            }
            Token::TagToken(tag) => reader.end(&tag.name),
            Token::CharacterTokens(text) => reader.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Elements whose content is not markup: the tokenizer relies on its sink to know them.
fn raw_content(name: &LocalName) -> TokenSinkResult<()> {
    match name.as_ref() {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noembed" | "noframes" | "noscript" | "xmp" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => TokenSinkResult::Continue,
    }
}

struct Reader {
    scope: Scope,
    outline: Outline,
    title: String,
    head: Head,
    in_title: bool,
    /// Whether the script being left out is linked data.
    in_linked: bool,
    found_text: bool,
    /// Open `main` and `article` elements.
    content_depth: usize,
    /// Open `pre` elements.
    code_depth: usize,
    /// The element being left out, and how many of its name are open in it.
    left_out: Option<(LocalName, usize)>,
}

impl Reader {
    fn new(scope: Scope, outline: Outline) -> Self {
        Self {
            scope,
            outline,
            title: String::new(),
            head: Head::default(),
            in_title: false,
            in_linked: false,
            found_text: false,
            content_depth: 0,
            code_depth: 0,
            left_out: None,
        }
    }

    fn start(&mut self, tag: &Tag) {
        if let Some((name, open)) = &mut self.left_out {
            *open += usize::from(*name == tag.name);
            return;
        }
        if self.leaves_out(tag) {
            if !is_void(&tag.name) && !tag.self_closing {
                self.left_out = Some((tag.name.clone(), 1));
                self.in_linked = attribute(tag, "type").as_deref() == Some("application/ld+json");
            }
            return;
        }
        match tag.name.as_ref() {
            "html" => self.head.language(&attribute(tag, "lang").unwrap_or_default()),
            "meta" => self.meta(tag),
            "title" => self.in_title = true,
            "main" | "article" => self.content_depth += 1,
            _ => {}
        }
        if self.is_content() {
            self.start_block(tag);
        }
    }

    fn end(&mut self, name: &LocalName) {
        if let Some((left_out, open)) = &mut self.left_out {
            *open -= usize::from(left_out == name);
            if *open == 0 {
                self.left_out = None;
                if std::mem::take(&mut self.in_linked) {
                    self.head.end_linked();
                }
            }
            return;
        }
        if self.is_content() {
            self.end_block(name);
        }
        match name.as_ref() {
            "title" => self.in_title = false,
            "main" | "article" => self.content_depth = self.content_depth.saturating_sub(1),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.left_out.is_some() {
            if self.in_linked {
                self.head.linked(text);
            }
            return;
        }
        if self.in_title {
            self.title.push_str(text);
        } else if self.is_content() {
            self.found_text |= !text.trim().is_empty();
            self.outline.text(text);
        }
    }

    fn is_content(&self) -> bool {
        self.scope != Scope::Main || self.content_depth > 0
    }

    fn leaves_out(&self, tag: &Tag) -> bool {
        match tag.name.as_ref() {
            "script" | "style" | "template" | "noscript" | "svg" | "math" | "iframe" | "object"
            | "canvas" | "audio" | "video" | "select" | "datalist" | "input" | "textarea" | "noembed"
            | "noframes" => true,
            _ if self.scope == Scope::All => false,
            "nav" | "form" | "button" | "dialog" | "menu" => true,
            "header" | "footer" | "aside" => self.content_depth == 0,
            _ => is_hidden(tag) || is_around_content(tag),
        }
    }

    fn start_block(&mut self, tag: &Tag) {
        match tag.name.as_ref() {
            "h1" => self.outline.start_heading(1),
            "h2" => self.outline.start_heading(2),
            "h3" => self.outline.start_heading(3),
            "h4" => self.outline.start_heading(4),
            "h5" => self.outline.start_heading(5),
            "h6" => self.outline.start_heading(6),
            "ul" | "dir" => self.outline.start_list(None),
            "ol" => self.outline.start_list(Some(first_number(tag))),
            "li" => self.outline.start_item(),
            "table" => self.outline.start_table(),
            "tr" => self.outline.start_row(),
            "td" | "th" => self.outline.start_cell(),
            "br" => self.outline.line_break(),
            "img" => self.outline.text(&attribute(tag, "alt").unwrap_or_default()),
            "pre" | "listing" | "xmp" | "plaintext" => {
                self.code_depth += 1;
                self.outline.start_code("");
            }
            "code" | "kbd" | "samp" if self.code_depth == 0 => self.outline.text("`"),
            name if is_block(name) && self.code_depth == 0 => self.outline.end_block(),
            _ => {}
        }
    }

    fn end_block(&mut self, name: &LocalName) {
        match name.as_ref() {
            "ul" | "ol" | "dir" => self.outline.end_list(),
            "table" => self.outline.end_table(),
            "pre" | "listing" | "xmp" => {
                self.code_depth = self.code_depth.saturating_sub(1);
                self.outline.end_block();
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "li" => self.outline.end_block(),
            "code" | "kbd" | "samp" if self.code_depth == 0 => self.outline.text("`"),
            name if is_block(name) && self.code_depth == 0 => self.outline.end_block(),
            _ => {}
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let names = ["name", "property", "itemprop", "http-equiv"];
        let name = names.into_iter().find_map(|name| attribute(tag, name));
        if let (Some(name), Some(content)) = (name, attribute(tag, "content")) {
            self.head.meta(&name, &content);
        }
    }
}

fn attribute(tag: &Tag, name: &str) -> Option<String> {
    tag.attrs
        .iter()
        .find(|attribute| *attribute.name.local == *name)
        .map(|attribute| attribute.value.trim().to_owned())
}

fn is_hidden(tag: &Tag) -> bool {
    attribute(tag, "hidden").is_some() || attribute(tag, "aria-hidden").as_deref() == Some("true")
}

/// Landmarks of accessibility: what stands around the content.
fn is_around_content(tag: &Tag) -> bool {
    matches!(
        attribute(tag, "role").as_deref(),
        Some("navigation" | "search" | "banner" | "contentinfo" | "menu")
    )
}

fn first_number(tag: &Tag) -> u64 {
    attribute(tag, "start").and_then(|start| start.parse().ok()).unwrap_or(1)
}

fn is_void(name: &LocalName) -> bool {
    matches!(
        name.as_ref(),
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "source"
            | "wbr"
    )
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "header"
            | "hr"
            | "legend"
            | "main"
            | "option"
            | "p"
            | "section"
            | "summary"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Section;
    use std::time::{Duration, Instant};

    fn sections(page: &str) -> (Option<String>, Vec<Section>) {
        let document = super::page(page);
        let title = document.title.clone().unwrap_or_default();
        (document.title, document.outline.unwrap().finish(&title))
    }

    #[test]
    fn the_main_content_is_read_and_what_surrounds_it_is_not() {
        let (title, sections) = sections(
            "<html lang=en><title>Pumps &amp; more - Shop</title><nav>Home</nav><header>Banner</header>
             <main><h1>Pumps</h1><nav>On this page</nav><p>A <b>pump</b> moves<br>water &amp; oil.</p>
             <h2>Use</h2><ul><li>Fill<li>Start<ol start=3><li>three</ol></ul>
             <table><tr><th>Part<th>Code<tr><td>Seal<td><code>S-1</code></table>
             <pre><code>run  --fast
             stop</code></pre><script>bad()</script><form>Search <input></form></main><footer>Imprint</footer>",
        );
        assert_eq!(title.as_deref(), Some("Pumps"));
        assert_eq!(sections[0].text, "A pump moves\nwater & oil.");
        assert_eq!(sections[1].heading_path, ["Use"]);
        assert_eq!(
            sections[1].text,
            "- Fill\n- Start\n  3. three\n\n| Part | Code |\n| --- | --- |\n| Seal | `S-1` |\n\n```\nrun  --fast\n             stop\n```"
        );
    }

    #[test]
    fn a_page_without_main_content_is_read_as_far_as_it_has_any() {
        let (title, found) = sections("<title>T</title><div hidden>no</div><header>no</header><p>one<p>two");
        assert_eq!((title.as_deref(), found[0].text.as_str()), (Some("T"), "one\n\ntwo"));
        assert_eq!(sections("<form><p>only a form</p></form>").1[0].text, "only a form");
        assert_eq!(sections("<nav>never ends <p>text").1[0].text, "never ends\n\ntext");
        assert_eq!(sections("<script>x()</script>").1, []);
    }

    fn metadata(head: &str) -> serde_json::Value {
        serde_json::Value::Object(page(&format!("{head}<p>x")).metadata)
    }

    #[test]
    fn what_a_page_says_of_itself_is_metadata() {
        assert_eq!(
            metadata(
                "<html lang=de_at><meta name=Author content=' Ada '><meta property=article:published_time content='2026-03-01T13:00:00+01:00'><meta http-equiv=Last-Modified content='Sun, 01 Mar 2026 13:00:00 GMT'><meta name=viewport content=x>"
            ),
            serde_json::json!({"author": "Ada", "language": "de-AT", "created": "2026-03-01T12:00:00Z",
                "modified": "2026-03-01T13:00:00Z"})
        );
    }

    #[test]
    fn linked_data_fills_what_is_missing() {
        assert_eq!(
            metadata(
                "<meta name=dc.date content=2026-03-01><script type='application/ld+json'>{\"@graph\": [{\"@type\": \"Article\", \"datePublished\": \"2020-01-01\", \"dateModified\": \"2026-04-01\", \"author\": [{\"name\": \"Ada\"}, {\"name\": \"Bob\"}]}]}</script><script>{\"dateModified\": 1}</script>"
            ),
            serde_json::json!({"author": "Ada, Bob", "created": "2026-03-01T00:00:00Z",
                "modified": "2026-04-01T00:00:00Z"})
        );
        assert_eq!(metadata("<script type='application/ld+json'>{broken</script>"), serde_json::json!({}));
    }

    #[test]
    fn deep_and_unclosed_nesting_costs_neither_stack_nor_time() {
        let begun = Instant::now();
        for tag in ["<div>", "<table><tr><td>", "<ul><li>", "<b><p>", "<main>", "<nav>", "<h1>", "<pre>"] {
            page(&format!("{}deep", tag.repeat(100_000)));
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
