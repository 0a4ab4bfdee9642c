//! Decodes Johab (KS X 1001, annex 3): Korean syllables composed of five bits each for initial, vowel and final.
//! Never takes text for Johab that is not mostly syllables.

use encoding_rs::EUC_KR;

/// Codes of the vowels, in the order of Unicode's.
const VOWELS: [u16; 21] = [3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29];
/// Single initials, in the order of their codes.
const INITIALS: &str = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";

/// The text, when all bytes fit and most of it is Korean.
pub(super) fn decoded(bytes: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    let (mut syllables, mut others) = (0_usize, 0_usize);
    let mut bytes = bytes.iter().copied();
    while let Some(lead) = bytes.next() {
        if lead.is_ascii() {
            out.push(char::from(lead));
            continue;
        }
        let trail = bytes.next()?;
        let c = syllable(lead, trail);
        let count = if c.is_some() { &mut syllables } else { &mut others };
        *count += 1;
        out.push(c.or_else(|| other(lead, trail))?);
    }
    (syllables > others).then_some(out)
}

fn syllable(lead: u8, trail: u8) -> Option<char> {
    let code = u16::from_be_bytes([lead, trail]);
    let (initial, vowel, last) = (code >> 10 & 31, code >> 5 & 31, code & 31);
    let initial = initial.checked_sub(2).filter(|initial| *initial < 19);
    let vowel = VOWELS.iter().position(|code| *code == vowel).and_then(|at| u32::try_from(at).ok());
    // The code 18 stays free between the finals.
    let last = match last {
        1..=17 => Some(last - 1),
        19..=29 => Some(last - 2),
        _ => None,
    };
    match (initial, vowel, last) {
        (Some(initial), Some(vowel), Some(last)) => {
            char::from_u32(0xAC00 + (u32::from(initial) * 21 + vowel) * 28 + u32::from(last))
        }
        (Some(initial), None, Some(0)) => INITIALS.chars().nth(usize::from(initial)),
        (None, Some(vowel), Some(0)) => char::from_u32(0x314F + vowel),
        _ => None,
    }
}

/// Symbols and Chinese characters stand in the order of KS X 1001, of which EUC-KR is another form.
fn other(lead: u8, trail: u8) -> Option<char> {
    let row = match lead {
        0xD9..=0xDE => 0x21 + (lead - 0xD9) * 2,
        0xE0..=0xF9 => 0x4A + (lead - 0xE0) * 2,
        _ => return None,
    };
    let place = match trail {
        0x31..=0x7E => trail - 0x31,
        0x91..=0xFE => trail - 0x91 + 0x4E,
        _ => return None,
    };
    let (row, column) = if place < 94 { (row, 0x21 + place) } else { (row + 1, 0x21 + place - 94) };
    let pair = [row | 0x80, column | 0x80];
    let (text, had_errors) = EUC_KR.decode_without_bom_handling(&pair);
    text.chars().next().filter(|_| !had_errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_letters_and_chinese_characters_are_read() {
        assert_eq!(decoded(b"\xd0\x65\x8b\x69, \xd0\x65\xf7\xd3").unwrap(), "한글, 한漢");
        assert_eq!(decoded(b"\x88\x61\x88\x41\x84\x61").unwrap(), "가ㄱㅏ");
    }

    #[test]
    fn what_is_not_korean_is_refused() {
        assert_eq!(decoded(b"\xe9t\xe9"), None);
        assert_eq!(decoded(b"\x88"), None);
        assert_eq!(decoded(b"plain"), None);
    }
}
