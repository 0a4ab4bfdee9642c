//! Takes the markup out of `AsciiDoc` within a paragraph: what a reader sees of it stays.
//! Never follows a link, and never looks further than a bound for the end of a mark.

use crate::extract::substitutions::Substitutions;

/// Where the end of a mark is looked for, in bytes.
const MARK_BYTES: usize = 1_000;
/// Macros whose text in brackets is shown, or else what stands before it.
const LINKS: [&str; 6] = ["xref:", "link:", "https://", "http://", "mailto:", "ftp://"];
/// Macros of which only the text in brackets is shown.
const TEXTS: [&str; 9] =
    ["image:", "icon:", "kbd:", "btn:", "pass:", "footnote:", "stem:", "latexmath:", "asciimath:"];
/// Marks around words, the longer ones first.
const MARKS: [&str; 8] = ["**", "__", "##", "*", "_", "#", "++", "+"];

/// The text as it is read.
pub(super) fn plain(text: &str, attributes: &Substitutions) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => escape(rest, &mut out),
            '{' => attribute(rest, attributes, &mut out),
            '`' => literal(rest, attributes, &mut out),
            '<' => reference(rest, &mut out),
            '[' => role(rest),
            _ if c.is_ascii_lowercase() && at_start(&out) => macro_call(rest, attributes, &mut out),
            '*' | '_' | '#' | '+' => emphasis(rest, attributes, &mut out),
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

fn at_start(out: &str) -> bool {
    out.chars().next_back().is_none_or(|last| !last.is_alphanumeric())
}

