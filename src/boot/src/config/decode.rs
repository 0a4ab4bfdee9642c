//! Decodes settings into the types of the sections, and says which setting was refused and why.
//! Never repeats a text value: it may be a secret.

use std::collections::btree_map;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

use super::fault;
use super::setting::{Setting, Table, Value};

/// Why decoding stopped, and at which setting.
#[derive(Debug)]
pub(super) struct Rejection {
    /// Full key of the innermost setting concerned.
    pub(super) key: Option<String>,
    pub(super) reason: Reason,
}

/// Why a setting was refused.
#[derive(Debug)]
pub(super) enum Reason {
    /// The table that holds the setting has no such field.
    Unknown { field: String, known: &'static [&'static str] },
    /// The table lacks a field.
    Missing(&'static str),
    /// The value does not fit.
    Unfit(String),
}

impl Rejection {
    fn unfit(reason: impl Into<String>) -> Self {
        Self { key: None, reason: Reason::Unfit(reason.into()) }
    }

    /// Notes where it happened, unless a setting further in has done so.
    fn at(mut self, setting: &Setting) -> Self {
        self.key.get_or_insert_with(|| setting.key.clone());
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Unknown { field, known } => {
                f.write_str(&fault::unknown("key", field, known.iter().copied()))
            }
            Reason::Missing(field) => write!(f, "lacks `{field}`"),
            Reason::Unfit(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Rejection {}

impl de::Error for Rejection {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::unfit(format!("is refused: {message}"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unfit(format!("must be {}, not {}", plain(expected), kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = plain(expected);
        match found {
            Unexpected::Signed(number) => Self::unfit(format!("must be {expected}, not {number}")),
            Unexpected::Unsigned(number) => Self::unfit(format!("must be {expected}, not {number}")),
            _ => Self::unfit(format!("must be {expected}")),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unfit(format!("must be one of {}, not `{variant}`", fault::quoted(expected)))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self { key: None, reason: Reason::Unknown { field: field.to_owned(), known } }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { key: None, reason: Reason::Missing(field) }
    }
}

/// What was expected, in a user's words rather than in Rust's.
fn plain(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        nonzero if nonzero.starts_with("a nonzero u") => "a whole number, 1 or more".to_owned(),
        _ => expected,
    }
}

/// What was found, without its value.
fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        _ => "this kind of value",
    }
}

/// Decodes a whole number of any width; the visitor checks the range.
macro_rules! whole_number {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
            self.whole_number(visitor).map_err(|error| error.at(self))
        }
    )*};
}

/// Decodes a value as its target type describes it.
macro_rules! typed {
    ($($method:ident by $own:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
            self.$own(visitor).map_err(|error| error.at(self))
        }
    )*};
}

impl<'de> Deserializer<'de> for &Setting {
    type Error = Rejection;

