//! Reads XLSX files: each sheet as tables with their header rows, in sections of bounded size; values as they are shown.
//! Leaves out hidden sheets, formulas and comments, and never holds more than one sheet.

use std::collections::HashMap;

use crate::extract::archive::Archive;
use crate::extract::fault::Fault;
use crate::extract::opc::{self, Relation};
use crate::extract::outline::Outline;
use crate::extract::xml::{Piece, Xml, decoded};
use crate::extract::{Document, Input, Unreadable};

mod cells;
mod number;
mod table;

const FORMAT: &str = "an XLSX file";

/// Reads a whole file.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut archive = Archive::open(input, FORMAT)?;
    let main = opc::main_part(&mut archive, "xl/workbook.xml")?;
    let text = archive.needed(&main, FORMAT)?;
    let relations = opc::relations(&mut archive, &main)?;
    let workbook = Workbook::read(&decoded(&text))?;
    let strings = match of_kind(&relations, "sharedStrings") {
        Some(relation) => shared_strings(&decoded(&archive.part(&relation.part)?.unwrap_or_default()))?,
        None => Vec::new(),
    };
    let formats = match of_kind(&relations, "styles") {
        Some(relation) => formats(&decoded(&archive.part(&relation.part)?.unwrap_or_default()))?,
        None => Vec::new(),
    };
    let most = input.settings.max_expanded_bytes;
    let left = std::cell::Cell::new(most);
    let values = cells::Values { strings, formats, from_1904: workbook.from_1904, most, left };
    let mut outline = Outline::default();
    for (name, id) in &workbook.sheets {
        let Some(relation) = relations.iter().find(|relation| relation.id == *id) else { continue };
        let sheet = archive.part(&relation.part)?.unwrap_or_default();
        table::read_into(&mut outline, name, &decoded(&sheet), &values)?;
    }
    let properties = opc::properties(&mut archive)?;
    Ok(Document {
        title: properties.title,
        outline: Some(outline),
        metadata: properties.metadata,
        ..Document::default()
    })
}

fn of_kind<'a>(relations: &'a [Relation], kind: &str) -> Option<&'a Relation> {
    relations.iter().find(|relation| relation.kind == kind)
}

struct Workbook {
    /// Name and relation of each visible sheet.
    sheets: Vec<(String, String)>,
    /// Whether days are counted from 1904 on.
    from_1904: bool,
}

