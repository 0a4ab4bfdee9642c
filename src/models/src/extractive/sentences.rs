//! Cuts a passage into sentences that can be quoted, and tables into their rows; knows what in Markdown is no prose.
//! Never changes a character: every sentence is a slice of the passage.

use unicode_segmentation::UnicodeSegmentation;

/// Shortest sentence in words: less is a label or a torn piece.
const FEWEST_WORDS: usize = 4;
/// Longest sentence in bytes: more is a listing without full stops, nothing that answers.
const MOST_BYTES: usize = 800;

/// A sentence of a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    pub(super) text: &'a str,
    /// The heading in the passage that it stands under, empty when there is none.
    pub(super) heading: &'a str,
}

impl Sentence<'_> {
    /// How well it reads as an answer: questions ask, and a colon announces what is then missing.
    pub(super) fn fitness(&self) -> f64 {
        let end = self.text.trim_end_matches(['*', '_', '`', '"', ')']);
        if end.ends_with(['?', '？']) {
            0.4
        } else if end.ends_with([':', '：']) {
            0.6
        } else if end.ends_with(['.', '!', '。', '！', '।', '؟', '۔']) {
            1.0
        } else {
            0.8
        }
    }
}

/// The sentences of the passage's prose, in their order.
pub(super) fn sentences(passage: &str) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    for block in blocks(passage) {
        let pieces = if block.is_row { vec![block.text] } else { pieces(block.text) };
        let readable = pieces.into_iter().map(str::trim).filter(|text| is_readable(text));
        found.extend(readable.map(|text| Sentence { text, heading: block.heading }));
    }
    found
}

fn is_readable(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let shown = text.chars().filter(|c| !c.is_whitespace()).count();
    let has_words = || text.unicode_words().nth(FEWEST_WORDS - 1).is_some();
    text.len() <= MOST_BYTES && letters * 2 > shown && has_words()
}

/// A paragraph's pieces between sentence bounds (Unicode annex 29).
fn pieces(paragraph: &str) -> Vec<&str> {
    // The annex ends a sentence at every line break; in a paragraph it is white space like any other.
    let flat: String = paragraph.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }).collect();
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for (start, piece) in flat.split_sentence_bound_indices() {
        let end = start + piece.len();
        match pieces.last_mut().filter(|(from, to)| paragraph.get(*from..*to).is_some_and(is_unfinished)) {
            Some((_, to)) => *to = end,
            None => pieces.push((start, end)),
        }
    }
    pieces.into_iter().filter_map(|(start, end)| paragraph.get(start..end)).collect()
}

/// Whether the mark at the end stands inside code, or belongs to an abbreviation that capital letters may follow.
fn is_unfinished(piece: &str) -> bool {
    const ABBREVIATIONS: [&str; 10] =
        ["e.g.", "i.e.", "etc.", "vs.", "cf.", "Dr.", "Mr.", "Mrs.", "No.", "approx."];
    let word = piece.split_whitespace().next_back().unwrap_or_default();
    piece.matches('`').count() % 2 == 1
        || ABBREVIATIONS.contains(&word.trim_start_matches(['(', '[', '*', '"']))
}

/// A paragraph, a list item without its marker, or a row of a table without its outer bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block<'a> {
    text: &'a str,
    heading: &'a str,
    is_row: bool,
}

