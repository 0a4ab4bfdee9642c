//! Decodes EBCDIC in its international code page 500, which mainframes export.
//! Never takes text for EBCDIC that does not consist of words.

/// The characters of the code page from 0x40 on.
const PRINTABLE: &str = "\u{20}\u{a0}âäàáãåçñ[.<(+!&éêëèíîïìß]$*);^-/ÂÄÀÁÃÅÇÑ¦,%_>?øÉÊËÈÍÎÏÌ`:#@'=\"\
    Øabcdefghi«»ðýþ±°jklmnopqrªºæ¸Æ¤µ~stuvwxyz¡¿ÐÝÞ®¢£¥·©§¶¼½¾¬|¯¨´×\
    {ABCDEFGHI\u{ad}ôöòóõ}JKLMNOPQR¹ûüùúÿ\\÷STUVWXYZ²ÔÖÒÓÕ0123456789³ÛÜÙÚ\u{9f}";
const FIRST_PRINTABLE: u8 = 0x40;

/// The text, when it consists of Latin words with spaces between them.
pub(super) fn decoded(bytes: &[u8]) -> Option<String> {
    let table: Vec<char> = PRINTABLE.chars().collect();
    let text: String = bytes.iter().map(|byte| decoded_byte(*byte, &table)).collect();
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let spaces = text.chars().filter(|c| *c == ' ').count();
    (letters.saturating_add(spaces) > bytes.len() / 4 * 3 && spaces > bytes.len() / 16).then_some(text)
}

fn decoded_byte(byte: u8, table: &[char]) -> char {
    match byte {
        0x05 => '\t',
        0x0D => '\r',
        0x15 | 0x25 => '\n',
        _ => {
            let place = byte.checked_sub(FIRST_PRINTABLE).map(usize::from);
            place.and_then(|place| table.get(place)).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        assert_eq!(decoded(b"\xc8\x85\x93\x93\x96\x40\xe6\x96\x99\x93\x84\x25").unwrap(), "Hello World\n");
    }

    #[test]
    fn what_has_no_words_is_refused() {
        assert_eq!(decoded(b"Hello World, this is plain text"), None);
        let noise: Vec<u8> = (1..=255).collect();
        assert_eq!(decoded(&noise), None);
    }
}
