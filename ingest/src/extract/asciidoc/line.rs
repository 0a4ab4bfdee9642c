//! Tells what a line of `AsciiDoc` is: a title, an item, the border of a block.
//! Never looks at another line.

/// The level and the text of a section's title.
pub(super) fn heading(line: &str) -> Option<(u8, &str)> {
    let title = line.trim_start_matches(['=', '#']);
    let level = u8::try_from(line.len() - title.len()).ok().filter(|level| (1..=6).contains(level))?;
    let text = title.strip_prefix(' ')?.trim();
    (!text.is_empty()).then_some((level, text))
}

/// Whether text behind a dot is the title of a block.
pub(super) fn is_title(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(['.', ' '])
}

fn is_border(line: &str, mark: char, shortest: usize) -> bool {
    line.len() >= shortest && line.chars().all(|c| c == mark)
}

/// Borders of blocks whose content is kept as it is.
pub(super) fn is_verbatim(line: &str) -> bool {
    ['-', '.', '+', '/'].iter().any(|mark| is_border(line, *mark, 4)) || line.starts_with("```")
}

/// Borders of blocks whose content is text like any other.
pub(super) fn is_container(line: &str) -> bool {
    line == "--" || ['=', '*', '_'].iter().any(|mark| is_border(line, *mark, 4))
}

/// Borders of tables.
pub(super) fn is_table(line: &str) -> bool {
    line.strip_prefix(['|', '!', ',', ':']).is_some_and(|line| is_border(line, '=', 3))
}

/// The mark of an item, which says how deep it is, and its text.
pub(super) fn item(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let (mark, text) = line.split_once(' ')?;
    let is_bullet = mark == "-" || (!mark.is_empty() && mark.len() <= 6 && is_border(mark, '*', 1));
    let is_dotted = mark.len() <= 6 && is_border(mark, '.', 1);
    let number = mark.strip_suffix('.').filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if number.is_some_and(|number| !number.is_empty()) {
        return Some(("1.", text.trim()));
    }
    let is_callout = mark.starts_with('<') && mark.ends_with('>') && mark.len() <= 5;
    let mark = if is_callout { "<1>" } else { mark };
    (is_bullet || is_dotted || is_callout).then(|| (mark, text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!((heading("== A b"), heading("==A"), heading("======= A")), (Some((2, "A b")), None, None));
        assert_eq!(item("** a"), Some(("**", "a")));
        assert_eq!(
            (item("12. a"), item("<2> a"), item("- a")),
            (Some(("1.", "a")), Some(("<1>", "a")), Some(("-", "a")))
        );
        assert_eq!((item("*bold* a"), item("1.5 a"), item("a b")), (None, None, None));
        assert!(is_verbatim("----") && is_verbatim("```sh") && !is_verbatim("---"));
        assert!(is_container("====") && is_container("--") && !is_container("=="));
        assert!(is_table("|===") && !is_table("||"));
    }
}
