//! Reads tables in text files: values between commas, semicolons, tabs or bars.
//! Never refuses a row for its length, and gives every group of rows the header, so that each is readable by itself.

use csv::{ReaderBuilder, StringRecord};

use crate::extract::metadata::field;
use crate::extract::{Document, Input, Section, Unreadable, decode};

/// What may stand between values; the first of those that fit equally wins.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// Rows by which the delimiter is found.
const SAMPLED_ROWS: usize = 32;
/// Most bytes of a group, header included, that has several rows: figures take a token for every two bytes, so that this
/// fits a chunk of usual size.
const GROUP_BYTES: usize = 400;
/// Longest row that stands in a table. A longer one is a list of its values, each with its name, so that none is
/// without it when the row is cut.
const TABLE_ROW_BYTES: usize = 240;

/// The table in groups of rows.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let text = decode::text(input.bytes)?;
    let mut table = Table::default();
    let delimiter = delimiter(input.name, &text);
    for (index, row) in rows(&text, delimiter, usize::MAX).enumerate() {
        table.add(index + 1, row);
    }
    table.end_group();
    let mut document = Document { sections: table.sections, ..Document::default() };
    text.note_encoding(&mut document.metadata);
    Ok(document)
}

/// Rows of values, those without any left out. A file with a quote that never ends is read as if it had none.
fn rows(text: &str, delimiter: u8, most: usize) -> impl Iterator<Item = Vec<String>> {
    let has_open_quote = !text.bytes().filter(|byte| *byte == b'"').count().is_multiple_of(2);
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .quoting(!has_open_quote)
        .from_reader(text.as_bytes());
    reader.into_records().take(most).filter_map(Result::ok).map(|record| values(&record))
}

fn values(record: &StringRecord) -> Vec<String> {
    record.iter().map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The delimiter that the name promises, or that cuts most rows into the same number of values, more than one.
fn delimiter(name: &str, text: &str) -> u8 {
    if name.to_ascii_lowercase().ends_with(".tsv") {
        return b'\t';
    }
    let mut best = ((0, 0), b',');
    for delimiter in DELIMITERS {
        let widths: Vec<usize> = rows(text, delimiter, SAMPLED_ROWS).map(|row| row.len()).collect();
        let same = |width: usize| widths.iter().filter(|other| **other == width).count();
        let alike = widths.iter().filter(|width| **width > 1).map(|width| (same(*width), *width)).max();
        if let Some(alike) = alike.filter(|alike| *alike > best.0) {
            best = (alike, delimiter);
        }
    }
    best.1
}

#[derive(Default)]
struct Table {
    /// Names of the columns, once the first row has been seen.
    header: Option<Vec<String>>,
    /// A first row that is only known to be the header when there is a second.
    first: Option<Vec<String>>,
    group: Vec<Vec<String>>,
    group_bytes: usize,
    group_row: usize,
    sections: Vec<Section>,
}

impl Table {
    fn add(&mut self, number: usize, row: Vec<String>) {
        if row.iter().all(String::is_empty) {
            return;
        }
        if self.header.is_none() && self.group.is_empty() && self.first.is_none() {
            if is_header(&row) {
                self.first = Some(row);
                return;
            }
            self.header = Some(Vec::new());
        }
        if let Some(first) = self.first.take() {
            self.header = Some(first);
        }
        let bytes = width(&row);
        let header = self.header.as_deref().map_or(0, width);
        if header + self.group_bytes + bytes > GROUP_BYTES {
            self.end_group();
        }
        if self.group.is_empty() {
            self.group_row = number;
        }
        self.group_bytes += bytes;
        self.group.push(row);
    }

    fn end_group(&mut self) {
        if let Some(only) = self.first.take() {
            self.group.push(only);
            self.group_row = 1;
        }
        let rows = std::mem::take(&mut self.group);
        let is_wide = rows.len() == 1 && self.group_bytes > TABLE_ROW_BYTES;
        self.group_bytes = 0;
        if rows.is_empty() {
            return;
        }
        let width = rows.iter().map(Vec::len).max().unwrap_or_default();
        let names = self.names(width);
        let text = if is_wide { listed(&names, &rows) } else { table(&names, &rows) };
        let metadata = [(field::ROW.to_owned(), self.group_row.into())].into_iter().collect();
        self.sections.push(Section { text, metadata, ..Section::default() });
    }

    fn names(&self, width: usize) -> Vec<String> {
        let header = self.header.as_deref().unwrap_or_default();
        let name = |column: usize| match header.get(column) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("Column {}", column + 1),
        };
        (0..width.max(header.len())).map(name).collect()
    }
}

