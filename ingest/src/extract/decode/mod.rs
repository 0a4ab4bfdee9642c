//! Turns a file's bytes into text, or says why they are not text.
//! Never takes binary rubbish for text: what comes of a guess must look like something that people write.

use std::borrow::Cow;
use std::ops::Deref;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE};
use serde_json::{Map, Value};

use crate::extract::metadata::{self, field};

mod ebcdic;
mod hz;
mod johab;
mod plausible;

/// Bytes that a guess looks at, from shortly before the first that is not ASCII: more of them tell nothing new.
const GUESSED_BYTES: usize = 256 * 1024;
/// Characters of text for each that may be lost in it: a slip of a pen, not a wrong encoding.
const CHARACTERS_PER_LOSS: usize = 12;

/// Why bytes are not text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// Zero bytes occur in no text but UTF-16.
    #[error("is not text: it holds a NUL byte at offset {0}")]
    Nul(usize),
    /// Control characters occur in no text, but for a stray one.
    #[error("is not text: {count} of its characters are control characters")]
    Controls {
        /// How many there are.
        count: usize,
    },
    /// No encoding makes words of its bytes.
    #[error("is not text in any known encoding (byte 0x{byte:02x} at offset {offset}): convert it to UTF-8")]
    NoEncoding {
        /// The first byte that is not ASCII or UTF-8.
        byte: u8,
        /// Where it is.
        offset: usize,
    },
    /// What a byte order mark promises does not hold.
    #[error("is not valid {0}, which its first bytes say it is: convert it to UTF-8")]
    NotAsMarked(&'static str),
}

/// Text, and how it was encoded when it was not plainly UTF-8. Its lines end with `\n` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text<'a> {
    text: Cow<'a, str>,
    encoding: Option<&'static str>,
}

impl Text<'_> {
    /// Keeps the encoding's name as a field, so that a wrong guess can be found.
    pub(super) fn note_encoding(&self, fields: &mut Map<String, Value>) {
        if let Some(encoding) = self.encoding {
            metadata::note(fields, field::ENCODING, encoding);
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// Reads text of no particular format.
pub(super) fn text(bytes: &[u8]) -> Result<Text<'_>, NotText> {
    labelled(bytes, None)
}

/// Reads a page, which may declare its encoding in its first kilobyte.
pub(super) fn html(bytes: &[u8]) -> Result<Text<'_>, NotText> {
    labelled(bytes, declared(bytes).as_deref())
}

/// Reads text that came with the name of its encoding, which wins where it fits. UTF-8 wins when the bytes are UTF-8:
/// stale names are common, and text in another encoding is hardly ever valid UTF-8 by accident.
pub(super) fn labelled<'a>(bytes: &'a [u8], label: Option<&str>) -> Result<Text<'a>, NotText> {
    let (text, encoding) = decoded(bytes, label)?;
    let controls = plausible::controls(&text);
    if plausible::too_many(controls, text.len()) {
        return Err(NotText::Controls { count: controls });
    }
    Ok(Text { text: one_kind_of_line_end(text), encoding })
}

fn decoded<'a>(
    bytes: &'a [u8],
    label: Option<&str>,
) -> Result<(Cow<'a, str>, Option<&'static str>), NotText> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let content = bytes.get(mark..).unwrap_or_default();
        return marked(content, encoding).map(|text| (text, named(encoding)));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\0')
    {
        return Ok(seven_bits(bytes).unwrap_or((Cow::Borrowed(text), None)));
    }
    if let Some(text) = utf_16(bytes) {
        return Ok(text);
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(NotText::Nul(offset));
    }
    let encoding = label.and_then(|label| Encoding::for_label(label.as_bytes()));
    encoding.and_then(|encoding| clean(bytes, encoding)).or_else(|| guessed(bytes)).ok_or_else(|| {
        let offset = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        NotText::NoEncoding { byte: bytes.get(offset).copied().unwrap_or_default(), offset }
    })
}

fn marked<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>, NotText> {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    match text.find('\0') {
        _ if had_errors => Err(NotText::NotAsMarked(encoding.name())),
        Some(offset) => Err(NotText::Nul(offset)),
        None => Ok(text),
    }
}

/// Text of seven bits whose escapes stand for others.
fn seven_bits(bytes: &[u8]) -> Option<(Cow<'_, str>, Option<&'static str>)> {
    if !bytes.is_ascii() {
        return None;
    }
    if bytes.windows(3).any(|escape| matches!(escape, b"\x1b$B" | b"\x1b$@" | b"\x1b(J")) {
        return clean(bytes, encoding_rs::ISO_2022_JP);
    }
    hz::decoded(bytes).map(|text| (Cow::Owned(text), Some("HZ-GB-2312")))
}

