//! Reads records: one JSON object, a list of them, or one on each line, of which each is a document.
//! Never guesses which field is which: the configuration says it, and what does not fit is skipped by itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use lectern_schema::identifiers::{BadIdentifier, TenantId};

use crate::extract::names::Names;
use crate::extract::{Document, Emit, Input, Section, Unreadable};

/// Lines after which a file without one record is none of records.
const HOPELESS_LINES: usize = 100;
/// Field whose own fields count as the record's.
const NESTED: &str = "metadata";

/// Which field of a record is what: of several names the first that the record has. Dots lead into objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordFields {
    /// The text.
    pub text: Vec<String>,
    /// The title.
    pub title: Vec<String>,
    /// The name within the file.
    pub id: Vec<String>,
    /// Where the document can be found.
    pub uri: Vec<String>,
    /// Whose it is.
    pub tenant: Vec<String>,
    /// Kept as metadata; all others when empty.
    pub metadata: Vec<String>,
}

impl Default for RecordFields {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            text: names(&["text", "content", "body"]),
            title: names(&["title"]),
            id: names(&["id", "_id"]),
            uri: names(&["uri", "url"]),
            tenant: names(&["tenant"]),
            metadata: Vec::new(),
        }
    }
}

/// Why a record is skipped.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// The line is broken.
    #[error("is not JSON: {0}")]
    Syntax(String),
    /// A number, a list, ...
    #[error("is no JSON object")]
    NotAnObject,
    /// Nothing to ingest.
    #[error("has no text in {0}: name the field that holds it in `ingest.records.text`")]
    NoText(String),
    /// An earlier record has the same id.
    #[error("has the id of an earlier record of the file")]
    Repeated,
    /// Its owner cannot be one.
    #[error("has no valid tenant: {0}")]
    Tenant(#[from] BadIdentifier),
    /// The file is of another kind.
    #[error("has no record in its first {HOPELESS_LINES} lines: the first one is at fault because it {0}")]
    Hopeless(Box<BadRecord>),
}

/// One record on each line.
pub(super) fn read_lines(input: &Input<'_>, emit: &mut Emit<'_>) -> Result<(), Unreadable> {
    let mut reader = Reader::new(input);
    let mut first_fault = None;
    let mut found = false;
    let mut faults = Vec::new();
    for (index, line) in without_mark(input.bytes).split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = format!("line {}", index + 1);
        let (name, document) =
            reader.record(place, serde_json::from_slice(line).map_err(|error| syntax(&error)));
        // A file of another kind is one fault, not one for each line.
        match document {
            Ok(document) => {
                found = true;
                emit_faults(&mut faults, emit);
                emit(Some(&name), Ok(document));
            }
            Err(error) if found => emit(Some(&name), Err(error.into())),
            Err(error) => faults.push((name, error)),
        }
        if faults.len() >= HOPELESS_LINES {
            first_fault = Some(faults.swap_remove(0).1);
            break;
        }
    }
    if let Some(fault) = first_fault {
        return Err(BadRecord::Hopeless(Box::new(fault)).into());
    }
    if !found && faults.is_empty() {
        return Err(Unreadable::Empty);
    }
    emit_faults(&mut faults, emit);
    Ok(())
}

/// A list of records, or one.
pub(super) fn read_value(input: &Input<'_>, emit: &mut Emit<'_>) -> Result<(), Unreadable> {
    let content = without_mark(input.bytes);
    if content.trim_ascii().is_empty() {
        return Err(Unreadable::Empty);
    }
    let mut reader = Reader::new(input);
    let value = serde_json::from_slice(content).map_err(|error| BadRecord::Syntax(error.to_string()))?;
    let Value::Array(values) = value else {
        let (_, document) = reader.record(String::new(), Ok(value));
        emit(None, document.map_err(Unreadable::from));
        return Ok(());
    };
    for (index, value) in values.into_iter().enumerate() {
        let (name, document) = reader.record(format!("item {}", index + 1), Ok(value));
        emit(Some(&name), document.map_err(Unreadable::from));
    }
    Ok(())
}

