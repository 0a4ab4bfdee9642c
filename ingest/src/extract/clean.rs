//! Makes equal texts equal: one form of each character, one kind of line end, nothing that nobody sees.
//! Never changes a letter, a digit or a sign that a reader sees.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Most marks on one character that are kept: the bound of Unicode's Stream-Safe Text Format (UAX #15), which no
/// language comes near.
const MOST_MARKS: usize = 30;

/// The text in Unicode's composed form (NFC), since systems and keyboards differ in how they write é. Compatible
/// forms stay (NFKC would make x² of x2). Left out is what is not seen and only keeps words from being found, or shows
/// them in another order than they have: control characters, soft hyphens, directional overrides and isolates, tags,
/// and joiners outside of the scripts that need them.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte == b'\n' || byte == b'\t' || (b' '..0x7F).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len());
    let mut last = Last::default();
    for c in text.chars() {
        if let Some(c) = last.shown(c) {
            visible.push(c);
        }
    }
    Cow::Owned(visible.nfc().collect())
}

/// What the fate of a character depends on.
#[derive(Default)]
struct Last {
    /// The character before, as it was.
    read: Option<char>,
    /// Marks since the last character that is none.
    marks: usize,
    /// Whether a terminal's command, as for colours, has begun and not ended.
    in_command: bool,
}

impl Last {
    fn shown(&mut self, c: char) -> Option<char> {
        let before = self.read.replace(c);
        self.marks = if canonical_combining_class(c) == 0 { 0 } else { self.marks + 1 };
        if self.in_command || (before == Some('\u{1b}') && c == '[') {
            self.in_command = before == Some('\u{1b}') || matches!(c, ' '..='?');
            return None;
        }
        match c {
            '\n' if before == Some('\r') => None,
            '\n' | '\t' => Some(c),
            '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
            // Joiners and breaks without width: letters of some scripts change their form by them.
            '\u{200B}'..='\u{200D}' => (!before.is_none_or(|before| before.is_ascii())).then_some(c),
            _ if is_unseen(c) || self.marks > MOST_MARKS => None,
            _ => Some(c),
        }
    }
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Soft hyphen; marks, embeddings, overrides and isolates of direction; word joiner and invisible operators;
            // the byte order mark; interlinear marks; tags.
            '\u{AD}'
                | '\u{61C}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_letters_become_equal_and_different_signs_stay() {
        assert_eq!(clean("e\u{301}a\u{308}"), "éä");
        assert_eq!(clean("x² ﬁne ①"), "x² ﬁne ①");
        assert!(matches!(clean("plain\ttext\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn all_line_ends_become_one() {
        assert_eq!(clean("a\r\nb\rc\u{c}d\u{2028}e\u{85}f"), "a\nb\nc\nd\ne\nf");
    }

    #[test]
    fn what_nobody_sees_is_left_out() {
        assert_eq!(
            clean("pass\u{200B}word\u{AD}s \u{202E}admin\u{202C}\u{FEFF}\u{7}\u{E0041}"),
            "passwords admin"
        );
        assert_eq!(clean("\u{645}\u{6CC}\u{200C}\u{62E}"), "\u{645}\u{6CC}\u{200C}\u{62E}");
    }

    #[test]
    fn commands_to_terminals_are_left_out() {
        assert_eq!(clean("\u{1b}[1;31mred\u{1b}[0m [a]"), "red [a]");
    }

    #[test]
    fn a_letter_keeps_no_more_marks_than_any_language_has() {
        let text = format!("a{}b", "\u{30a}\u{323}".repeat(100_000));
        assert!(clean(&text).chars().count() <= 2 + MOST_MARKS);
    }
}