/// UTF-16 without a mark. Its spaces, line ends and figures have a zero byte, always on the same side; letters tell
/// less, since U+4E00, the commonest of Chinese, has one on the other side.
fn utf_16(bytes: &[u8]) -> Option<(Cow<'_, str>, Option<&'static str>)> {
    /// Characters for each that is a space or figure, in text of any language.
    const CHARACTERS_PER_SPACE: usize = 64;
    let is_space = |byte: u8| matches!(byte, b' ' | b'\n' | b'\r' | b'0'..=b'9');
    let (mut little, mut big) = (0_usize, 0_usize);
    for pair in bytes.chunks_exact(2) {
        match *pair {
            [space, 0] if is_space(space) => little += 1,
            [0, space] if is_space(space) => big += 1,
            _ => {}
        }
    }
    let enough = bytes.len() / 2 / CHARACTERS_PER_SPACE;
    let encoding = match (little, big) {
        (little, big) if little > enough && little > big * 4 => UTF_16LE,
        (little, big) if big > enough && big > little * 4 => UTF_16BE,
        _ => return None,
    };
    clean(bytes, encoding).filter(|(text, _)| plausible::is_written(text))
}

/// The text when all bytes fit the encoding.
fn clean<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Option<(Cow<'a, str>, Option<&'static str>)> {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    (!had_errors && !text.contains('\0')).then(|| (text, named(encoding)))
}

