//! Splits a text that is too long into pieces of about the same length, at the best borders that there are.
//! Never changes a character of what it keeps: pieces are parts of the text, white space at their ends left out.

use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter, TextSplitter};

/// Fewest characters that one token stands for, on average over a piece. Tokenizers give up on words without end and
/// call them one token; the text of such a piece would still be too much to store and to quote.
const CHARS_PER_TOKEN: usize = 8;
/// Times that a piece is split again when the sum of its parts was longer than they were.
const MOST_ROUNDS: usize = 8;

/// Longest text that is split at once: the splitter's work grows with the square of what has no borders.
const WINDOW_BYTES: usize = 16 * 1024;

/// How to split.
pub(super) struct Split<'a> {
    /// Length of a text in tokens.
    pub(super) measure: &'a dyn Fn(&str) -> usize,
    /// Most tokens of a piece.
    pub(super) room: usize,
    /// Tokens that a piece repeats of the one before.
    pub(super) overlap: usize,
    /// Whether the text is light Markdown.
    pub(super) is_markup: bool,
}

impl Split<'_> {
    /// The pieces in order.
    pub(super) fn pieces<'t>(&self, text: &'t str) -> Vec<&'t str> {
        windows(text).into_iter().flat_map(|window| self.within(window, self.room, MOST_ROUNDS)).collect()
    }

    fn within<'t>(&self, text: &'t str, room: usize, rounds: usize) -> Vec<&'t str> {
        let tokens = self.size(text);
        if tokens <= self.room || rounds == 0 {
            return vec![text];
        }
        let mut pieces = Vec::new();
        for piece in self.split(text, room, tokens) {
            if self.size(piece) <= self.room {
                pieces.push(piece);
            } else {
                pieces.extend(self.within(piece, (room * 3 / 4).max(1), rounds - 1));
            }
        }
        pieces
    }

    /// Pieces of about the same length instead of full ones and a rest.
    fn split<'t>(&self, text: &'t str, room: usize, tokens: usize) -> Vec<&'t str> {
        let desired = tokens.div_ceil(tokens.div_ceil(room)).min(room);
        let overlap = self.overlap.min(desired.saturating_sub(1));
        let config = ChunkConfig::new(desired..=room).with_sizer(self);
        let Ok(config) = config.with_overlap(overlap) else { return vec![text] };
        if self.is_markup {
            MarkdownSplitter::new(config).chunks(text).collect()
        } else {
            TextSplitter::new(config).chunks(text).collect()
        }
    }
}

/// Parts of at most [`WINDOW_BYTES`], cut between paragraphs, lines or words where there are any in the second half.
fn windows(text: &str) -> Vec<&str> {
    let mut windows = Vec::new();
    let mut rest = text;
    while rest.len() > WINDOW_BYTES {
        let (window, _) = rest.split_at(rest.floor_char_boundary(WINDOW_BYTES));
        let border = ["\n\n", "\n", " "].into_iter().find_map(|border| {
            window.rfind(border).filter(|at| *at > WINDOW_BYTES / 2).map(|at| at + border.len())
        });
        let (window, after) = rest.split_at(border.unwrap_or(window.len()));
        windows.push(window.trim());
        rest = after;
    }
    windows.push(rest.trim());
    windows.retain(|window| !window.is_empty());
    windows
}

impl ChunkSizer for Split<'_> {
    fn size(&self, text: &str) -> usize {
        let floor = text.len().div_ceil(CHARS_PER_TOKEN * 4);
        if floor > self.room {
            return floor;
        }
        (self.measure)(text)
            .max(text.chars().filter(|c| !c.is_whitespace()).count().div_ceil(CHARS_PER_TOKEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn pieces(text: &str, room: usize, is_markup: bool) -> Vec<&str> {
        Split { measure: &words, room, overlap: 0, is_markup }.pieces(text)
    }

    #[test]
    fn paragraphs_are_the_first_choice_and_lengths_are_even() {
        let text =
            ["one two three four.", "five six seven.", "eight nine ten.", "eleven twelve."].join("\n\n");
        assert_eq!(
            pieces(&text, 8, false),
            ["one two three four.\n\nfive six seven.", "eight nine ten.\n\neleven twelve."]
        );
    }

    #[test]
    fn code_and_tables_stay_whole_where_they_fit() {
        let code = "```sh\na b c\n\nd e f\n```";
        let table = "| a | b |\n| --- | --- |\n| 1 | 2 |";
        let text = format!("{}\n\n{code}\n\n{table}", "word ".repeat(16).trim());
        let found = pieces(&text, 20, true);
        assert!(found.contains(&code), "{found:?}");
        assert!(found.contains(&table), "{found:?}");
    }

    #[test]
    fn a_word_without_end_is_cut_and_costs_no_time() {
        let begun = Instant::now();
        let text = "x".repeat(2_000_000);
        let found = pieces(&text, 200, false);
        assert_eq!(found.concat(), text);
        assert!(found.iter().all(|piece| piece.len() <= 200 * CHARS_PER_TOKEN));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn pieces_overlap_when_asked_to() {
        let text = (0..60).map(|n| format!("w{n}.")).collect::<Vec<_>>().join(" ");
        let found = Split { measure: &words, room: 20, overlap: 5, is_markup: false }.pieces(&text);
        assert!(found.windows(2).all(|two| two[0].split(' ').next_back() != two[1].split(' ').next()));
        assert!(
            found[1].starts_with(&found[0][found[0].len() - 4..])
                || found[0].contains(found[1].split(' ').next().unwrap())
        );
    }
}
