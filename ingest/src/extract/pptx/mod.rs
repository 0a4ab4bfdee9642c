//! Reads PPTX files: each slide's title as a heading, its text, bullets, tables, charts and diagrams, and the speaker's notes.
//! Leaves out what every slide repeats (dates, footers, numbers, masters) and comments. Hidden slides are read.

use crate::extract::archive::Archive;
use crate::extract::fault::Fault;
use crate::extract::metadata::field;
use crate::extract::opc::{self, Relation};
use crate::extract::outline::Outline;
use crate::extract::xml::{Piece, Xml, decoded};
use crate::extract::{Document, Input, Unreadable, drawing};

mod slide;

const FORMAT: &str = "a PPTX file";
/// The level of slide titles: a presentation's own title is above them.
const TITLE_LEVEL: u8 = 2;

/// Reads a whole file.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut archive = Archive::open(input, FORMAT)?;
    let main = opc::main_part(&mut archive, "ppt/presentation.xml")?;
    let text = archive.needed(&main, FORMAT)?;
    let relations = opc::relations(&mut archive, &main)?;
    let mut outline = Outline::default();
    let mut first_title = None;
    for (number, part) in (1_u64..).zip(slides(&decoded(&text), &relations)?) {
        outline.end_headings();
        outline.place(field::SLIDE, number);
        let title = read_slide(&mut archive, &part, &mut outline)?;
        first_title = first_title.or(title);
    }
    let properties = opc::properties(&mut archive)?;
    Ok(Document {
        title: properties.title.or(first_title),
        outline: Some(outline),
        metadata: properties.metadata,
        ..Document::default()
    })
}

/// Names of the slides' parts in the order of the presentation.
fn slides(text: &str, relations: &[Relation]) -> Result<Vec<String>, Fault> {
    let mut xml = Xml::new(text);
    let mut slides = Vec::new();
    while let Some(piece) = xml.next()? {
        if let Piece::Start(element) = piece
            && element.name() == "sldId"
            && let Some(id) = element.attribute("r:id")
        {
            let slide = relations.iter().find(|relation| relation.id == id);
            slides.extend(slide.map(|slide| slide.part.clone()));
        }
    }
    Ok(slides)
}

/// Reads a slide; gives its title.
fn read_slide(archive: &mut Archive<'_>, part: &str, outline: &mut Outline) -> Result<Option<String>, Fault> {
    let Some(text) = archive.part(part)? else { return Ok(None) };
    let text = decoded(&text);
    let title = slide::title(&text)?;
    if let Some(title) = &title {
        heading(outline, TITLE_LEVEL, title);
    }
    slide::read_into(outline, &text)?;
    for relation in opc::relations(archive, part)? {
        match relation.kind.as_str() {
            kind if drawing::KINDS.contains(&kind) => {
                let text = archive.part(&relation.part)?.unwrap_or_default();
                drawing::read_into(outline, &decoded(&text))?;
            }
            "notesSlide" => {
                let text = archive.part(&relation.part)?.unwrap_or_default();
                let text = decoded(&text);
                if slide::has_notes(&text)? {
                    heading(outline, TITLE_LEVEL + 1, "Speaker notes");
                    slide::read_notes(outline, &text)?;
                }
            }
            _ => {}
        }
    }
    Ok(title)
}

fn heading(outline: &mut Outline, level: u8, text: &str) {
    outline.start_heading(level);
    outline.text(text);
    outline.end_block();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Extracted;
    use crate::extract::archive::tests::{archive, extracted};

    fn shape(kind: &str, paragraphs: &str) -> String {
        let placeholder = if kind == "box" { String::new() } else { format!("<p:ph type='{kind}'/>") };
        format!(
            "<p:sp><p:nvSpPr><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp>"
        )
    }

    fn paragraph(properties: &str, text: &str) -> String {
        format!("<a:p><a:pPr {properties}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>")
    }

    fn presentation(first: &str, notes: &str) -> Extracted {
        let second = format!("<p:sld>{}</p:sld>", shape("box", &paragraph(">", "Untitled text")));
        extracted(
            read,
            &archive(&[
                ("ppt/presentation.xml", "<p><sldIdLst><p:sldId id='1' r:id='b'/><p:sldId id='2' r:id='a'/></sldIdLst></p>"),
                (
                    "ppt/_rels/presentation.xml.rels",
                    "<R><R Id='a' Type='x/slide' Target='slides/2.xml'/><R Id='b' Type='x/slide' Target='slides/1.xml'/></R>",
                ),
                ("ppt/slides/1.xml", &format!("<p:sld>{first}</p:sld>")),
                ("ppt/slides/2.xml", &second),
                ("ppt/slides/_rels/1.xml.rels", "<R><R Id='n' Type='x/notesSlide' Target='../notes/1.xml'/></R>"),
                ("ppt/notes/1.xml", &format!("<p:notes>{notes}</p:notes>")),
                ("docProps/core.xml", "<c><dc:title>Deck</dc:title></c>"),
            ]),
        )
        .unwrap()
    }

    #[test]
    fn slides_have_their_titles_as_headings_and_their_numbers_as_metadata() {
        let first = shape("body", &paragraph(">", "point")) + &shape("title", &paragraph(">", "Aims"));
        let deck = presentation(&first, "");
        let found: Vec<_> = deck
            .sections
            .iter()
            .map(|s| (s.metadata["slide"].as_u64().unwrap(), s.heading_path.join("/"), s.text.as_str()))
            .collect();
        assert_eq!(deck.title, "Deck");
        assert_eq!(found[0], (1, "Aims".to_owned(), "- point"));
        assert_eq!(found.last().unwrap(), &(2, String::new(), "Untitled text"));
    }

    #[test]
    fn bullets_are_nested_and_what_every_slide_repeats_is_left_out() {
        let body =
            paragraph(">", "one") + &paragraph("lvl='1'>", "inner") + &paragraph("><a:buNone/>", "plain");
        let first = shape("body", &body)
            + &shape("ftr", &paragraph(">", "Confidential"))
            + &shape("sldNum", &paragraph(">", "1"));
        assert_eq!(presentation(&first, "").sections[0].text, "- one\n  - inner\n\nplain");
    }

    #[test]
    fn tables_are_rows() {
        let cell = |text: &str| format!("<a:tc><a:txBody>{}</a:txBody></a:tc>", paragraph(">", text));
        let row = |a: &str, b: &str| format!("<a:tr>{}{}</a:tr>", cell(a), cell(b));
        let first = format!(
            "<p:graphicFrame><a:tbl>{}{}</a:tbl></p:graphicFrame>",
            row("Part", "Code"),
            row("Seal", "S-1")
        );
        assert_eq!(
            presentation(&first, "").sections[0].text,
            "| Part | Code |\n| --- | --- |\n| Seal | S-1 |"
        );
    }

    #[test]
    fn the_speaker_s_notes_follow_their_slide() {
        let notes = shape("body", &paragraph(">", "Say hello.")) + &shape("sldNum", &paragraph(">", "1"));
        let deck = presentation(&shape("title", &paragraph(">", "Aims")), &notes);
        assert_eq!(deck.sections[0].heading_path, ["Aims", "Speaker notes"]);
        assert_eq!(deck.sections[0].text, "Say hello.");
    }
}
