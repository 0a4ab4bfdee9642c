//! The fields of documents that filters can name: what they are called, what is kept, and how it is bounded.
//! Never fails: what does not fit is left out, since a document without a field is better than none.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// Names of the fields that mean the same in every format.
pub(super) mod field {
    /// Who wrote it.
    pub(in crate::extract) const AUTHOR: &str = "author";
    /// To whom a message went.
    pub(in crate::extract) const TO: &str = "to";
    /// To whom a message went for information.
    pub(in crate::extract) const CC: &str = "cc";
    /// When it was written or published: RFC 3339 in UTC.
    pub(in crate::extract) const CREATED: &str = "created";
    /// When it was last changed: RFC 3339 in UTC.
    pub(in crate::extract) const MODIFIED: &str = "modified";
    /// Its language as a BCP 47 tag.
    pub(in crate::extract) const LANGUAGE: &str = "language";
    /// What it is about, as it says itself.
    pub(in crate::extract) const DESCRIPTION: &str = "description";
    /// Its keywords.
    pub(in crate::extract) const KEYWORDS: &str = "keywords";
    /// How its text was encoded, when that was not UTF-8.
    pub(in crate::extract) const ENCODING: &str = "encoding";
    /// The page of a section, from 1.
    pub(in crate::extract) const PAGE: &str = "page";
    /// The slide of a section, from 1.
    pub(in crate::extract) const SLIDE: &str = "slide";
    /// The name of a section's sheet.
    pub(in crate::extract) const SHEET: &str = "sheet";
    /// A section's first row in its table, counted from 1 as people count lines, the header included.
    pub(in crate::extract) const ROW: &str = "row";
}

/// Most fields kept of one document.
const MOST_FIELDS: usize = 32;
/// Longest field name, as filters allow it.
const LONGEST_NAME: usize = 64;
/// Longest value in bytes: more is text, not metadata.
const LONGEST_VALUE: usize = 1_024;
/// Most values of a list.
const MOST_VALUES: usize = 64;
/// Longest language tag that is likely to be one.
const LONGEST_TAG: usize = 35;

/// Ends of file names that programs state as titles.
const FILES: [&str; 9] = [".doc", ".docx", ".dvi", ".tex", ".indd", ".qxd", ".pdf", ".ppt", ".pptx"];
/// What programs call documents that nobody named.
const WORDS_OF_PROGRAMS: [&str; 6] =
    ["untitled", "document", "document1", "title", "powerpoint presentation", "slide 1"];
/// When nothing happened: the zero of the clock that Windows counts file times by.
const NEVER: &str = "1601-01-01T00:00:00Z";

/// Names under which documents give the fields that have one name here.
const SYNONYMS: [(&str, &[&str]); 4] = [
    (field::AUTHOR, &["author", "authors", "creator", "by"]),
    (field::CREATED, &["created", "date", "published", "publish_date", "pubdate", "created_at"]),
    (field::MODIFIED, &["modified", "updated", "lastmod", "last_modified", "last_updated", "updated_at"]),
    (field::LANGUAGE, &["language", "lang", "locale"]),
];

/// The fields that filters can use: short scalars and lists of them, under names that filters can write.
pub(super) fn bounded(fields: Map<String, Value>) -> Map<String, Value> {
    let fields = fields.into_iter().filter(|(name, _)| is_name(name));
    fields.filter_map(|(name, value)| Some((name, kept(value)?))).take(MOST_FIELDS).collect()
}

/// Adds the fields that have one name in all formats, from the names that the document gave them itself. Those stay.
pub(super) fn unify(fields: &mut Map<String, Value>) {
    for (name, synonyms) in SYNONYMS {
        let Some(value) = synonyms.iter().find_map(|synonym| fields.get(*synonym)).cloned() else { continue };
        match (name, value) {
            (field::AUTHOR, value @ Value::Array(_)) => drop(fields.insert(name.to_owned(), value)),
            (_, Value::String(text)) => {
                let own = fields.remove(name);
                note_as(fields, name, &text);
                if let (false, Some(own)) = (fields.contains_key(name), own) {
                    fields.insert(name.to_owned(), own);
                }
            }
            _ => {}
        }
    }
}

/// Keeps a text as a field in the form that the field has everywhere.
pub(super) fn note_as(fields: &mut Map<String, Value>, name: &str, text: &str) {
    match name {
        field::CREATED | field::MODIFIED => note_time(fields, name, text),
        field::LANGUAGE => note_language(fields, text),
        _ => note(fields, name, text),
    }
}

