//! The tree of settings as they were written: every value knows its key and where it came from.
//! Never decides what a value means: that is for the type that is decoded from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In the environment.
    Environment {
        /// Name of the variable.
        variable: String,
    },
    /// Nowhere: the built-in default.
    Default,
}

impl Origin {
    /// Which of two sources wins: the higher one.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment { .. } => 2,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Default => f.write_str("built-in default"),
        }
    }
}

/// The settings of a table by name.
pub(super) type Table = BTreeMap<String, Setting>;

/// One value as written, its full key (`llm.fallback.0.kind`) and its source.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A value as written.
#[derive(Debug)]
pub(super) enum Value {
    /// Text whose meaning the target type decides, as environment variables have it.
    Untyped(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Setting>),
    Table(Table),
}

impl Setting {
    /// An empty table.
    pub(super) fn table(key: &str, origin: Origin) -> Self {
        Self { key: key.to_owned(), origin, value: Value::Table(Table::new()) }
    }

    /// The key of a child.
    pub(super) fn child_key(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    /// The entries of a table; a list turns into a table by position, so that `FALLBACK__0__URL` reaches into it; `None`
    /// for anything else.
    pub(super) fn entries(&mut self) -> Option<&mut Table> {
        if let Value::List(items) = &mut self.value {
            let by_position = items.drain(..).enumerate().map(|(at, item)| (at.to_string(), item)).collect();
            self.value = Value::Table(by_position);
        }
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The setting with this full key, at or below this one.
    pub(super) fn find(&self, key: &str) -> Option<&Setting> {
        if self.key == key {
            return Some(self);
        }
        match &self.value {
            Value::List(items) => items.iter().find_map(|item| item.find(key)),
            Value::Table(table) => table.values().find_map(|item| item.find(key)),
            _ => None,
        }
    }

    /// Takes the setting with this full key out of the tree below this one.
    pub(super) fn remove(&mut self, key: &str) -> Option<Setting> {
        match &mut self.value {
            Value::List(items) => match items.iter().position(|item| item.key == key) {
                Some(at) => Some(items.remove(at)),
                None => items.iter_mut().find_map(|item| item.remove(key)),
            },
            Value::Table(table) => {
                let name = table.iter().find(|(_, item)| item.key == key).map(|(name, _)| name.clone());
                match name {
                    Some(name) => table.remove(&name),
                    None => table.values_mut().find_map(|item| item.remove(key)),
                }
            }
            _ => None,
        }
    }

    /// Puts `value` at `path` below this one, over what a lower source said. Fails with the setting in the way when the
    /// same source gave a plain value where the path needs a table.
    pub(super) fn put(&mut self, path: &[&str], origin: &Origin, value: Value) -> Result<(), Origin> {
        let Some((name, rest)) = path.split_first() else {
            self.origin = origin.clone();
            self.value = value;
            return Ok(());
        };
        let key = self.child_key(name);
        if self.entries().is_none() {
            if self.origin.rank() >= origin.rank() {
                return Err(self.origin.clone());
            }
            self.value = Value::Table(Table::new());
        }
        let Some(entries) = self.entries() else { return Ok(()) };
        let child = entries.entry((*name).to_owned()).or_insert_with(|| Setting::table(&key, origin.clone()));
        child.put(rest, origin, value)
    }
}

impl Value {
    /// What kind of value it is, for messages: never the value itself, which may be a secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Untyped(_) | Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}