/// What a line is in Markdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Blank,
    /// Opens or closes a block of code.
    Fence,
    Heading(&'a str),
    /// `===` or `---`: makes a heading of the line before it, or is a rule.
    Underline,
    /// A row of a table, whose cells these are.
    Row(&'a str),
    /// `|---|---|`: the row before it was the table's head.
    TableRule,
    /// A tag, an admonition's label, an image.
    NoProse,
    /// Begins a list item or a quotation, whose text is this.
    Item(&'a str),
    Text,
}

/// The passage's prose and the rows of its tables. Headings, code, tags and front matter are left out.
fn blocks(passage: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut row: Option<Block<'_>> = None;
    let mut heading = "";
    let mut in_code = false;
    let mut at = 0;
    for raw in passage.split_inclusive('\n') {
        let (start, end) = (at, at + raw.len());
        at = end;
        let line = classify(raw.trim());
        if line == Line::Fence {
            in_code = !in_code;
        }
        blocks.extend(row.take().filter(|_| line != Line::TableRule));
        if line == Line::Text && !in_code {
            open = Some((open.map_or(start, |(from, _)| from), end));
            continue;
        }
        let closed = open.take().and_then(|(from, to)| passage.get(from..to));
        match (line, closed) {
            (Line::Underline, Some(text)) => heading = text.trim(),
            (_, Some(text)) => blocks.push(Block { text, heading, is_row: false }),
            (_, None) => {}
        }
        match line {
            _ if in_code => {}
            Line::Heading(text) => heading = text,
            Line::Row(text) => row = Some(Block { text, heading, is_row: true }),
            Line::Item(text) => open = Some((end - raw.trim_start().len() + offset(raw, text), end)),
            _ => {}
        }
    }
    let last = open.and_then(|(from, to)| passage.get(from..to));
    blocks.extend(last.map(|text| Block { text, heading, is_row: false }).or(row));
    blocks
}

/// Where `text`, the end of the trimmed line, begins in it.
fn offset(line: &str, text: &str) -> usize {
    line.trim().len() - text.len()
}

fn classify(line: &str) -> Line<'_> {
    if line.is_empty() {
        return Line::Blank;
    }
    if line.starts_with("```") || line.starts_with("~~~") {
        return Line::Fence;
    }
    if line.chars().all(|c| matches!(c, '=' | '-' | '*' | '_' | ' ')) {
        return Line::Underline;
    }
    let title = line.trim_start_matches('#');
    if title.len() < line.len() && title.starts_with(' ') {
        return Line::Heading(title.trim_matches([' ', '#']));
    }
    if let Some(cells) = line.strip_prefix('|') {
        let is_rule = cells.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
        return if is_rule { Line::TableRule } else { Line::Row(cells.trim_end_matches('|').trim()) };
    }
    let is_table = line.matches(" | ").count() > 1;
    let is_tag = line.starts_with('<') && line.ends_with('>');
    let is_label = ["!!!", ":::", "???", "![", "[!", "> [!", "[!["].iter().any(|mark| line.starts_with(mark));
    if is_table || is_tag || is_label {
        return Line::NoProse;
    }
    item_text(line).map_or(Line::Text, Line::Item)
}

/// The text behind a list marker (`- `, `* `, `3. `, `3) `), a checkbox or a quotation mark, if there is one.
fn item_text(line: &str) -> Option<&str> {
    let behind_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let text = if behind_number.len() < line.len() {
        behind_number.strip_prefix(". ").or_else(|| behind_number.strip_prefix(") "))
    } else {
        ["- ", "* ", "+ ", "• ", "> "].iter().find_map(|marker| line.strip_prefix(marker))
    }?;
    let text = text.trim_start();
    let unchecked = ["[ ] ", "[x] ", "[X] "].iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text);
    Some(item_text(unchecked).unwrap_or(unchecked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(passage: &str) -> Vec<&str> {
        sentences(passage).into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn a_wrapped_paragraph_is_cut_at_sentences_not_at_lines() {
        let passage = "The server answers in\nan orderly way. It never\r\nwaits without a bound.";
        assert_eq!(
            texts(passage),
            ["The server answers in\nan orderly way.", "It never\r\nwaits without a bound."]
        );
    }

    #[test]
    fn headings_code_table_heads_and_tags_are_no_sentences() {
        let passage = "# This is a long heading\n\nSetext headings count as well\n=====\n\n\
            ```sh\n# a comment in the code here\nrun this command now please\n```\n\n\
            | a cell | with many words | in it |\n|---|---|---|\n\n<p align=\"center\">five words in a tag</p>\n\n\
            !!! note \"A label with many words\"\n\nOnly this sentence is prose.";
        assert_eq!(texts(passage), ["Only this sentence is prose."]);
        assert_eq!(sentences(passage)[0].heading, "Setext headings count as well");
    }

    #[test]
    fn a_table_is_quoted_by_its_rows_and_not_by_its_head() {
        let passage = "Codes of the display in short:\n\n| Code | Meaning | What to do now |\n| --- | :-: | --- |\n\
            | E-117 | Tilt of more than 3 degrees. | Straighten the bracket. |\n| E-1 | no |\n\n\
            | Without a rule | every row | is one |";
        assert_eq!(
            texts(passage),
            [
                "Codes of the display in short:",
                "E-117 | Tilt of more than 3 degrees. | Straighten the bracket.",
                "Without a rule | every row | is one"
            ]
        );
    }

    #[test]
    fn a_list_item_is_quoted_without_its_marker() {
        let passage = "Steps to take now:\n- Open the big door\n  and go in.\n2. Close the big door again.\n  - [x] Lock it with the key.\n> Quotations are sentences as well.";
        assert_eq!(
            texts(passage),
            [
                "Steps to take now:",
                "Open the big door\n  and go in.",
                "Close the big door again.",
                "Lock it with the key.",
                "Quotations are sentences as well."
            ]
        );
    }

    #[test]
    fn abbreviations_and_versions_do_not_end_a_sentence() {
        let passage = "Use a client, e.g. Python's, with version 1.2.3 or later. Then restart the server.";
        assert_eq!(texts(passage).len(), 2);
    }

    #[test]
    fn a_mark_inside_code_does_not_end_a_sentence() {
        let passage = "The macros `debug!` and `Is it? Yes.` are code. So is this.";
        assert_eq!(texts(passage), ["The macros `debug!` and `Is it? Yes.` are code."]);
    }

    #[test]
    fn other_scripts_have_sentences_too() {
        assert_eq!(texts("服务器会回答问题。它从不等待。"), ["服务器会回答问题。", "它从不等待。"]);
    }

    #[test]
    fn labels_and_walls_of_text_are_left_out() {
        assert_eq!(texts("See also.\n\n---\n\n1234 5678 90 1 2 3 4 5\n"), Vec::<&str>::new());
        assert_eq!(texts(&"word ".repeat(400)), Vec::<&str>::new());
    }

    #[test]
    fn an_unclosed_fence_hides_the_rest() {
        assert_eq!(texts("```\nthis looks like a sentence."), Vec::<&str>::new());
    }
}