/// The beginning of a text, within which a mark must end.
fn window(text: &str) -> &str {
    let mut end = text.len().min(MARK_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<(&'t str, usize)> {
    let after = text.strip_prefix(open)?;
    let (inner, _) = window(after).split_once(close)?;
    Some((inner, open.len() + inner.len() + close.len()))
}

fn escape(text: &str, out: &mut String) -> Option<usize> {
    let c = text.chars().nth(1).filter(char::is_ascii_punctuation)?;
    out.push(c);
    Some(1 + c.len_utf8())
}

fn attribute(text: &str, attributes: &Substitutions, out: &mut String) -> Option<usize> {
    let (name, length) = between(text, "{", "}")?;
    let known = match name {
        "nbsp" | "sp" | "zwsp" => " ",
        "empty" | "blank" => "",
        "plus" => "+",
        "asterisk" => "*",
        "vbar" => "|",
        "backtick" => "`",
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        _ => attributes.text(&name.to_lowercase())?,
    };
    out.push_str(known);
    Some(length)
}

fn literal(text: &str, attributes: &Substitutions, out: &mut String) -> Option<usize> {
    let mark = if text.starts_with("``") { "``" } else { "`" };
    let (inner, length) = between(text, mark, mark).filter(|(inner, _)| !inner.is_empty())?;
    // `+text+` keeps marks within code from being marks.
    let kept = inner.strip_prefix('+').and_then(|inner| inner.strip_suffix('+'));
    match kept {
        Some(kept) => out.extend(["`", kept, "`"]),
        None => out.extend(["`", &without_marks(inner, attributes), "`"]),
    }
    Some(length)
}

/// `<<target,text>>`, and `<https://...>`.
fn reference(text: &str, out: &mut String) -> Option<usize> {
    if let Some((inner, length)) = between(text, "<<", ">>") {
        let (target, label) = inner.split_once(',').unwrap_or((inner, inner));
        out.push_str(if label.trim().is_empty() { target.trim() } else { label.trim() });
        return Some(length);
    }
    let (inner, length) = between(text, "<", ">")?;
    LINKS.iter().any(|link| inner.starts_with(link)).then(|| {
        out.push_str(inner);
        length
    })
}

/// `[[anchor]]`, and the role before a marked text.
fn role(text: &str) -> Option<usize> {
    if let Some((_, length)) = between(text, "[[", "]]") {
        return Some(length);
    }
    let (inner, length) = between(text, "[", "]")?;
    let is_role =
        inner.starts_with(['.', '#']) && text.get(length..).is_some_and(|after| after.starts_with('#'));
    is_role.then_some(length)
}

fn macro_call(text: &str, attributes: &Substitutions, out: &mut String) -> Option<usize> {
    let is_link = LINKS.iter().find(|name| text.starts_with(**name));
    let name = is_link.or_else(|| TEXTS.iter().find(|name| text.starts_with(**name)))?;
    let target = window(text).get(name.len()..)?;
    let target = target.split([' ', '\n', '[', '<', '"']).next().unwrap_or_default();
    let head = name.len() + target.len();
    let Some((label, length)) = between(text.get(head..)?, "[", "]") else {
        // An address by itself is text.
        out.push_str(text.get(..head)?);
        return Some(head);
    };
    let label = if is_link.is_some() { label.trim_end_matches('^') } else { label };
    // Attributes follow the text: `[text, window=_blank]`, `[alt, 200]`.
    let label = match *name {
        "image:" => label.split(',').next().unwrap_or_default(),
        _ if is_link.is_some() && label.contains('=') => label.split(',').next().unwrap_or_default(),
        _ => label,
    };
    let label = label.trim().trim_matches('"');
    match *name {
        _ if is_link.is_some() && (label.is_empty() || label.contains('=')) => {
            let address = if name.contains("//") { text.get(..head)? } else { target };
            out.push_str(address.trim_end_matches('#'));
        }
        "footnote:" => out.extend([" (", label, ")"]),
        "image:" | "icon:" | "pass:" => out.push_str(label),
        _ => out.push_str(&without_marks(label, attributes)),
    }
    Some(head + length)
}

/// A label's own attributes and code; deeper marks within labels do not occur in practice, and none is followed.
fn without_marks(label: &str, attributes: &Substitutions) -> String {
    let mut out = String::with_capacity(label.len());
    let mut rest = label;
    while let Some(c) = rest.chars().next() {
        let taken = if c == '{' { attribute(rest, attributes, &mut out) } else { None };
        let taken = taken.unwrap_or_else(|| {
            out.push(c);
            c.len_utf8()
        });
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn emphasis(text: &str, attributes: &Substitutions, out: &mut String) -> Option<usize> {
    let mark = MARKS.iter().find(|mark| text.starts_with(**mark))?;
    let (inner, length) = between(text, mark, mark)?;
    let is_word =
        !inner.is_empty() && !inner.starts_with(char::is_whitespace) && !inner.ends_with(char::is_whitespace);
    let after = text.get(length..)?.chars().next();
    let is_apart = mark.len() == 2 || (at_start(out) && after.is_none_or(|c| !c.is_alphanumeric()));
    if !is_word || !is_apart {
        return None;
    }
    match *mark {
        "+" | "++" => out.push_str(inner),
        // Within: attributes and code; the marks of other kinds lie outside of each other in practice.
        _ => out.push_str(&without_marks(inner, attributes)),
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_sees_is_left() {
        let mut attributes = Substitutions::default();
        attributes.set("version", "4.0".to_owned());
        for (text, expected) in [
            ("*Bold*, _it_ and `code {version}` in {version}", "Bold, it and `code 4.0` in 4.0"),
            ("See xref:a/b.adoc#c[the *page*] or <<id,that>> or <<id>>", "See the *page* or that or id"),
            (
                "https://e.org[Site^], link:x.html[Page,window=_blank], https://e.org/a_b_c.",
                "Site, Page, https://e.org/a_b_c.",
            ),
            ("xref:a.adoc[], link:b.txt[]", "a.adoc, b.txt"),
            ("Press kbd:[Ctrl+C] image:x.png[Logo,20] footnote:[Why.]", "Press Ctrl+C Logo  (Why.)"),
            (
                "`+{raw}+` {unknown} \\{version} snake_case_name 2 * 3 * 4",
                "`{raw}` {unknown} {version} snake_case_name 2 * 3 * 4",
            ),
            ("[.role]#marked# [[anchor]]text", "marked text"),
        ] {
            assert_eq!(plain(text, &attributes), expected);
        }
    }

    #[test]
    fn marks_without_end_stay_and_cost_no_time() {
        let begun = std::time::Instant::now();
        for mark in ["*a ", "`a ", "<<a ", "{a ", "xref:a[", "[[a ", "link:"] {
            plain(&mark.repeat(100_000), &Substitutions::default());
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}
