//! Says which metadata of documents is kept: what filters can use, as a few short scalars and lists of them.
//! Knows no format, and never guesses: a date or language that does not read as one is left out.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// Most fields kept of one document.
const MOST_FIELDS: usize = 32;
/// Longest field name, as filters allow it.
const LONGEST_NAME: usize = 64;
/// Longest value in bytes: more is text, not metadata.
const LONGEST_VALUE: usize = 1_024;
/// Most values of a list.
const MOST_VALUES: usize = 64;
/// Longest language tag: `zh-Hant-TW` has 10 characters.
const LONGEST_LANGUAGE: usize = 35;

/// Ends of file names that programs state as titles.
const FILES: [&str; 9] = [".doc", ".docx", ".dvi", ".tex", ".indd", ".qxd", ".pdf", ".ppt", ".pptx"];
/// What programs call documents that nobody named.
const WORDS_OF_PROGRAMS: [&str; 6] =
    ["untitled", "document", "document1", "title", "powerpoint presentation", "slide 1"];
/// When nothing happened: the zero of the clock that Windows counts file times by.
const NEVER: &str = "1601-01-01T00:00:00Z";

/// Who wrote it.
pub(super) const AUTHOR: &str = "author";
/// What it is about, in a sentence.
pub(super) const DESCRIPTION: &str = "description";
/// Its language as a BCP 47 tag.
pub(super) const LANGUAGE: &str = "lang";
/// When it was written, RFC 3339 in UTC.
pub(super) const CREATED: &str = "created";
/// When it was last changed, RFC 3339 in UTC.
pub(super) const MODIFIED: &str = "modified";
/// The page of a section, from 1.
pub(super) const PAGE: &str = "page";
/// The slide of a section, from 1.
pub(super) const SLIDE: &str = "slide";
/// The name of a section's sheet.
pub(super) const SHEET: &str = "sheet";
/// The first row of a section, from 1.
pub(super) const ROW: &str = "row";

/// The fields that filters can use.
pub(super) fn useful(fields: Map<String, Value>) -> Map<String, Value> {
    let fields = fields.into_iter().filter(|(name, _)| is_name(name));
    fields.filter_map(|(name, value)| Some((name, kept(value)?))).take(MOST_FIELDS).collect()
}

/// Adds a field, unless its text is empty or too long to be metadata.
pub(super) fn note(fields: &mut Map<String, Value>, name: &str, text: &str) {
    let text = text.trim();
    if !text.is_empty() && text.len() <= LONGEST_VALUE {
        fields.insert(name.to_owned(), Value::from(text));
    }
}

/// A title as its writer stated it; `None` for what programs state: file names and their own words.
pub(super) fn stated_title(text: &str) -> Option<String> {
    let title = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = title.to_lowercase();
    let is_file = FILES.iter().any(|extension| lower.ends_with(extension));
    let is_word = WORDS_OF_PROGRAMS.contains(&lower.as_str()) || lower.starts_with("microsoft word - ");
    (!title.is_empty() && title.len() <= LONGEST_VALUE && !is_file && !is_word).then_some(title)
}

/// Adds a point of time, unless `text` is none.
pub(super) fn note_time(fields: &mut Map<String, Value>, name: &str, text: &str) {
    let time = instant(text.trim()).map(|time| time.to_string());
    if let Some(time) = time.filter(|time| time != NEVER) {
        note(fields, name, &time);
    }
}

/// Adds the language, unless `tag` is none.
pub(super) fn note_language(fields: &mut Map<String, Value>, tag: &str) {
    let tag = tag.trim().replace('_', "-");
    let is_subtag =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let primary = tag.split('-').next().unwrap_or_default();
    let is_language = (2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_alphabetic());
    if is_language && tag.len() <= LONGEST_LANGUAGE && tag.split('-').all(is_subtag) {
        note(fields, LANGUAGE, &tag);
    }
}

/// A time without an offset counts as UTC: which one its writer meant is not known.
fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = text.parse::<DateTime>().ok().or_else(|| Some(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))?;
    civil.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(plain)
}

fn kept(value: Value) -> Option<Value> {
    match value {
        Value::Array(values) => {
            let values: Vec<Value> = values
                .into_iter()
                .filter(|value| !value.is_array())
                .filter_map(kept)
                .take(MOST_VALUES)
                .collect();
            (!values.is_empty()).then_some(Value::Array(values))
        }
        Value::String(text) => (text.len() <= LONGEST_VALUE).then_some(Value::String(text)),
        Value::Bool(_) | Value::Number(_) => Some(value),
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_kept_in_utc_and_what_is_none_is_left_out() {
        let mut fields = Map::new();
        for (name, text) in [
            ("offset", "2024-03-01T10:00:00+02:00"),
            ("fraction", "2024-03-01T10:00:00.25Z"),
            ("local", " 2024-03-01T10:00:00 "),
            ("day", "2024-03-01"),
            ("word", "yesterday"),
            ("thirteenth_month", "2024-13-01T00:00:00Z"),
            ("never", "1601-01-01T00:00:00Z"),
        ] {
            note_time(&mut fields, name, text);
        }
        assert_eq!(
            Value::Object(fields),
            json!({
                "offset": "2024-03-01T08:00:00Z",
                "fraction": "2024-03-01T10:00:00.25Z",
                "local": "2024-03-01T10:00:00Z",
                "day": "2024-03-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn titles_are_what_a_person_would_call_a_document() {
        assert_eq!(stated_title(" The  Pump\n").as_deref(), Some("The Pump"));
        for title in ["", "Untitled", "Microsoft Word - plan.doc", "plan.DOCX", "PowerPoint Presentation"] {
            assert_eq!(stated_title(title), None, "{title}");
        }
    }

    #[test]
    fn languages_are_tags() {
        for (tag, kept) in [
            ("en", Some("en")),
            ("de_AT", Some("de-AT")),
            ("zh-Hant-TW", Some("zh-Hant-TW")),
            ("x-none", None),
            ("English", None),
            ("en us", None),
        ] {
            let mut fields = Map::new();
            note_language(&mut fields, tag);
            assert_eq!(fields.get(LANGUAGE).and_then(Value::as_str), kept, "{tag}");
        }
    }

    #[test]
    fn long_texts_are_no_metadata() {
        let mut fields = Map::new();
        note(&mut fields, AUTHOR, &"a".repeat(1_025));
        note(&mut fields, DESCRIPTION, "  ");
        assert!(fields.is_empty());
    }
}