fn emit_faults(faults: &mut Vec<(String, BadRecord)>, emit: &mut Emit<'_>) {
    for (name, fault) in faults.drain(..) {
        emit(Some(&name), Err(fault.into()));
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// The fault without its line, which is always the first: the record is named by the file's line.
fn syntax(error: &serde_json::Error) -> BadRecord {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    BadRecord::Syntax(format!("{what} at column {}", error.column()))
}

struct Reader<'a> {
    fields: &'a RecordFields,
    ids: Names,
}

impl<'a> Reader<'a> {
    fn new(input: &Input<'a>) -> Self {
        Self { fields: &input.settings.records, ids: Names::default() }
    }

    /// The record's name within the file, its place in the file when it has no id of its own, and what it is.
    fn record(
        &mut self,
        place: String,
        value: Result<Value, BadRecord>,
    ) -> (String, Result<Document, BadRecord>) {
        let mut record = match value {
            Ok(Value::Object(record)) => record,
            Ok(_) => return (place, Err(BadRecord::NotAnObject)),
            Err(fault) => return (place, Err(fault)),
        };
        let id = taken(&mut record, &self.fields.id).as_ref().and_then(scalar);
        let Some(id) = id else { return (place, self.document(record)) };
        if self.ids.take(&id) {
            let document = self.document(record);
            return (id, document);
        }
        (format!("{id} ({place})"), Err(BadRecord::Repeated))
    }

    fn document(&self, mut record: Map<String, Value>) -> Result<Document, BadRecord> {
        let text = taken(&mut record, &self.fields.text).as_ref().and_then(text);
        let text = text.filter(|text| !text.trim().is_empty());
        let text = text.ok_or_else(|| BadRecord::NoText(quoted(&self.fields.text)))?;
        let tenant = taken(&mut record, &self.fields.tenant).filter(|tenant| !tenant.is_null());
        let tenant =
            tenant.map(|tenant| TenantId::parse(&scalar(&tenant).unwrap_or_default())).transpose()?;
        Ok(Document {
            title: taken(&mut record, &self.fields.title).as_ref().and_then(scalar),
            uri: taken(&mut record, &self.fields.uri).as_ref().and_then(scalar),
            tenant,
            sections: vec![Section { text, ..Section::default() }],
            metadata: self.metadata(record),
            ..Document::default()
        })
    }

    fn metadata(&self, mut record: Map<String, Value>) -> Map<String, Value> {
        if self.fields.metadata.is_empty() {
            if let Some(Value::Object(nested)) = record.remove(NESTED) {
                record.extend(nested);
            }
            return record;
        }
        let named = |name: &String| Some((name.clone(), found(&record, name)?.clone()));
        self.fields.metadata.iter().filter_map(named).collect()
    }
}

/// The value of the first of these fields that the record has, which it loses unless it lies within an object.
fn taken(record: &mut Map<String, Value>, names: &[String]) -> Option<Value> {
    let name = names.iter().find(|name| found(record, name).is_some_and(|value| !value.is_null()))?;
    record.remove(name).or_else(|| found(record, name).cloned())
}

fn found<'r>(record: &'r Map<String, Value>, name: &str) -> Option<&'r Value> {
    let mut parts = name.split('.');
    let outer =
        || record.get(parts.next()?).and_then(|outer| parts.try_fold(outer, |value, part| value.get(part)));
    record.get(name).or_else(outer)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(paragraphs) => {
            let paragraphs: Vec<&str> = paragraphs.iter().filter_map(Value::as_str).collect();
            Some(paragraphs.join("\n\n"))
        }
        _ => None,
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::tests::{input, many};

    fn lines(text: &str) -> Vec<(String, Result<Document, String>)> {
        many(read_lines, &input("a.jsonl", text.as_bytes()))
    }

    #[test]
    fn a_line_is_a_document_with_its_fields() {
        let documents = lines(
            "{\"id\": 7, \"title\": \"T\", \"text\": \"Words.\", \"url\": \"https://e.org/7\", \"tenant\": \"acme\", \"tags\": [\"a\"], \"metadata\": {\"team\": \"x\"}}\n\n{\"content\": [\"one\", \"two\"]}\n",
        );
        let (name, document) = &documents[0];
        let document = document.as_ref().unwrap();
        assert_eq!((name.as_str(), document.title.as_deref()), ("7", Some("T")));
        assert_eq!(document.uri.as_deref(), Some("https://e.org/7"));
        assert_eq!(document.tenant, Some(TenantId::parse("acme").unwrap()));
        assert_eq!(Value::Object(document.metadata.clone()), serde_json::json!({"tags": ["a"], "team": "x"}));
        assert_eq!(documents[1].0, "line 3");
        assert_eq!(documents[1].1.as_ref().unwrap().sections[0].text, "one\n\ntwo");
    }

    #[test]
    fn a_bad_line_is_skipped_by_itself_with_its_number_and_reason() {
        let documents = lines(
            "{\"text\": \"fine\"}\n{\"text\": \"cut\n[1,2]\n{\"text\": \"\\ud800\"}\nnull\n{\"a\": 1}\n{\"text\": \"x\", \"tenant\": \"No!\"}\n{\"id\": 1, \"text\": \"x\"}\n{\"id\": \"1\", \"text\": \"y\"}\n",
        );
        let reasons: Vec<(&str, &str)> = documents
            .iter()
            .map(|(name, document)| (name.as_str(), document.as_ref().map_or_else(String::as_str, |_| "")))
            .collect();
        assert_eq!(reasons[0], ("line 1", ""));
        assert!(reasons[1].1.starts_with("is not JSON: EOF while parsing a string at column"), "{reasons:?}");
        assert_eq!((reasons[1].0, reasons[2]), ("line 2", ("line 3", "is no JSON object")));
        assert!(reasons[3].1.starts_with("is not JSON: "), "{reasons:?}");
        assert_eq!(reasons[4], ("line 5", "is no JSON object"));
        assert!(reasons[5].1.starts_with("has no text in `text`, `content`, `body`"), "{reasons:?}");
        assert!(reasons[6].1.starts_with("has no valid tenant"), "{reasons:?}");
        assert_eq!(reasons[8], ("1 (line 9)", "has the id of an earlier record of the file"));
    }

    #[test]
    fn fields_are_what_the_settings_say() {
        let mut settings = crate::extract::tests::settings();
        settings.records.text = vec!["doc.abstract".into()];
        settings.records.metadata = vec!["doc.year".into()];
        let bytes = br#"{"doc": {"abstract": "Words.", "year": 2020}, "other": 1}"#;
        let input = Input { settings: &settings, ..input("a.jsonl", bytes) };
        let document = many(read_lines, &input).remove(0).1.unwrap();
        assert_eq!(document.sections[0].text, "Words.");
        assert_eq!(Value::Object(document.metadata), serde_json::json!({"doc.year": 2020}));
    }

    #[test]
    fn a_file_of_another_kind_is_one_fault() {
        let bytes = b"no record\n".repeat(10_000);
        let input = input("a.jsonl", &bytes);
        let mut count = 0;
        let error = read_lines(&input, &mut |_, _| count += 1).unwrap_err().to_string();
        assert!(error.starts_with("has no record in its first 100 lines"), "{error}");
        assert_eq!(count, 0);
    }

    #[test]
    fn a_list_of_records_and_a_single_one_are_read_too() {
        let list = many(read_value, &input("a.json", br#"[{"text": "a"}, {"id": "x", "text": "b"}, 3]"#));
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["item 1", "x", "item 3"]);
        let single = many(read_value, &input("a.json", br#"{"text": "a"}"#));
        assert_eq!(single[0].1.as_ref().unwrap().sections[0].text, "a");
    }
}
