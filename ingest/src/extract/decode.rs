//! Turns a file's bytes into text, or says why they are not text.
//! Never guesses: an encoding is UTF-8, or announced by a byte order mark, or declared in the head of an HTML page.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// Why bytes are not text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// Not UTF-8.
    #[error("is not UTF-8 text (byte 0x{byte:02x} at offset {offset}): convert it to UTF-8")]
    NotUtf8 {
        /// The first byte that does not fit.
        byte: u8,
        /// Where it is.
        offset: usize,
    },
    /// What a byte order mark or an HTML declaration promises does not hold.
    #[error("is not valid {0}, which it says it is: convert it to UTF-8")]
    NotAsDeclared(&'static str),
    /// Zero bytes occur in no text.
    #[error("is not text: it holds a NUL byte at offset {0}")]
    Nul(usize),
}

/// Reads text of no particular format.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    decode(bytes, None)
}

/// Reads a page, which may declare its encoding.
pub(super) fn html(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    decode(bytes, declared(bytes))
}

fn decode<'a>(bytes: &'a [u8], declared: Option<&'static Encoding>) -> Result<Cow<'a, str>, NotText> {
    let encoding = Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or(declared).unwrap_or(UTF_8);
    let text = if encoding == UTF_8 {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        Cow::Borrowed(std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?)
    } else {
        let (text, _, had_errors) = encoding.decode(bytes);
        if had_errors {
            return Err(NotText::NotAsDeclared(encoding.name()));
        }
        text
    };
    match text.find('\0') {
        Some(offset) => Err(NotText::Nul(offset)),
        None => Ok(text),
    }
}

fn not_utf8(bytes: &[u8], offset: usize) -> NotText {
    match bytes.get(..offset).and_then(|valid| valid.iter().position(|byte| *byte == 0)) {
        Some(nul) => NotText::Nul(nul),
        None => NotText::NotUtf8 { byte: bytes.get(offset).copied().unwrap_or_default(), offset },
    }
}

/// The encoding that a page's first kilobyte names, as browsers look for it. UTF-8 wins when the bytes are UTF-8:
/// stale declarations are common, and text in another encoding is hardly ever valid UTF-8 by accident.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    const PRESCAN_BYTES: usize = 1_024;
    if std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    let head = String::from_utf8_lossy(bytes.get(..PRESCAN_BYTES).unwrap_or(bytes)).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'', ' ']).split(['"', '\'', ' ', '>', ';', '/']).next()?;
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_8_is_read_with_and_without_its_mark() {
        assert_eq!(text("Grüße".as_bytes()).unwrap(), "Grüße");
        assert_eq!(text(b"\xEF\xBB\xBFa").unwrap(), "a");
    }

    #[test]
    fn utf_16_is_read_when_its_mark_says_so() {
        assert_eq!(text(b"\xFF\xFEh\0i\0").unwrap(), "hi");
        assert_eq!(text(b"\xFE\xFF\0h\0i").unwrap(), "hi");
        assert_eq!(text(b"\xFF\xFE\x00\xD8").unwrap_err(), NotText::NotAsDeclared("UTF-16LE"));
    }

    #[test]
    fn what_is_not_text_is_named_with_its_place() {
        assert_eq!(
            text(b"caf\xE9!").unwrap_err().to_string(),
            "is not UTF-8 text (byte 0xe9 at offset 3): convert it to UTF-8"
        );
        assert_eq!(text(b"ab\0c").unwrap_err(), NotText::Nul(2));
        assert_eq!(text(b"\x89PNG\r\n\0").unwrap_err(), NotText::NotUtf8 { byte: 0x89, offset: 0 });
    }

    #[test]
    fn a_page_may_declare_its_encoding() {
        let page = b"<meta charset=\"iso-8859-1\"><p>caf\xE9";
        assert!(html(page).unwrap().ends_with("café"));
        assert!(text(page).is_err());
        assert!(html("<meta charset=iso-8859-1>é".as_bytes()).unwrap().ends_with('é'));
    }
}
