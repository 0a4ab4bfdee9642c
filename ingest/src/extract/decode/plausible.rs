//! Tells text from rubbish: whether what was decoded looks like something that people write.
//! Knows no language and no dictionary: only which characters stand beside which.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_2022_JP, SHIFT_JIS, UTF_8};

/// Bytes of a text for each control character that may stray in it.
const BYTES_PER_CONTROL: usize = 100;
/// Signs that stand beside letters of any alphabet.
const BESIDE_LETTERS: &str = "“”„‘’‚«»‹›–—…¡¿·•§©®™°\u{a0}";

/// Control characters but those of lines, tabs, pages and terminals' colours: they stand in no text.
pub(super) fn controls(text: &str) -> usize {
    let is_rubbish = |c: &char| c.is_control() && !matches!(c, '\t'..='\r' | '\u{1b}' | '\u{85}');
    text.chars().filter(is_rubbish).count()
}

/// Whether there are more control characters than stray ones.
pub(super) fn too_many(controls: usize, bytes: usize) -> bool {
    controls.saturating_mul(BYTES_PER_CONTROL) > bytes
}

/// Whether a character takes several bytes, most pairs of which are invalid: bytes that fit are text.
pub(super) fn is_multibyte(encoding: &'static Encoding) -> bool {
    [UTF_8, BIG5, EUC_JP, EUC_KR, GB18030, GBK, ISO_2022_JP, SHIFT_JIS].contains(&encoding)
}

/// Whether the characters beyond ASCII make words. A wrong encoding of one byte never fails: it shows as signs between
/// letters.
pub(super) fn is_written(text: &str) -> bool {
    let (mut pairs, mut odd) = (0_usize, 0_usize);
    let mut last = ' ';
    for c in text.chars() {
        if !c.is_ascii() && !last.is_ascii() {
            pairs += 1;
            odd += usize::from(!fits_words(c) || !fits_words(last));
        }
        last = c;
    }
    odd.saturating_mul(4) <= pairs && !too_many(controls(text), text.len())
}

fn fits_words(c: char) -> bool {
    c != char::REPLACEMENT_CHARACTER && (c.is_alphabetic() || BESIDE_LETTERS.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_alphabet_are_written_and_signs_between_letters_are_not() {
        for text in ["Größe: 5 £, 20 °C – “Überzug”", "Однажды, в «студеную» пору", "plain", ""]
        {
            assert!(is_written(text), "{text}");
        }
        for text in ["¤Î³«È¯¤Ï¡¢1990 Ç¯¤´¤í¤«¤é³«»Ï", "É•£…““‰â£\u{81}£‰–", "\u{1}\u{2}ab"]
        {
            assert!(!is_written(text), "{text}");
        }
    }
}
