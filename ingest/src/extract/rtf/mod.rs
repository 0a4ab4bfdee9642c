//! Reads RTF files: headings, lists, tables and notes in any code page; no fonts, styles, pictures, headers or field codes.
//! Never fails on what it does not know: unknown control words are ignored, unknown destinations left out.

use crate::extract::fault::Fault;
use crate::extract::{Document, Input, Unreadable};

mod body;
mod charset;
mod control;
mod info;
mod reader;
mod tokens;

const FORMAT: &str = "an RTF file";

/// Reads a whole file.
pub(super) fn read(input: &Input<'_>) -> Result<Document, Unreadable> {
    let bytes = input.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input.bytes).trim_ascii_start();
    if !bytes.starts_with(b"{\\rtf") {
        let found = if bytes.is_empty() { "it is empty" } else { "it does not begin with {\\rtf" };
        return Err(Fault::NotFormat { format: FORMAT, found: found.to_owned() }.into());
    }
    Ok(reader::Reader::default().read(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::archive::tests::extracted;

    fn text(body: &str) -> String {
        let rtf = format!(
            "{{\\rtf1\\ansi\\ansicpg1252{{\\fonttbl{{\\f0\\fcharset0 Arial;}}{{\\f1\\fcharset204 Arial Cyr;}}{{\\f2\\fcharset128 MS Mincho;}}}}{{\\colortbl;\\red0;}}{body}}}"
        );
        let document = extracted(read, rtf.as_bytes()).unwrap();
        let sections = document.sections.iter().map(|s| match s.heading_path.as_slice() {
            [] => s.text.clone(),
            path => format!("{}> {}", path.join("/"), s.text),
        });
        sections.collect::<Vec<_>>().join("\n===\n")
    }

    #[test]
    fn bytes_are_decoded_by_the_code_page_of_their_font() {
        assert_eq!(text(r"\f0 \'e4 \f1 \'e4\'ee\'ec {\f2 \'93\'fa\'96\'7b} \f0 \'e4"), "ä дом 日本 ä");
    }

    #[test]
    fn unicode_escapes_replace_their_fallback() {
        assert_eq!(text(r"\u8364?5 {\uc2\u937 ab}{\uc0\u-10179\u-8704}x \u945\'61!"), "€5 Ω😀x α!");
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        assert_eq!(
            text(
                r"{\info{\title T}}{\header H}{\pict\bin4 {{}}}{\*\generator G;}{\stylesheet{\s1 heading 1;}}a{\v hidden}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}\bin3 }}} b{\deleted d}"
            ),
            "alink b"
        );
    }

    #[test]
    fn of_two_versions_of_a_text_the_one_in_unicode_is_read() {
        assert_eq!(text(r"a{\upr{b?}{\*\ud{b\u228\'e4}}}c"), "abäc");
    }

    #[test]
    fn the_second_byte_of_a_character_is_no_markup() {
        let rtf = [b"{\\rtf1\\ansicpg932 \x83".as_slice(), b"\\", b"}"].concat();
        assert_eq!(extracted(read, &rtf).unwrap().sections[0].text, "ソ");
    }

    #[test]
    fn an_optional_word_within_a_group_hides_none_of_its_text() {
        assert_eq!(text(r"{\f0\*\cs7\cf0 shown}{\*\cs7 left out}"), "shown");
    }

    #[test]
    fn special_characters_and_lines_are_kept() {
        assert_eq!(
            text("\\{a\\}\\~\\endash\\rquote\\line b\\par c\\-d\\_e\\tab f\\\ng"),
            "{a} –’\nb\n\ncd-e f\n\ng"
        );
    }

    #[test]
    fn headings_lists_and_notes_keep_their_shape() {
        assert_eq!(
            text(
                r"\pard\outlinelevel0 Use\par\pard Text{\footnote Note\par}.\par{\listtext 3.\tab}\ls1 three\par\pard{\listtext\bullet\tab}\ls2\ilvl1 inner\par\pard end"
            ),
            "Use> Text[^1].\n\n[^1]: Note\n\n3. three\n  - inner\n\nend"
        );
    }

    #[test]
    fn tables_keep_their_positions() {
        assert_eq!(
            text(
                r"\trowd\cellx1\cellx2\pard\intbl a\cell b\cell\row\trowd\pard\intbl\cell 2\par 3\cell\row\pard after"
            ),
            "| a | b |\n| --- | --- |\n|  | 2 3 |\n\nafter"
        );
    }

    #[test]
    fn properties_are_metadata() {
        let rtf = r"{\rtf1\deflang1031{\info{\title Pl\'e4ne}{\author Ada}{\creatim\yr2024\mo3\dy1\hr10\min5}{\revtim\yr2024\mo3\dy2}}x}";
        let document = extracted(read, rtf.as_bytes()).unwrap();
        assert_eq!(document.title, "Pläne");
        let metadata: Vec<_> = ["author", "created", "modified", "language"]
            .map(|n| document.metadata[n].as_str().unwrap())
            .into();
        assert_eq!(metadata, ["Ada", "2024-03-01T10:05:00Z", "2024-03-02T00:00:00Z", "de-DE"]);
    }

    #[test]
    fn deep_groups_are_refused_and_broken_ones_are_read() {
        let deep = extracted(read, ["{\\rtf1 ", &"{".repeat(100_000)].concat().as_bytes()).unwrap_err();
        assert_eq!(deep, "is refused: it nests groups deeper than 1000");
        assert_eq!(
            extracted(read, b"{\\rtf1 a}}}b\\'g\\u99999999999 \\bin99999 c").unwrap().sections[0].text,
            "a"
        );
        assert_eq!(
            extracted(read, b"<html>").unwrap_err(),
            "is not an RTF file: it does not begin with {\\rtf"
        );
    }
}
