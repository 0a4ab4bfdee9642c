//! Collects what an RTF file says of itself: title, author, times, language.
//! Never reads a token: the reader hands over texts and numbers.

use serde_json::{Map, Value};

use crate::extract::metadata::{field, note, note_language, note_time};
use crate::extract::rtf::charset;

/// A destination of the information group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Title,
    Author,
    Created,
    Modified,
}

/// What was collected.
#[derive(Debug, Default)]
pub(super) struct Info {
    pub(super) title: String,
    author: String,
    /// Year, month, day, hour, minute.
    created: [i32; 5],
    modified: [i32; 5],
    language: Option<i32>,
}

impl Info {
    /// Text of a field.
    pub(super) fn text(&mut self, field: Field, text: &str) {
        match field {
            Field::Title => self.title.push_str(text),
            Field::Author => self.author.push_str(text),
            Field::Created | Field::Modified => {}
        }
    }

    /// Part of a time.
    pub(super) fn number(&mut self, field: Field, word: &str, number: i32) {
        let time = match field {
            Field::Created => &mut self.created,
            Field::Modified => &mut self.modified,
            Field::Title | Field::Author => return,
        };
        let [year, month, day, hour, minute] = time;
        match word {
            "yr" => *year = number,
            "mo" => *month = number,
            "dy" => *day = number,
            "hr" => *hour = number,
            "min" => *minute = number,
            _ => {}
        }
    }

    /// The language of text that names none; the first one counts.
    pub(super) fn language(&mut self, number: i32) {
        self.language.get_or_insert(number);
    }

    /// All of it as metadata.
    pub(super) fn metadata(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        note(&mut fields, field::AUTHOR, &self.author);
        for (name, [year, month, day, hour, minute]) in
            [(field::CREATED, self.created), (field::MODIFIED, self.modified)]
        {
            note_time(&mut fields, name, &format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00"));
        }
        note_language(&mut fields, self.language.and_then(charset::language).unwrap_or_default());
        fields
    }
}
