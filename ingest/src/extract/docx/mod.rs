//! Reads DOCX files: headings, lists, tables, notes and text boxes as Word shows them; no deleted text, no field codes,
//! no headers, footers, comments or tables of contents. Charts and diagrams stand at the end.

use crate::extract::archive::Archive;
use crate::extract::fault::Fault;
use crate::extract::metadata::{field, note_language};
use crate::extract::opc::{self, Relation};
use crate::extract::xml::decoded;
use crate::extract::{Document, Input, Unreadable, drawing};

mod body;
mod notes;
mod numbering;
mod styles;

const FORMAT: &str = "a DOCX file";

/// Reads a whole file.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut archive = Archive::open(input, FORMAT)?;
    let main = opc::main_part(&mut archive, "word/document.xml")?;
    let text = archive.needed(&main, FORMAT)?;
    let relations = opc::relations(&mut archive, &main)?;
    let mut related = |kind: &str| related(&mut archive, &relations, kind);
    let styles = styles::Styles::read(&decoded(&related("styles")?))?;
    let numbering = numbering::Numbering::read(&decoded(&related("numbering")?))?;
    let footnotes = notes::read(&decoded(&related("footnotes")?))?;
    let endnotes = notes::read(&decoded(&related("endnotes")?))?;
    let mut properties = opc::properties(&mut archive)?;
    if !properties.metadata.contains_key(field::LANGUAGE) {
        note_language(&mut properties.metadata, styles.language());
    }
    let known = body::Known { styles, footnotes, endnotes };
    let mut outline = body::read(&decoded(&text), &known, numbering)?;
    for relation in relations.iter().filter(|relation| drawing::KINDS.contains(&relation.kind.as_str())) {
        let text = archive.part(&relation.part)?.unwrap_or_default();
        drawing::read_into(&mut outline, &decoded(&text))?;
    }
    let title = outline.title().map(str::to_owned).or(properties.title);
    Ok(Document { title, outline: Some(outline), metadata: properties.metadata, ..Document::default() })
}

