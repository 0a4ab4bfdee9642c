//! Decodes the text strings of PDF: UTF-16, UTF-8 or PDF's own Latin encoding.
//! Never fails: what is no character is left out.

/// The characters that PDF's own encoding has from 0x80 to 0x9F and Latin-1 has not.
const PDF_CHARACTERS: &str = "•†‡…—–ƒ⁄‹›−‰„“”‘’‚™ﬁﬂŁŒŠŸŽıłœšž";

/// The text of a string outside of page contents.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xFE, 0xFF, rest @ ..] => encoding_rs::UTF_16BE.decode_without_bom_handling(rest).0.into_owned(),
        [0xFF, 0xFE, rest @ ..] => encoding_rs::UTF_16LE.decode_without_bom_handling(rest).0.into_owned(),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().filter_map(|byte| character(*byte)).collect(),
    };
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

fn character(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9E => PDF_CHARACTERS.chars().nth(usize::from(byte - 0x80)),
        0x9F => None,
        0xA0 => Some('€'),
        byte => Some(char::from(byte)),
    }
}
