//! Tests of the reader on files that are written here, object by object.

use super::*;
use crate::extract::Extracted;
use crate::extract::archive::tests::extracted;
use std::fmt::Write as _;
use std::io::Write as _;

/// Type of the text.
const BODY: u8 = 10;

/// A page's content: lines of text with their size and place.
fn shown(lines: &[(u8, u32, u32, &str)]) -> String {
    let mut content = "BT\n".to_owned();
    for (size, x, y, text) in lines {
        writeln!(content, "/F {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj").unwrap();
    }
    content + "ET"
}

/// A file of pages with these contents, and more objects.
fn file(pages: &[String], trailer: &str, more: &[&str]) -> Vec<u8> {
    let kids: Vec<String> = (0..pages.len()).map(|n| format!("{} 0 R", 10 + 2 * n)).collect();
    let mut objects = vec![
        (1, "<< /Type /Catalog /Pages 2 0 R /Lang (de-DE) /Outlines 5 0 R >>".to_owned()),
        (2, format!("<< /Type /Pages /Count {} /Kids [{}] >>", pages.len(), kids.join(" "))),
        (3, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned()),
        (
            4,
            "<< /Title (Manual) /Author <FEFF00C40064> /CreationDate (D:20240301100000+02'00') >>".to_owned(),
        ),
    ];
    for (n, content) in pages.iter().enumerate() {
        let id = 10 + 2 * n;
        objects.push((id, format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {} 0 R /Resources << /Font << /F 3 0 R >> >> >>", id + 1)));
        objects.push((id + 1, format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len())));
    }
    objects.extend((100..).zip(more.iter().map(|object| (*object).to_owned())));
    let mut bytes = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (id, object) in objects {
        places.push((id, bytes.len()));
        write!(bytes, "{id} 0 obj\n{object}\nendobj\n").unwrap();
    }
    let start = bytes.len();
    writeln!(bytes, "xref").unwrap();
    for (id, place) in places {
        write!(bytes, "{id} 1\n{place:010} 00000 n \n").unwrap();
    }
    write!(bytes, "trailer\n<< /Size 200 /Root 1 0 R /Info 4 0 R {trailer} >>\nstartxref\n{start}\n%%EOF")
        .unwrap();
    bytes
}

fn document(pages: &[String]) -> Extracted {
    extracted(read, &file(pages, "", &[])).unwrap()
}

/// The sections of a page of lines in the type of the text.
fn text(lines: &[(u32, u32, &str)]) -> String {
    let lines: Vec<_> = lines.iter().map(|(x, y, text)| (BODY, *x, *y, *text)).collect();
    let sections = document(&[shown(&lines)]).sections;
    sections.into_iter().map(|section| section.text).collect::<Vec<_>>().join("\n===\n")
}

#[test]
fn lines_become_paragraphs_and_divided_words_whole() {
    assert_eq!(
        text(&[
            (50, 700, "A pump moves water and oil. It is in-"),
            (50, 688, "stalled by the maker, and no one else"),
            (50, 676, "may do it."),
            (50, 640, "Another paragraph."),
        ]),
        "A pump moves water and oil. It is installed by the maker, and no one else may do it.\n\nAnother paragraph."
    );
}

#[test]
fn a_header_over_two_columns_divides_no_paragraph() {
    let mut lines = vec![(50, 750, "A header that is as wide as both of the columns together are")];
    lines.extend([
        (50, 700, "A column is narrow, and"),
        (50, 688, "its lines are short but"),
        (50, 676, "go on as sentences do"),
    ]);
    lines.extend([(50, 664, "until they have come to"), (50, 652, "the end of it all.")]);
    assert!(text(&lines).ends_with("A column is narrow, and its lines are short but go on as sentences do until they have come to the end of it all."));
}

#[test]
fn a_paragraph_goes_on_in_the_next_column() {
    assert_eq!(
        text(&[
            (50, 100, "The left column ends within a"),
            (300, 700, "sentence that the right one ends."),
            (300, 688, "A line that fills the right column."),
        ]),
        "The left column ends within a sentence that the right one ends. A line that fills the right column."
    );
}

#[test]
fn lines_that_are_shown_in_no_order_are_read_from_top_to_bottom() {
    assert_eq!(
        text(&[(50, 600, "three"), (50, 650, "two"), (50, 700, "one"), (50, 550, "four"), (50, 750, "zero")]),
        "zero\n\none\n\ntwo\n\nthree\n\nfour"
    );
}

#[test]
fn tables_and_lists_keep_their_shape() {
    assert_eq!(
        text(&[
            (50, 700, "Part"),
            (200, 700, "Price"),
            (50, 688, "Seal"),
            (200, 688, "1.50"),
            (50, 676, "Long pump"),
            (200, 676, "99")
        ]),
        "| Part | Price |\n| --- | --- |\n| Seal | 1.50 |\n| Long pump | 99 |"
    );
    assert_eq!(
        text(&[(50, 700, "\\225 one"), (50, 688, "\\225 two"), (50, 676, "1. three"), (50, 664, "2. four")]),
        "- one\n- two\n\n1. three\n\n2. four"
    );
}

#[test]
fn large_type_is_a_heading_and_the_page_is_metadata() {
    let pages = [
        shown(&[
            (24, 50, 750, "Pumps"),
            (16, 50, 700, "Use"),
            (BODY, 50, 680, "The first page has some text on it."),
        ]),
        shown(&[(BODY, 50, 700, "The second page has more of it.")]),
    ];
    let document = document(&pages);
    let found: Vec<_> = document
        .sections
        .iter()
        .map(|s| (s.metadata["page"].as_u64().unwrap(), s.heading_path.join("/"), s.text.as_str()))
        .collect();
    let path = || "Pumps/Use".to_owned();
    assert_eq!(
        found,
        [(1, path(), "The first page has some text on it."), (2, path(), "The second page has more of it.")]
    );
}

#[test]
fn bookmarks_tell_the_headings() {
    let page = shown(&[
        (BODY, 50, 750, "1 Pumps"),
        (BODY, 50, 700, "About pumps in general."),
        (BODY, 50, 650, "1.1 Seals"),
        (BODY, 50, 600, "About seals."),
        (BODY, 50, 550, "Valves"),
        (BODY, 50, 500, "About valves."),
    ]);
    let bookmarks = [
        "<< /Title (Pumps) /Next 102 0 R /First 101 0 R >>",
        "<< /Title (1.1 SEALS) >>",
        // A ring of bookmarks ends.
        "<< /Title <FEFF00560061006C007600650073> /Next 100 0 R >>",
    ];
    let bytes = file(&[page], "", &bookmarks);
    let bytes =
        String::from_utf8(bytes).unwrap().replace("/Outlines 5 0 R", "/Outlines << /First 100 0 R >>");
    let document = extracted(read, bytes.as_bytes()).unwrap();
    let paths: Vec<_> = document.sections.iter().map(|section| section.heading_path.join("/")).collect();
    assert_eq!(paths, ["1 Pumps", "1 Pumps/1.1 Seals", "Valves"]);
}

#[test]
fn running_headers_and_footers_are_left_out() {
    let words = ["alpha", "beta", "gamma", "delta"];
    let pages: Vec<String> = (1..)
        .zip(words)
        .map(|(n, word)| {
            shown(&[
                (BODY, 50, 780, "Manual of the pump"),
                (BODY, 50, 700, &format!("First {word}.")),
                (BODY, 50, 600, &format!("Then {word}.")),
                (BODY, 300, 20 + n, &n.to_string()),
            ])
        })
        .collect();
    let document = document(&pages);
    let texts: Vec<_> = document.sections.iter().map(|section| section.text.as_str()).collect();
    assert_eq!(texts, words.map(|word| format!("First {word}.\n\nThen {word}.")));
}

#[test]
fn what_a_program_marks_as_repeated_is_left_out() {
    let page = format!(
        "/Artifact << /Type /Pagination >> BDC {} EMC {}",
        shown(&[(BODY, 50, 780, "Header")]),
        shown(&[(BODY, 50, 700, "Text")])
    );
    assert_eq!(document(&[page]).sections[0].text, "Text");
}

#[test]
fn properties_are_metadata() {
    let document = document(&[shown(&[(BODY, 50, 700, "Text")])]);
    assert_eq!(document.title, "Manual");
    let metadata: Vec<_> =
        ["author", "created", "language"].map(|name| document.metadata[name].as_str().unwrap()).into();
    assert_eq!(metadata, ["Äd", "2024-03-01T08:00:00Z", "de-DE"]);
}

#[test]
fn what_cannot_be_read_says_why() {
    let picture = "BI /W 1 /H 1 /BPC 8 /CS /G ID x EI".to_owned();
    let encrypted = "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <00> /U <00> >> /ID [<00> <00>]";
    for (bytes, reason) in [
        (Vec::new(), "is not a PDF file: it is empty"),
        (b"<html>".to_vec(), "is not a PDF file: it does not begin with %PDF-"),
        (b"%PDF-1.4\n".to_vec(), "is damaged: no pages are found in it; it may be cut off"),
        (
            file(&[picture], "", &[]),
            "has no text layer: it may be a scan; run text recognition (OCR) on it first",
        ),
        (file(&[shown(&[])], "", &[]), "has no text in it"),
        (file(&[shown(&[])], encrypted, &[]), "is encrypted: save it without a password"),
    ] {
        assert_eq!(extracted(read, &bytes).unwrap_err(), reason);
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_expanded() {
    let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 2 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let mut bytes = file(&["PLACE".to_owned()], "", &[]);
    let at = streams::find(&bytes, b"<< /Length 5 >>\nstream\nPLACE").unwrap();
    let head = format!("<< /Length {} /Filter /FlateDecode >>\nstream\n", bomb.len());
    bytes.splice(at..at + 28, [head.as_bytes(), &bomb].concat());
    assert_eq!(
        extracted(read, &bytes).unwrap_err(),
        "expands to more than `ingest.max_expanded_bytes` = 1048576"
    );
}

#[test]
fn a_form_that_shows_itself_ends() {
    let form = "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 100 0 R >> >> /Length 5 >>\nstream\n/X Do\nendstream";
    let page = shown(&[(BODY, 50, 700, "Text")]) + "\n/X Do";
    let bytes = String::from_utf8(file(&[page], "", &[form])).unwrap();
    let bytes = bytes.replace(
        "/Resources << /Font << /F 3 0 R >>",
        "/Resources << /XObject << /X 100 0 R >> /Font << /F 3 0 R >>",
    );
    assert_eq!(extracted(read, bytes.as_bytes()).unwrap().sections[0].text, "Text");
}