    whole_number! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    typed! {
        deserialize_any by as_written
        deserialize_bool by boolean
        deserialize_f32 by number deserialize_f64 by number
        deserialize_char by text deserialize_str by text deserialize_string by text deserialize_identifier by text
        deserialize_seq by list
        deserialize_map by table_of
        deserialize_bytes by as_written deserialize_byte_buf by as_written
        deserialize_unit by as_written
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        visitor.visit_newtype_struct(self).map_err(|error: Rejection| error.at(self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        let decoded = match &self.value {
            Value::Untyped(text) | Value::Text(text) => {
                visitor.visit_enum(IntoDeserializer::<Rejection>::into_deserializer(text.as_str()))
            }
            Value::Table(table) => visitor.visit_enum(MapAccessDeserializer::new(Entries::of(table))),
            other => Err(Rejection::unfit(format!("must be a text, not {}", other.kind()))),
        };
        decoded.map_err(|error| error.at(self))
    }
}

impl Setting {
    fn as_written<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::Untyped(text) => match (text.parse::<bool>(), text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(boolean), _, _) => visitor.visit_bool(boolean),
                (_, Ok(number), _) => visitor.visit_i64(number),
                (_, _, Ok(number)) => visitor.visit_f64(number),
                _ => visitor.visit_str(text),
            },
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(boolean) => visitor.visit_bool(*boolean),
            Value::List(_) => self.list(visitor),
            Value::Table(_) => self.table_of(visitor),
        }
    }

    fn text<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::Untyped(text) => visitor.visit_str(text),
            _ => self.as_written(visitor),
        }
    }

    fn boolean<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::Untyped(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => visitor.visit_bool(true),
                "false" | "0" => visitor.visit_bool(false),
                _ => Err(Rejection::unfit("must be `true` or `false`")),
            },
            _ => self.as_written(visitor),
        }
    }

    fn whole_number<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::Untyped(text) => {
                let digits = text.trim().replace('_', "");
                match (digits.parse::<u64>(), digits.parse::<i64>()) {
                    (Ok(number), _) => visitor.visit_u64(number),
                    (_, Ok(number)) => visitor.visit_i64(number),
                    _ => Err(Rejection::unfit("must be a whole number")),
                }
            }
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_i64(*number),
            },
            other => Err(Rejection::unfit(format!("must be a whole number, not {}", other.kind()))),
        }
    }

    fn number<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::Untyped(text) => match text.trim().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Rejection::unfit("must be a number")),
            },
            _ => self.as_written(visitor),
        }
    }

    /// A list; a table whose names are positions; or a text with commas, which is a list of untyped texts.
    fn list<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(table) => {
                let mut placed: Vec<(usize, &Setting)> = table
                    .iter()
                    .map(|(name, item)| Ok((name.parse().map_err(|_| not_a_position(item))?, item)))
                    .collect::<Result<_, Rejection>>()?;
                placed.sort_by_key(|(position, _)| *position);
                visitor.visit_seq(Items(placed.into_iter().map(|(_, item)| item)))
            }
            Value::Untyped(text) if text.trim_start().starts_with('[') => {
                Err(Rejection::unfit("must be a list with commas between its items, without brackets"))
            }
            Value::Untyped(text) => {
                let items = self.split(text);
                visitor.visit_seq(Items(items.iter()))
            }
            other => Err(Rejection::unfit(format!("must be a list, not {}", other.kind()))),
        }
    }

    fn split(&self, text: &str) -> Vec<Setting> {
        let item = |(at, part): (usize, &str)| Setting {
            key: self.child_key(&at.to_string()),
            origin: self.origin.clone(),
            value: Value::Untyped(part.to_owned()),
        };
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.enumerate().map(item).collect()
    }

    fn table_of<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Rejection> {
        match &self.value {
            Value::Table(table) => visitor.visit_map(Entries::of(table)),
            other => Err(Rejection::unfit(format!("must be a table of keys, not {}", other.kind()))),
        }
    }
}

fn not_a_position(item: &Setting) -> Rejection {
    Rejection::unfit("must be a position in a list: 0, 1, ...").at(item)
}

/// Hands a list's items to a visitor.
struct Items<I>(I);

impl<'de, 's, I: Iterator<Item = &'s Setting>> SeqAccess<'de> for Items<I> {
    type Error = Rejection;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Rejection> {
        self.0.next().map(|item| seed.deserialize(item).map_err(|error| error.at(item))).transpose()
    }
}

/// Hands a table's entries to a visitor.
struct Entries<'s> {
    rest: btree_map::Iter<'s, String, Setting>,
    next: Option<&'s Setting>,
}

impl<'s> Entries<'s> {
    fn of(table: &'s Table) -> Self {
        Self { rest: table.iter(), next: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Rejection;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Rejection> {
        let Some((name, setting)) = self.rest.next() else { return Ok(None) };
        self.next = Some(setting);
        let name = IntoDeserializer::<Rejection>::into_deserializer(name.as_str());
        seed.deserialize(name).map(Some).map_err(|error| error.at(setting))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Rejection> {
        let Some(setting) = self.next.take() else {
            return Err(Rejection::unfit("has no value"));
        };
        seed.deserialize(setting).map_err(|error| error.at(setting))
    }
}
