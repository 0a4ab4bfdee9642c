//! Takes the markup out of reStructuredText within a paragraph: what a reader sees of it stays.
//! Never looks further than a bound for the end of a mark, so that marks without end cost no time.

use crate::extract::substitutions::Substitutions;

/// Where the end of a mark is looked for, in bytes.
const MARK_BYTES: usize = 1_000;

/// The text as it is read.
pub(super) fn plain(text: &str, substitutions: &Substitutions) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => escape(rest, &mut out),
            '`' => literal(rest, &mut out).or_else(|| interpreted(rest, &mut out)),
            ':' if at_start(&out) => role(rest, &mut out),
            '*' => emphasis(rest, &mut out),
            '|' => substitution(rest, substitutions, &mut out),
            '_' => reference(rest, &out),
            _ => None,
        };
        let taken = taken.unwrap_or_else(|| {
            out.push(c);
            c.len_utf8()
        });
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Whether markup may begin here: not within a word.
fn at_start(out: &str) -> bool {
    out.chars().next_back().is_none_or(|last| !last.is_alphanumeric())
}

/// What stands between two marks at the beginning of `text`, and how long all of it is.
fn between<'t>(text: &'t str, mark: &str) -> Option<(&'t str, usize)> {
    let after = text.strip_prefix(mark)?;
    let mut end = after.len().min(MARK_BYTES);
    while !after.is_char_boundary(end) {
        end -= 1;
    }
    let (inner, _) = after.get(..end)?.split_once(mark)?;
    let is_marked = !inner.is_empty() && !inner.starts_with(char::is_whitespace);
    is_marked.then_some((inner, inner.len() + 2 * mark.len()))
}

fn escape(text: &str, out: &mut String) -> Option<usize> {
    let c = text.chars().nth(1)?;
    if !c.is_whitespace() {
        out.push(c);
    }
    Some(1 + c.len_utf8())
}

fn literal(text: &str, out: &mut String) -> Option<usize> {
    let (inner, length) = between(text, "``")?;
    out.extend(["`", inner, "`"]);
    Some(length)
}

/// `` `text <target>`_ ``, of which the text is shown.
fn interpreted(text: &str, out: &mut String) -> Option<usize> {
    let (inner, length) = between(text, "`")?;
    out.push_str(&shown(inner));
    let after = text.get(length..).unwrap_or_default();
    Some(length + after.bytes().take(2).take_while(|byte| *byte == b'_').count())
}

/// `` :role:`text` ``.
fn role(text: &str, out: &mut String) -> Option<usize> {
    let name = text
        .bytes()
        .take(64)
        .skip(1)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:.+".contains(byte));
    let name = name.count() + 1;
    let head = text.get(..name)?;
    let (inner, length) = between(text.get(name..)?, "`")?;
    if head.len() < 3 || !head.ends_with(':') {
        return None;
    }
    out.push_str(&shown(inner));
    Some(name + length)
}

/// The text of a reference without its target; the last part of a name that is to be shortened.
fn shown(inner: &str) -> String {
    let titled = inner.strip_suffix('>').and_then(|inner| inner.split_once(" <"));
    let text = titled.map_or(inner, |(text, _)| text).trim_start_matches('!').replace('\\', "");
    match text.strip_prefix('~') {
        Some(name) => name.rsplit('.').next().unwrap_or(name).to_owned(),
        None => text,
    }
}

fn emphasis(text: &str, out: &mut String) -> Option<usize> {
    let (inner, length) = between(text, "**").or_else(|| between(text, "*"))?;
    if !at_start(out) || inner.ends_with(char::is_whitespace) {
        return None;
    }
    out.push_str(inner);
    Some(length)
}

fn substitution(text: &str, substitutions: &Substitutions, out: &mut String) -> Option<usize> {
    let (name, length) = between(text, "|")?;
    out.push_str(substitutions.text(name)?);
    let after = text.get(length..).unwrap_or_default();
    Some(length + after.bytes().take(2).take_while(|byte| *byte == b'_').count())
}

/// The mark of a reference behind its word: `word_`, `[1]_`; and the one of a target before it.
fn reference(text: &str, out: &str) -> Option<usize> {
    let marks = text.bytes().take(2).take_while(|byte| *byte == b'_').count();
    let after = text.get(marks..).unwrap_or_default().chars().next();
    let ends_word = after.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let word = out.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let is_word = !word.is_empty() && !word.starts_with('_');
    let is_behind = (is_word || out.ends_with(']')) && ends_word;
    let is_target = at_start(out) && after == Some('`');
    (is_behind || is_target).then_some(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_sees_is_left() {
        let mut substitutions = Substitutions::default();
        substitutions.set("name", "Lectern".to_owned());
        for (text, expected) in [
            ("Use ``cmake --build``, *not* **make**.", "Use `cmake --build`, not make."),
            ("See :ref:`the manual <cmake(1)>` and :doc:`/a/b`.", "See the manual and /a/b."),
            (":py:func:`~os.path.join` of `Python <https://python.org>`_", "join of Python"),
            ("|name| is_a word_ and `two words`__ [1]_", "Lectern is_a word and two words [1]"),
            ("2 * 3 * 4, a\\*b, re\\ ``st``", "2 * 3 * 4, a*b, re`st`"),
            ("snake_case_name and __init__", "snake_case_name and __init__"),
        ] {
            assert_eq!(plain(text, &substitutions), expected);
        }
    }

    #[test]
    fn marks_without_end_stay_and_cost_no_time() {
        let begun = std::time::Instant::now();
        for mark in ["*a ", "`a ", "``a ", "|a ", ":a:`", "_`"] {
            plain(&mark.repeat(200_000), &Substitutions::default());
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}