/// Bytes of a row as a line.
fn width(row: &[String]) -> usize {
    row.iter().map(|value| value.len() + " | ".len()).sum()
}

/// Names of columns are words, and different ones; values are mostly figures or repeat.
fn is_header(row: &[String]) -> bool {
    let mut names: Vec<&str> = row.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let are_words = names.iter().all(|name| {
        name.parse::<f64>().is_err() && name.chars().any(char::is_alphabetic) && name.len() < 128
    });
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    count * 2 > row.len() && are_words && names.len() == count
}

fn table(names: &[String], rows: &[Vec<String>]) -> String {
    let mut lines = vec![line(names, names.len()), format!("|{}", " --- |".repeat(names.len()))];
    lines.extend(rows.iter().map(|row| line(row, names.len())));
    lines.join("\n")
}

fn line(values: &[String], width: usize) -> String {
    let values = values.iter().map(|value| value.replace('|', "\\|"));
    let padded = values.chain(std::iter::repeat(String::new())).take(width);
    format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
}

fn listed(names: &[String], rows: &[Vec<String>]) -> String {
    let values = rows.iter().flat_map(|row| names.iter().zip(row)).filter(|(_, value)| !value.is_empty());
    values.map(|(name, value)| format!("- {name}: {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::tests::input;

    fn sections(name: &str, text: &str) -> Vec<Section> {
        read(&input(name, text.as_bytes())).unwrap().sections
    }

    #[test]
    fn every_delimiter_is_found() {
        for delimiter in [",", ";", "\t", "|"] {
            let text = ["name,code", "\"a, b\",7", "c,8"].join("\n").replace(',', delimiter);
            let value = format!("a{delimiter} b").replace('|', "\\|").replace('\t', " ").replace("  ", " ");
            let expected = format!("| name | code |\n| --- | --- |\n| {value} | 7 |\n| c | 8 |");
            assert_eq!(sections("a.csv", &text)[0].text, expected);
        }
        assert!(sections("a.tsv", "a\tb, c, d\n1\t2, 3, 4\n")[0].text.starts_with("| a | b, c, d |"));
    }

    #[test]
    fn groups_of_rows_repeat_the_header_and_know_their_first_row() {
        let rows: Vec<String> = (1..=100).map(|n| format!("part number {n},{n}\n")).collect();
        let sections = sections("a.csv", &format!("part,count\n{}", rows.concat()));
        assert!(sections.len() > 3);
        assert!(sections.iter().all(|section| section.text.starts_with("| part | count |\n| --- | --- |\n")));
        assert!(sections.iter().all(|section| section.text.len() < GROUP_BYTES * 2));
        assert_eq!(sections[0].metadata["row"], 2);
        let second = sections[1].metadata["row"].as_u64().unwrap();
        assert!(sections[1].text.contains(&format!("| part number {} |", second - 1)));
    }

    #[test]
    fn a_first_row_of_values_is_no_header() {
        assert_eq!(
            sections("a.csv", "1,2\n3,4\n")[0].text,
            "| Column 1 | Column 2 |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"
        );
        assert_eq!(
            sections("a.csv", "only,names\n")[0].text,
            "| Column 1 | Column 2 |\n| --- | --- |\n| only | names |"
        );
    }

    #[test]
    fn ragged_rows_and_open_quotes_lose_nothing() {
        let text = sections("a.csv", "a,b,c\n1,2\n\"open quote,4,5\n6,7,8,9,10\n").remove(0).text;
        assert_eq!(
            text,
            "| a | b | c | Column 4 | Column 5 |\n| --- | --- | --- | --- | --- |\n| 1 | 2 |  |  |  |\n| \"open quote | 4 | 5 |  |  |\n| 6 | 7 | 8 | 9 | 10 |"
        );
    }

    #[test]
    fn a_long_row_names_each_of_its_values() {
        let long = "word ".repeat(60);
        let text = sections("a.csv", &format!("title,text\nPump,\"{long}\"\n")).remove(0).text;
        assert_eq!(text, format!("- title: Pump\n- text: {}", long.trim()));
    }
}
