//! Reads the attributes of an `AsciiDoc` document, and the conditions that depend on them.
//! Never knows an attribute that the document does not set itself.

use crate::extract::asciidoc::inline::plain;
use crate::extract::asciidoc::{Reader, Stage};
use crate::extract::metadata::{self, field};

/// Attributes that are metadata.
const FIELDS: [(&str, &str); 6] = [
    ("author", field::AUTHOR),
    ("revdate", field::CREATED),
    ("date", field::CREATED),
    ("lang", field::LANGUAGE),
    ("description", field::DESCRIPTION),
    ("keywords", field::KEYWORDS),
];

impl<'a> Reader<'a> {
    /// `ifdef::name[]` and its kin. What depends on a value is kept: it cannot be known here.
    pub(super) fn condition(&mut self, line: &'a str) -> bool {
        let Some((kind, rest)) = line.split_once("::") else { return false };
        let (name, inline) = rest.split_once('[').unwrap_or((rest, "]"));
        let is_set = name.split([',', '+']).any(|name| self.attributes.is_set(&name.to_lowercase()));
        let leaves_out = match kind {
            "ifdef" => !is_set,
            "ifndef" => is_set,
            "ifeval" => false,
            "endif" => {
                self.conditions.pop();
                return true;
            }
            _ => return false,
        };
        let inline = inline.strip_suffix(']').unwrap_or(inline);
        if inline.is_empty() || kind == "ifeval" {
            self.conditions.push(leaves_out || self.conditions.last() == Some(&true));
        } else if !leaves_out && !self.conditions.contains(&true) {
            self.text(inline);
        }
        true
    }

    /// `:name: value`.
    pub(super) fn entry(&mut self, line: &'a str) -> bool {
        let Some((name, value)) = line.strip_prefix(':').and_then(|line| line.split_once(':')) else {
            return false;
        };
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '!');
        if name.is_empty() || !name.chars().all(is_name) || !(value.is_empty() || value.starts_with(' ')) {
            return false;
        }
        let key = name.trim_matches('!').to_lowercase();
        let mut text = value.trim().to_owned();
        while let Some(more) = text.strip_suffix(" \\").map(str::to_owned) {
            let next = self.lines.get(self.at).map_or("", |line| line.trim());
            text = format!("{more} {next}");
            self.at += 1;
        }
        if name.contains('!') {
            self.attributes.unset(&key);
            return true;
        }
        let text = plain(&text, &self.attributes);
        if let Some((_, field)) =
            FIELDS.iter().find(|(known, _)| *known == key).filter(|_| self.stage != Stage::Body)
        {
            metadata::note_as(&mut self.metadata, field, &text);
        }
        self.attributes.set(&key, text);
        true
    }
}