impl Workbook {
    fn read(text: &str) -> Result<Self, Fault> {
        let mut xml = Xml::new(text);
        let mut found = Self { sheets: Vec::new(), from_1904: false };
        while let Some(piece) = xml.next()? {
            let Piece::Start(element) = piece else { continue };
            match element.name() {
                "workbookPr" => {
                    let flag = element.attribute("date1904");
                    found.from_1904 = matches!(flag.as_deref(), Some("1" | "true"));
                }
                "sheet" if matches!(element.attribute("state").as_deref(), None | Some("visible")) => {
                    if let (Some(name), Some(id)) = (element.attribute("name"), element.attribute("r:id")) {
                        found.sheets.push((name, id));
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Texts that cells refer to by their position.
fn shared_strings(text: &str) -> Result<Vec<String>, Fault> {
    let mut xml = Xml::new(text);
    let mut strings = Vec::new();
    while let Some(piece) = xml.next()? {
        if let Piece::Start(element) = piece
            && element.name() == "si"
        {
            strings.push(cells::rich_text(&mut xml, "si")?);
        }
    }
    Ok(strings)
}

/// The number format of each cell style.
fn formats(text: &str) -> Result<Vec<number::Format>, Fault> {
    let mut xml = Xml::new(text);
    let mut codes: HashMap<u32, String> = HashMap::new();
    let mut formats = Vec::new();
    let mut in_cells = false;
    while let Some(piece) = xml.next()? {
        match piece {
            Piece::Start(element) => match element.name() {
                "numFmt" => {
                    if let (Some(id), Some(code)) =
                        (element.number("numFmtId"), element.attribute("formatCode"))
                    {
                        codes.insert(id, code);
                    }
                }
                "cellXfs" => in_cells = true,
                "xf" if in_cells => {
                    let id = element.number("numFmtId").unwrap_or(0);
                    let code = codes.get(&id).map_or_else(|| number::built_in(id), String::as_str);
                    formats.push(number::Format::parse(code));
                }
                _ => {}
            },
            Piece::End(name) if name == "cellXfs" => in_cells = false,
            _ => {}
        }
    }
    Ok(formats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Extracted;
    use crate::extract::archive::tests::{archive, extracted};

    const STYLES: &str = r##"<styleSheet><numFmts><numFmt numFmtId="164" formatCode="#,##0.00\ &quot;EUR&quot;"/></numFmts>
        <cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="9"/><xf numFmtId="164"/></cellXfs></styleSheet>"##;

    fn workbook(sheets: &str, rows: &str) -> Extracted {
        extracted(
            read,
            &archive(&[
                ("xl/workbook.xml", &format!("<workbook><sheets>{sheets}</sheets></workbook>")),
                (
                    "xl/_rels/workbook.xml.rels",
                    "<R><R Id='a' Type='x/worksheet' Target='a.xml'/><R Id='s' Type='x/sharedStrings' Target='s.xml'/><R Id='f' Type='x/styles' Target='f.xml'/></R>",
                ),
                ("xl/a.xml", &format!("<worksheet><sheetData>{rows}</sheetData></worksheet>")),
                ("xl/s.xml", "<sst><si><t>Part</t></si><si><r><t>Pri</t></r><r><t>ce</t></r><rPh><t>x</t></rPh></si></sst>"),
                ("xl/f.xml", STYLES),
            ]),
        )
        .unwrap()
    }

    fn text(rows: &str) -> String {
        let sections = workbook("<sheet name='Data' r:id='a'/>", rows).sections;
        sections.into_iter().map(|section| section.text).collect::<Vec<_>>().join("\n===\n")
    }

    #[test]
    fn values_are_as_they_are_shown() {
        assert_eq!(
            text(
                "<row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' t='s'><v>1</v></c><c r='C1' t='inlineStr'><is><t>Since</t></is></c></row>
                 <row r='2'><c r='A2'><v>0.30000000000000004</v></c><c r='B2' s='3'><v>1234.5</v></c><c r='C2' s='1'><v>45352</v></c></row>
                 <row r='3'><c r='A3' t='b'><v>1</v></c><c r='B3' s='2'><v>0.25</v></c><c r='C3' t='e'><v>#N/A</v></c></row>"
            ),
            "| Part | Price | Since |\n| --- | --- | --- |\n| 0.3 | 1,234.50 EUR | 2024-03-01 |\n| TRUE | 25% | #N/A |"
        );
    }

    #[test]
    fn positions_are_kept_and_columns_without_any_text_are_not() {
        assert_eq!(
            text(
                "<row r='2'><c r='B2' t='str'><v>a</v></c><c r='D2' t='str'><v>b</v></c><c r='XFD2' t='str'><v>c</v></c></row>
                 <row r='3'><c r='D3'><v>2</v></c></row>"
            ),
            "| a | b | c |\n| --- | --- | --- |\n|  | 2 |  |"
        );
    }

    #[test]
    fn a_line_above_a_table_is_text_and_an_empty_row_ends_a_table() {
        let row = |n: u32, a: &str, b: &str| {
            format!("<row r='{n}'><c r='A{n}' t='str'><v>{a}</v></c><c r='B{n}' t='str'><v>{b}</v></c></row>")
        };
        let title = "<row r='1'><c r='A1' t='str'><v>Sales</v></c></row>";
        let rows = [title.to_owned(), row(2, "a", "b"), row(3, "1", "2"), row(5, "c", "d"), row(6, "3", "4")];
        assert_eq!(
            text(&rows.concat()),
            "Sales\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| c | d |\n| --- | --- |\n| 3 | 4 |"
        );
    }

    #[test]
    fn each_section_of_a_tall_sheet_has_the_header_and_its_first_row() {
        let row = |n: u32| format!("<row r='{n}'><c r='A{n}'><v>{n}</v></c><c r='B{n}'><v>{n}</v></c></row>");
        let rows = (2..200).map(row).collect::<Vec<_>>().concat();
        let header = "<row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' t='s'><v>1</v></c></row>";
        let sections = workbook("<sheet name='Data' r:id='a'/>", &(header.to_owned() + &rows)).sections;
        assert!(sections.len() > 2);
        for section in &sections {
            let row = section.metadata["row"].as_u64().unwrap();
            assert!(
                section.text.starts_with(&format!("| Part | Price |\n| --- | --- |\n| {row} | {row} |")),
                "{}",
                section.text
            );
            assert_eq!(
                (section.heading_path.as_slice(), &section.metadata["sheet"]),
                (&["Data".to_owned()][..], &"Data".into())
            );
        }
    }

    #[test]
    fn a_text_that_many_cells_show_counts_as_often_as_it_is_shown() {
        let cells = "<c t='s'><v>0</v></c>".repeat(200);
        let long = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(10_000));
        let sheet = format!("<worksheet><row>{cells}</row></worksheet>");
        let refused = extracted(
            read,
            &archive(&[
                ("xl/workbook.xml", "<w><sheet name='A' r:id='a'/></w>"),
                (
                    "xl/_rels/workbook.xml.rels",
                    "<R><R Id='a' Type='x/worksheet' Target='a.xml'/><R Id='s' Type='x/sharedStrings' Target='s.xml'/></R>",
                ),
                ("xl/a.xml", &sheet),
                ("xl/s.xml", &long),
            ]),
        );
        assert_eq!(refused.unwrap_err(), "expands to more than `ingest.max_expanded_bytes` = 1048576");
    }

    #[test]
    fn hidden_sheets_are_left_out() {
        let sheets = "<sheet name='A' r:id='a'/><sheet name='B' state='hidden' r:id='a'/><sheet name='C' state='veryHidden' r:id='a'/>";
        let sections = workbook(sheets, "<row r='1'><c r='A1'><v>1</v></c></row>").sections;
        assert_eq!(sections.len(), 1);
    }
}
