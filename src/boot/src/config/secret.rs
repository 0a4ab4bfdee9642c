//! Replaces `KEY_file = PATH` by `KEY = what the file holds`.
//! Never puts a file's content into a message.

use std::fs;
use std::path::Path;

use super::setting::{Setting, Value};

/// What is appended to a key, to give a file that holds its value.
const SUFFIX: &str = "_file";
/// A secret is a line, not a document: more is a mistake in the path.
const MAX_BYTES: u64 = 64 * 1024;

/// Whether `field`, which a table does not know, gives the file of a field that it knows.
pub(super) fn names_file_of(field: &str, known: &[&str]) -> bool {
    field.strip_suffix(SUFFIX).is_some_and(|plain| known.contains(&plain))
}

/// Replaces the setting `key` (it ends in [`SUFFIX`]) below `section` by the value in the file that it names, unless a
/// higher source gives the value itself. Fails with the reason.
pub(super) fn resolve(section: &mut Setting, key: &str) -> Result<(), String> {
    let Some(named) = section.remove(key) else { return Ok(()) };
    let Some(plain) = key.strip_suffix(SUFFIX) else { return Ok(()) };
    let given = section.find(plain).map(|given| given.origin.clone());
    if given.as_ref().is_some_and(|given| given.rank() > named.origin.rank()) {
        return Ok(());
    }
    if let Some(given) = given.filter(|given| given.rank() == named.origin.rank()) {
        return Err(format!("contradicts {given}: give the value or the file, not both"));
    }
    let path = match &named.value {
        Value::Text(path) | Value::Untyped(path) => path,
        other => return Err(format!("must be the path of a file, not {}", other.kind())),
    };
    let value = Value::Text(content(Path::new(path))?);
    let below = plain.strip_prefix(&section.key).map_or(plain, |rest| rest.trim_start_matches('.'));
    let path: Vec<&str> = below.split('.').collect();
    section.put(&path, &named.origin, value).map_err(|other| format!("contradicts {other}"))
}

/// What the file holds, without the line end that editors and `echo` leave.
fn content(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let about =
        fs::metadata(path).map_err(|error| format!("names `{shown}`, which cannot be read: {error}"))?;
    if !about.is_file() {
        return Err(format!("names `{shown}`, which is not a file"));
    }
    if about.len() > MAX_BYTES {
        return Err(format!("names `{shown}`, which is longer than {MAX_BYTES} bytes: not a secret"));
    }
    let content = fs::read_to_string(path)
        .map_err(|error| format!("names `{shown}`, which cannot be read: {error}"))?;
    match content.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("names `{shown}`, which is empty")),
        secret => Ok(secret.to_owned()),
    }
}
