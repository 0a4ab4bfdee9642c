//! Reads the metadata block at the head of a Markdown file, in YAML or TOML.
//! Keeps only what filters can use. A broken block is no fault: it is ignored.

use serde_json::{Map, Value};

use crate::extract::metadata;

/// The fields of a YAML block.
pub(super) fn yaml(block: &str) -> Map<String, Value> {
    serde_saphyr::from_str::<Map<String, Value>>(block).map(metadata::bounded).unwrap_or_default()
}

/// The fields of a TOML block. Dates become text.
pub(super) fn toml(block: &str) -> Map<String, Value> {
    let table = block.parse::<toml::Table>().unwrap_or_default();
    metadata::bounded(table.into_iter().map(|(name, value)| (name, from_toml(value))).collect())
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::from(flag),
        toml::Value::Array(values) => values.into_iter().map(from_toml).collect(),
        toml::Value::Table(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_and_lists_of_them_are_kept() {
        let fields =
            yaml("title: A\ntags: [x, 1, {y: 2}]\nnested: {a: 1}\nnothing:\nbad name: 1\ndraft: true\n");
        assert_eq!(Value::Object(fields), json!({"title": "A", "tags": ["x", 1], "draft": true}));
        let fields = toml("date = 2026-01-02\nweight = 3\n[extra]\na = 1\n");
        assert_eq!(Value::Object(fields), json!({"date": "2026-01-02", "weight": 3}));
    }

    #[test]
    fn a_broken_block_gives_nothing() {
        assert!(yaml("a: [1\nb: }").is_empty());
        assert!(toml("a = ").is_empty());
        assert!(yaml("- just\n- a list").is_empty());
    }
}