/// The part of this kind; empty where a document has none.
fn related(archive: &mut Archive<'_>, relations: &[Relation], kind: &str) -> Result<Vec<u8>, Fault> {
    match relations.iter().find(|relation| relation.kind == kind) {
        Some(relation) => Ok(archive.part(&relation.part)?.unwrap_or_default()),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Extracted;
    use crate::extract::archive::tests::{archive, extracted};

    const RELATIONS: &str = r#"<Relationships>
        <Relationship Id="1" Type="http://x/styles" Target="styles.xml"/>
        <Relationship Id="2" Type="http://x/numbering" Target="numbering.xml"/>
        <Relationship Id="4" Type="http://x/chart" Target="chart.xml"/>
        <Relationship Id="3" Type="http://x/footnotes" Target="/word/footnotes.xml"/>
        </Relationships>"#;
    const STYLES: &str = r#"<w:styles xmlns:w="w"><w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val="de-DE"/></w:rPr></w:rPrDefault></w:docDefaults>
        <w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
        <w:style w:styleId="berschrift1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
        <w:style w:styleId="Eigene"><w:name w:val="Eigene"/><w:basedOn w:val="berschrift1"/></w:style>
        <w:style w:styleId="Verz1"><w:name w:val="toc 1"/></w:style>
        <w:style w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>
        <w:style w:styleId="Liste"><w:name w:val="List Bullet"/><w:pPr><w:numPr><w:numId w:val="7"/></w:numPr></w:pPr></w:style></w:styles>"#;
    const NUMBERING: &str = r#"<w:numbering xmlns:w="w">
        <w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/></w:lvl><w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
        <w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
        <w:num w:numId="5"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="7"><w:abstractNumId w:val="1"/></w:num></w:numbering>"#;
    const FOOTNOTES: &str = r#"<w:footnotes xmlns:w="w"><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote>
        <w:footnote w:id="2"><w:p><w:r><w:footnoteRef/><w:t>See the manual.</w:t></w:r></w:p></w:footnote></w:footnotes>"#;

    fn document(body: &str) -> Result<Extracted, String> {
        let body = format!(r#"<w:document xmlns:w="w"><w:body>{body}</w:body></w:document>"#);
        extracted(
            read,
            &archive(&[
                ("word/document.xml", &body),
                ("word/_rels/document.xml.rels", RELATIONS),
                ("word/styles.xml", STYLES),
                ("word/numbering.xml", NUMBERING),
                ("word/footnotes.xml", FOOTNOTES),
                ("docProps/core.xml", "<c><dc:title>Property</dc:title><dc:creator>Ada</dc:creator></c>"),
            ]),
        )
    }

    fn text(body: &str) -> String {
        let sections = document(body).unwrap().sections;
        sections.into_iter().map(|section| section.text).collect::<Vec<_>>().join("\n===\n")
    }

    fn paragraph(style: &str, text: &str) -> String {
        format!(r#"<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"#)
    }

    fn item(number: u8, level: u8, text: &str) -> String {
        format!(
            r#"<w:p><w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"#
        )
    }

    #[test]
    fn headings_are_known_by_their_styles_in_any_language() {
        let body = [
            paragraph("Titel", "Handbuch"),
            paragraph("berschrift1", "Pumpe"),
            paragraph("", "Text."),
            paragraph("Eigene", "Ventil"),
            paragraph("Loop", "Mehr."),
        ];
        let document = document(&body.concat()).unwrap();
        assert_eq!(document.title, "Handbuch");
        let found: Vec<_> =
            document.sections.iter().map(|s| (s.heading_path.join("/"), s.text.as_str())).collect();
        assert_eq!(found, [("Pumpe".to_owned(), "Text."), ("Ventil".to_owned(), "Mehr.")]);
    }

    #[test]
    fn properties_are_metadata_and_the_language_is_that_of_the_styles() {
        let document = document(&paragraph("", "Text.")).unwrap();
        assert_eq!(document.title, "Property");
        assert_eq!(
            (&document.metadata["author"], &document.metadata["language"]),
            (&"Ada".into(), &"de-DE".into())
        );
    }

    #[test]
    fn lists_are_nested_and_go_on_counting_after_other_text() {
        let body = [
            item(5, 0, "one"),
            item(5, 1, "inner"),
            item(5, 0, "two"),
            paragraph("", "between"),
            item(5, 0, "three"),
            paragraph("Liste", "bullet"),
        ];
        assert_eq!(text(&body.concat()), "1. one\n  - inner\n2. two\n\nbetween\n\n3. three\n- bullet");
    }

    #[test]
    fn tables_keep_their_columns_where_cells_span_several() {
        let cell = |text: &str| format!("<w:tc>{}</w:tc>", paragraph("", text));
        let body = format!(
            r#"<w:tbl><w:tr>{}{}{}</w:tr><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>{}</w:tc>{}</w:tr></w:tbl>"#,
            cell("a"),
            cell("b"),
            cell("c"),
            paragraph("", "1 and 2"),
            cell("3")
        );
        assert_eq!(text(&body), "| a | b | c |\n| --- | --- | --- |\n| 1 and 2 |  | 3 |");
    }

    #[test]
    fn a_note_follows_the_paragraph_that_refers_to_it() {
        let body = r#"<w:p><w:r><w:t>Start it</w:t><w:footnoteReference w:id="2"/><w:t>.</w:t></w:r></w:p>"#;
        assert_eq!(
            text(&[body, &paragraph("", "Next.")].concat()),
            "Start it[^1].\n\n[^1]: See the manual.\n\nNext."
        );
    }

    #[test]
    fn a_note_is_written_once_however_often_it_is_referred_to() {
        let body = r#"<w:p><w:r><w:t>a</w:t><w:footnoteReference w:id="2"/><w:t>b</w:t><w:footnoteReference w:id="2"/></w:r></w:p>"#;
        assert_eq!(text(body), "a[^1]b[^1]\n\n[^1]: See the manual.");
    }

    #[test]
    fn deleted_text_and_field_codes_are_left_out_and_inserted_text_is_kept() {
        let body = r#"<w:p><w:del><w:r><w:delText>old </w:delText></w:r></w:del><w:moveFrom><w:r><w:t>moved </w:t></w:r></w:moveFrom>
            <w:ins><w:r><w:t>new </w:t></w:r></w:ins><w:r><w:fldChar w:fldCharType="begin"/><w:instrText>HYPERLINK "x"</w:instrText>
            <w:fldChar w:fldCharType="separate"/><w:t>link</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r></w:p>"#;
        assert_eq!(text(body), "new link");
    }

    #[test]
    fn text_boxes_are_read_once_and_their_heading_stays_whole() {
        let inner = paragraph("", "boxed");
        let body = format!(
            r#"<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>{inner}</w:txbxContent></mc:Choice>
            <mc:Fallback><w:txbxContent>{inner}</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r><w:r><w:t>Heading</w:t></w:r></w:p>{}"#,
            paragraph("", "text")
        );
        let sections = document(&body).unwrap().sections;
        let found: Vec<_> = sections.iter().map(|s| (s.heading_path.join("/"), s.text.as_str())).collect();
        assert_eq!(found, [(String::new(), "boxed"), ("Heading".to_owned(), "text")]);
    }

    #[test]
    fn the_words_of_charts_are_read_and_their_numbers_are_not() {
        let chart = "<c><a:t>Sales</a:t><c:strCache><c:pt><c:v>May</c:v></c:pt><c:pt><c:v>May</c:v></c:pt></c:strCache><c:numCache><c:v>7</c:v></c:numCache></c>";
        let body = format!("<w:document>{}</w:document>", paragraph("", "Text."));
        let parts = [
            ("word/document.xml", body.as_str()),
            ("word/_rels/document.xml.rels", RELATIONS),
            ("word/chart.xml", chart),
        ];
        let document = extracted(read, &archive(&parts)).unwrap();
        assert_eq!(document.sections[0].text, "Text.\n\nSales; May");
    }

    #[test]
    fn a_table_of_contents_is_no_text() {
        assert_eq!(text(&[paragraph("Verz1", "Pumpe 3"), paragraph("", "x")].concat()), "x");
    }

    #[test]
    fn bombs_are_refused_with_their_reason() {
        let refused = |xml: &str| extracted(read, &archive(&[("word/document.xml", xml)])).unwrap_err();
        assert_eq!(
            refused(&" ".repeat(2 << 20)),
            "expands to more than `ingest.max_expanded_bytes` = 1048576"
        );
        let deep = "<w:p>".repeat(200_000);
        assert_eq!(refused(&deep), "is refused: it nests XML elements deeper than 1000");
        let laughs = r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><w:t>&b;</w:t>"#;
        assert!(refused(laughs).starts_with("is refused: it declares XML entities"));
    }
}
