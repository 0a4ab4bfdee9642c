//! Reads the TOML configuration file into settings that remember their lines.
//! Never stops at the first mistake in it.

use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::setting::{Origin, Setting, Table, Value};

/// Puts the file's settings under `root`; returns what is wrong with it.
pub(super) fn overlay(root: &mut Setting, path: &Path) -> Vec<Fault> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let reason = format!("the configuration file `{}` cannot be read: {error}", path.display());
            return vec![Fault { key: String::new(), reason, origin: None }];
        }
    };
    let source = Source { path, text: &text };
    let (document, errors) = DeTable::parse_recoverable(&text);
    root.value = Value::Table(source.table("", document.get_ref()));
    errors.iter().map(|error| source.fault(error)).collect()
}

/// The file, for finding lines.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(offset);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        Origin::File { path: self.path.to_owned(), line }
    }

    fn fault(&self, error: &toml::de::Error) -> Fault {
        let origin = error.span().map(|span| self.origin(span.start));
        Fault { key: String::new(), reason: format!("not TOML: {}", error.message()), origin }
    }

    fn table(&self, parent: &str, table: &DeTable<'_>) -> Table {
        let setting = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &str = AsRef::as_ref(name.get_ref());
            let key = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
            (name.to_owned(), self.setting(key, value))
        };
        table.iter().map(setting).collect()
    }

    fn setting(&self, key: String, value: &Spanned<DeValue<'_>>) -> Setting {
        let origin = self.origin(value.span().start);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            // Beyond 64 bits with a sign, the target type decides: it may be a u64.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::Untyped(number.to_string()), Value::Integer),
            DeValue::Float(number) => {
                number.as_str().parse().map_or_else(|_| Value::Untyped(number.to_string()), Value::Float)
            }
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(time) => Value::Text(time.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.setting(format!("{key}.{at}"), item))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(&key, table)),
        };
        Setting { key, origin, value }
    }
}
