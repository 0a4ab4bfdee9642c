//! Tells what a line of reStructuredText is: a title's line, an item, a field, a directive.
//! Never looks at another line.

/// Shortest line that divides, and that may be shorter than the title above it.
pub(super) const SHORTEST_RULE: usize = 4;
/// Marks of bulleted items.
const BULLETS: [&str; 5] = ["- ", "* ", "+ ", "• ", "‣ "];

pub(super) fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The mark that a line consists of, if it may stand below a title.
pub(super) fn rule(line: &str) -> Option<char> {
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 2 && line.chars().all(|c| c == mark)).then_some(mark)
}

/// Whether a line is long enough to stand below a title. Authors count badly, hence the tolerance.
pub(super) fn reaches(line: &str, title: &str) -> bool {
    line.len() >= SHORTEST_RULE || line.len() >= title.chars().count()
}

/// A line that ends where its author ends it.
pub(super) fn verse(text: &str) -> Option<&str> {
    if text == "|" { Some("") } else { text.strip_prefix("| ") }
}

/// `:name: value`.
pub(super) fn field(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.strip_prefix(':')?.split_once(':')?;
    let is_name = !name.is_empty() && !name.contains('`') && !name.starts_with(' ');
    (is_name && (value.is_empty() || value.starts_with(' '))).then(|| (name, value.trim()))
}

/// `name:: argument`.
pub(super) fn directive(text: &str) -> Option<(&str, &str)> {
    let (name, argument) = text.split_once("::")?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.+".contains(&byte));
    let is_directive = !name.is_empty() && is_name && !name.starts_with('_');
    (is_directive && (argument.is_empty() || argument.starts_with(' '))).then(|| (name, argument.trim()))
}

/// The number of an item, if it has one, and the length of its mark.
pub(super) fn item(text: &str) -> Option<(Option<u64>, usize)> {
    if let Some(bullet) =
        BULLETS.iter().find(|bullet| text.starts_with(**bullet) || text == bullet.trim_end())
    {
        return Some((None, bullet.len().min(text.len())));
    }
    let digits = text.trim_start_matches('(');
    let number = digits.bytes().take(9).take_while(u8::is_ascii_digit).count();
    let (number, length) = match number {
        0 => (1, usize::from(digits.starts_with('#'))),
        length => (digits.get(..length)?.parse().ok()?, length),
    };
    let mark = digits.get(length..)?;
    let is_item = length > 0 && (mark.starts_with(". ") || mark.starts_with(") "));
    is_item.then(|| (Some(number), text.len() - digits.len() + length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!((rule("===="), rule("=-="), rule("a"), rule("== ==")), (Some('='), None, None, None));
        assert_eq!(field(":a b: c"), Some(("a b", "c")));
        assert_eq!((field(":ref:`x`"), field("::"), field(": a: b")), (None, None, None));
        assert_eq!(directive("code-block:: sh"), Some(("code-block", "sh")));
        assert_eq!((directive("_a: b"), directive("a::b"), directive("a comment")), (None, None, None));
        assert_eq!(
            (item("- a"), item("12. a"), item("#) a"), item("(3) a")),
            (Some((None, 2)), Some((Some(12), 3)), Some((Some(1), 2)), Some((Some(3), 3)))
        );
        assert_eq!((item("-a"), item("1.5 a"), item("a. b")), (None, None, None));
    }
}
