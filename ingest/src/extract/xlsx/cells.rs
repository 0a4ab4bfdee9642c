//! Reads the cells of a sheet, row by row, as the text that they show.
//! Never evaluates a formula: what its program computed last stands beside it.

use crate::extract::fault::Fault;
use crate::extract::xlsx::number::Format;
use crate::extract::xml::{Element, Piece, Xml};

/// What cells refer to.
pub(super) struct Values {
    pub(super) strings: Vec<String>,
    pub(super) formats: Vec<Format>,
    pub(super) from_1904: bool,
    /// Most bytes that the text of all cells may have: many cells can show the same long text.
    pub(super) most: u64,
    /// How many of them are left.
    pub(super) left: std::cell::Cell<u64>,
}

/// A cell that shows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    /// From 1.
    pub(super) column: u32,
    pub(super) text: String,
    /// Whether it is a word, as headers are, and no number, date or switch.
    pub(super) is_word: bool,
}

/// A row with the cells that show something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// From 1.
    pub(super) number: u32,
    pub(super) cells: Vec<Cell>,
}

/// Hands all rows to `take` that show something.
pub(super) fn rows(text: &str, values: &Values, mut take: impl FnMut(Row)) -> Result<(), Fault> {
    let mut xml = Xml::new(text);
    let mut row = Row::default();
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => match element.name() {
                "row" => {
                    let number = element.number("r").unwrap_or_else(|| row.number.saturating_add(1));
                    row = Row { number, cells: Vec::new() };
                }
                "c" => {
                    let after = row.cells.last().map_or(1, |cell| cell.column.saturating_add(1));
                    let column = element.attribute("r").and_then(|name| column(&name)).unwrap_or(after);
                    let (text, is_word) = value(&element, &mut xml, values)?;
                    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
                    let left = values.left.get().checked_sub(bytes);
                    values.left.set(left.ok_or(Fault::Expands(values.most))?);
                    if !text.trim().is_empty() {
                        row.cells.push(Cell { column, text, is_word });
                    }
                }
                _ => {}
            },
            Piece::End(name) if name == "row" => {
                let done = Row { number: row.number, cells: std::mem::take(&mut row.cells) };
                if !done.cells.is_empty() {
                    take(done);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Text in several fonts as one, without its readings.
pub(super) fn rich_text(xml: &mut Xml<'_>, end: &str) -> Result<String, Fault> {
    let mut text = String::new();
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) if element.name() == "rPh" => xml.skip()?,
            Piece::Start(element) if element.name() == "t" => text.push_str(&xml.text()?),
            Piece::End(name) if name == end => break,
            _ => {}
        }
    }
    Ok(text)
}

fn value(element: &Element<'_>, xml: &mut Xml<'_>, values: &Values) -> Result<(String, bool), Fault> {
    let kind = element.attribute("t").unwrap_or_default();
    if kind == "inlineStr" {
        return Ok((rich_text(xml, "c")?, true));
    }
    let mut raw = String::new();
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) if element.name() == "v" => raw = xml.text()?,
            Piece::Start(_) => xml.skip()?,
            Piece::End(name) if name == "c" => break,
            _ => {}
        }
    }
    Ok(match kind.as_str() {
        "s" => {
            let position = raw.trim().parse::<usize>().ok();
            let text = position.and_then(|position| values.strings.get(position));
            (text.cloned().unwrap_or_default(), true)
        }
        "str" => (raw, true),
        "b" => (if raw.trim() == "1" { "TRUE" } else { "FALSE" }.to_owned(), false),
        "e" | "d" => (raw, false),
        _ => {
            let format = element.number("s").and_then(|style: usize| values.formats.get(style));
            let number = raw.trim().parse::<f64>();
            let shown =
                number.map(|number| format.unwrap_or(&Format::GENERAL).show(number, values.from_1904));
            (shown.unwrap_or(raw), false)
        }
    })
}

/// The column of a cell's name: 28 for `AB7`.
fn column(name: &str) -> Option<u32> {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic);
    let column = letters
        .take(4)
        .fold(0_u32, |column, letter| column * 26 + u32::from(letter.to_ascii_uppercase() - b'A') + 1);
    (column > 0).then_some(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters() {
        for (name, number) in
            [("A1", Some(1)), ("Z1", Some(26)), ("ab7", Some(28)), ("XFD1", Some(16_384)), ("7", None)]
        {
            assert_eq!(column(name), number, "{name}");
        }
    }
}