/// Keeps a text as a field, unless it is empty or too long or the field is there.
pub(super) fn note(fields: &mut Map<String, Value>, name: &str, text: &str) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.is_empty() && text.len() <= LONGEST_VALUE && !fields.contains_key(name) {
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

/// Keeps texts as a field that is a list, unless there is none.
pub(super) fn note_all(fields: &mut Map<String, Value>, name: &str, texts: impl Iterator<Item = String>) {
    let texts = texts.filter(|text| !text.is_empty() && text.len() <= LONGEST_VALUE);
    let texts: Vec<Value> = texts.take(MOST_VALUES).map(Value::from).collect();
    if !texts.is_empty() {
        fields.entry(name).or_insert(Value::Array(texts));
    }
}

/// Keeps a time as a field, in whichever notation it is written, if it is one.
pub(super) fn note_time(fields: &mut Map<String, Value>, name: &str, text: &str) {
    if let Some(time) = time(text).filter(|time| time != NEVER) {
        fields.entry(name).or_insert_with(|| Value::from(time));
    }
}

/// Keeps a language as a field, if it is a tag.
pub(super) fn note_language(fields: &mut Map<String, Value>, text: &str) {
    if let Some(tag) = language(text) {
        fields.entry(field::LANGUAGE).or_insert_with(|| Value::from(tag));
    }
}

/// The time as RFC 3339 in UTC, to the second. Without an offset it is taken for UTC.
fn time(text: &str) -> Option<String> {
    /// Dates as people write them; the others are standards.
    const WRITTEN: [&str; 6] = ["%B %d, %Y", "%d %B %Y", "%b %d, %Y", "%d %b %Y", "%Y/%m/%d", "%Y%m%d"];
    let text = text.trim();
    let civil = || {
        let date = || text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0));
        let written = || {
            let parsed = WRITTEN.iter().find_map(|form| strtime::parse(form, text).ok()?.to_date().ok());
            parsed.map(|date| date.at(0, 0, 0, 0))
        };
        let civil = text.parse::<DateTime>().ok().or_else(date).or_else(written)?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    let mail = || rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let time = text.parse::<Timestamp>().ok().or_else(mail).or_else(civil)?;
    Timestamp::from_second(time.as_second()).ok().map(|time| time.to_string())
}

/// The tag as BCP 47 writes it: `en_us` is `en-US`.
fn language(text: &str) -> Option<String> {
    let text = text.trim().split(['.', '@']).next()?.replace('_', "-");
    let mut parts = text.split('-');
    let primary = parts.next()?.to_ascii_lowercase();
    let is_tag = (2..=3).contains(&primary.len()) && text.len() <= LONGEST_TAG;
    if !is_tag || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return None;
    }
    let others = parts.filter(|part| !part.is_empty()).map(|part| match part.len() {
        2 => part.to_ascii_uppercase(),
        4 if part.starts_with(|c: char| c.is_ascii_alphabetic()) => titled(part),
        _ => part.to_ascii_lowercase(),
    });
    Some(std::iter::once(primary).chain(others).collect::<Vec<_>>().join("-"))
}

fn titled(part: &str) -> String {
    let (first, rest) = part.split_at(1);
    format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
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

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_filters_cannot_use_is_left_out() {
        let fields = object(json!({
            "a": 1, "bad name": 1, "nested": {"a": 1}, "nothing": null, "list": ["x", [1], {"y": 2}],
            "long": "x".repeat(LONGEST_VALUE + 1), "empty": []
        }));
        assert_eq!(Value::Object(bounded(fields)), json!({"a": 1, "list": ["x"]}));
        let many = (0..100).map(|n| (format!("f{n}"), Value::from(n))).collect();
        assert_eq!(bounded(many).len(), MOST_FIELDS);
    }

    #[test]
    fn times_of_all_notations_become_one() {
        for text in [
            "2026-03-01T12:00:00Z",
            "2026-03-01T13:00:00.5+01:00",
            "Sun, 01 Mar 2026 13:00:00 +0100",
            "2026-03-01 12:00:00",
        ] {
            assert_eq!(time(text).as_deref(), Some("2026-03-01T12:00:00Z"), "{text}");
        }
        for text in ["2026-03-01", "March 1, 2026", "1 Mar 2026", "2026/03/01", "20260301"] {
            assert_eq!(time(text).as_deref(), Some("2026-03-01T00:00:00Z"), "{text}");
        }
        assert_eq!(time("yesterday"), None);
    }

    #[test]
    fn languages_become_tags() {
        assert_eq!(language("en_us.UTF-8").as_deref(), Some("en-US"));
        assert_eq!(language("ZH-hant-tw").as_deref(), Some("zh-Hant-TW"));
        assert_eq!(language("de").as_deref(), Some("de"));
        assert_eq!(language("English"), None);
        assert_eq!(language("x<script>"), None);
    }

    #[test]
    fn fields_of_other_names_are_known_by_one() {
        let mut fields = object(json!({"date": "2026-03-01", "lang": "de_AT", "authors": ["A", "B"]}));
        unify(&mut fields);
        assert_eq!(
            Value::Object(fields),
            json!({"date": "2026-03-01", "lang": "de_AT", "authors": ["A", "B"],
                "created": "2026-03-01T00:00:00Z", "language": "de-AT", "author": ["A", "B"]})
        );
    }

    #[test]
    fn a_field_that_is_no_time_stays_as_it_is() {
        let mut fields = object(json!({"created": "long ago", "modified": "May 2, 2026"}));
        unify(&mut fields);
        assert_eq!(Value::Object(fields), json!({"created": "long ago", "modified": "2026-05-02T00:00:00Z"}));
    }

    #[test]
    fn titles_are_what_a_person_would_call_a_document() {
        assert_eq!(stated_title(" The  Pump\n").as_deref(), Some("The Pump"));
        for title in ["", "Untitled", "Microsoft Word - plan.doc", "plan.DOCX", "PowerPoint Presentation"] {
            assert_eq!(stated_title(title), None, "{title}");
        }
    }
}