/// The most likely encoding; else a rare one that makes words; else one that loses next to nothing.
fn guessed(bytes: &[u8]) -> Option<(Cow<'_, str>, Option<&'static str>)> {
    let guess = guess(bytes);
    if let Some((text, encoding)) = clean(bytes, guess)
        && (plausible::is_multibyte(guess) || plausible::is_written(&text))
        && slightly_lost(bytes, &[UTF_8]).is_none()
    {
        return Some((text, encoding));
    }
    let johab = || johab::decoded(bytes).map(|text| (text, "Johab"));
    let ebcdic = || ebcdic::decoded(bytes).map(|text| (text, "IBM500"));
    let rare: [&dyn Fn() -> Option<(String, &'static str)>; 2] = [&johab, &ebcdic];
    let rare = rare.into_iter().filter_map(|read| read()).find(|(text, _)| plausible::is_written(text));
    let rare = rare.map(|(text, encoding)| (Cow::Owned(text), Some(encoding)));
    // Nearly all bytes fit GB 18030, hence it comes last.
    rare.or_else(|| slightly_lost(bytes, &[UTF_8, guess, EUC_JP, SHIFT_JIS, BIG5, EUC_KR, GB18030]))
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    /// What stands before the first byte that is not ASCII tells about its neighbours.
    const BEFORE: usize = 1_024;
    let first = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or_default().saturating_sub(BEFORE);
    let end = bytes.len().min(first + GUESSED_BYTES);
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes.get(first..end).unwrap_or_default(), end == bytes.len());
    detector.guess(None, Utf8Detection::Allow)
}

/// The text in the first of these encodings of several bytes that loses hardly anything.
fn slightly_lost<'a>(
    bytes: &'a [u8],
    encodings: &[&'static Encoding],
) -> Option<(Cow<'a, str>, Option<&'static str>)> {
    let mut encodings = encodings.iter().filter(|encoding| plausible::is_multibyte(encoding));
    encodings.find_map(|encoding| {
        let (text, _) = encoding.decode_without_bom_handling(bytes);
        let lost = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
        let kept = text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
        (lost.saturating_mul(CHARACTERS_PER_LOSS) <= kept).then_some((text, Some(encoding.name())))
    })
}

fn named(encoding: &'static Encoding) -> Option<&'static str> {
    (encoding != UTF_8).then(|| encoding.name())
}

fn one_kind_of_line_end(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// The encoding that a page's first kilobyte names, as browsers look for it.
fn declared(bytes: &[u8]) -> Option<String> {
    const PRESCAN_BYTES: usize = 1_024;
    let head = String::from_utf8_lossy(bytes.get(..PRESCAN_BYTES).unwrap_or(bytes)).to_ascii_lowercase();
    let xml = || head.strip_prefix("<?xml")?.split_once("?>")?.0.split_once("encoding");
    let (_, after) = head.split_once("charset").or_else(xml)?;
    let after = after.trim_start().strip_prefix('=')?;
    let after = after.trim_start_matches(['"', '\'', ' ']);
    after.split(['"', '\'', ' ', '>', ';', '/']).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (String, Option<&'static str>) {
        let text = text(bytes).unwrap();
        (text.text.into_owned(), text.encoding)
    }

    fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
        encoding.encode(text).0.into_owned()
    }

    #[test]
    fn utf_8_is_read_with_and_without_its_mark() {
        assert_eq!(read("Grüße".as_bytes()), ("Grüße".into(), None));
        assert_eq!(read(b"\xEF\xBB\xBFa"), ("a".into(), None));
    }

    #[test]
    fn utf_16_is_read_with_and_without_its_mark() {
        assert_eq!(read(b"\xFF\xFEh\0i\0").0, "hi");
        assert_eq!(read(b"\xFE\xFF\0h\0i").0, "hi");
        for text in ["Plain words.", "Смотри, это текст: 1, 2.", "第一行 的 内容\n第二行"]
        {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(read(&little), (text.into(), Some("UTF-16LE")));
            assert_eq!(read(&big), (text.into(), Some("UTF-16BE")));
        }
        assert_eq!(text(b"\xFF\xFE\x00\xD8").unwrap_err(), NotText::NotAsMarked("UTF-16LE"));
    }

    #[test]
    fn legacy_encodings_are_guessed_and_named() {
        for (text, encoding) in [
            ("Die Größe des Gerätes paßt für alle Räume, die „schön“ sind.", encoding_rs::WINDOWS_1252),
            ("Příliš žluťoučký kůň úpěl ďábelské ódy a šel domů.", encoding_rs::WINDOWS_1250),
            ("Однажды, в студеную зимнюю пору, я из лесу вышел.", encoding_rs::KOI8_U),
            ("Однажды, в студеную зимнюю пору, я из лесу вышел.", encoding_rs::WINDOWS_1251),
            ("Η γρήγορη αλεπού πηδάει πάνω από το σκυλί.", encoding_rs::WINDOWS_1253),
            ("開発者の名前は日本語で書かれています。テストです。", EUC_JP),
            ("開発者の名前は日本語で書かれています。テストです。", SHIFT_JIS),
            ("開発者の名前は日本語で書かれています。", encoding_rs::ISO_2022_JP),
            ("语言是一种功能强大而完善的通用型计算机程序设计语言", encoding_rs::GBK),
            ("在資訊科技快速發展的今天, 開發及測試軟體的速度", BIG5),
            ("한국어로 쓰인 문장을 올바르게 읽어야 합니다.", EUC_KR),
        ] {
            assert_eq!(read(&encoded(text, encoding)), (text.into(), Some(encoding.name())));
        }
    }

    #[test]
    fn what_is_utf_8_but_for_a_few_bytes_is_read_as_that() {
        let mut bytes = "Äpfel, Öl und süße Übergrößen für alle Grüße später möglich äöü".as_bytes().to_vec();
        bytes.push(0xFF);
        let (text, encoding) = read(&bytes);
        assert!(text.starts_with("Äpfel, Öl und süße"), "{text}");
        assert!(text.ends_with('\u{FFFD}'));
        assert_eq!(encoding, Some("UTF-8"));
    }

    #[test]
    fn binary_rubbish_is_refused_with_its_place() {
        assert_eq!(text(b"ab\0c").unwrap_err(), NotText::Nul(2));
        assert_eq!(text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap_err(), NotText::Nul(8));
        assert_eq!(text(b"\x01\x02\x03abc").unwrap_err(), NotText::Controls { count: 3 });
        // A generator of pseudo-random bytes without a zero.
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(state >> 24).unwrap().max(1)
        });
        let noise: Vec<u8> = noise.take(4_000).collect();
        assert!(matches!(text(&noise).unwrap_err(), NotText::NoEncoding { .. }));
    }

    #[test]
    fn a_declared_encoding_wins_where_it_fits() {
        let page = b"<meta charset = \"iso-8859-7\"><p>\xE1\xE2";
        assert!(html(page).unwrap().ends_with("αβ"));
        let page = b"<?xml version=\"1.0\" encoding=\"iso-8859-7\"?><p>\xE1\xE2";
        assert!(html(page).unwrap().ends_with("αβ"));
        assert_eq!(&*labelled(b"\xE1\xE2", Some("iso-8859-7")).unwrap(), "αβ");
        assert!(html("<meta charset=iso-8859-1>é".as_bytes()).unwrap().ends_with('é'));
        let wrong =
            [b"<meta charset=euc-jp>".to_vec(), encoded("Größe für Räume", encoding_rs::WINDOWS_1252)];
        assert!(html(&wrong.concat()).unwrap().ends_with("Größe für Räume"));
    }

    #[test]
    fn all_line_ends_become_one() {
        assert_eq!(read(b"a\r\nb\rc\n").0, "a\nb\nc\n");
    }
}
