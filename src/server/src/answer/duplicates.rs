//! Finds texts that say again what another one says: the same but for case, white space and markup, contained in it, or
//! nearly so.
//! Never takes two texts for the same that differ in a number or in a negation: that is where documents of one kind differ.

use std::collections::HashSet;
use std::hash::Hasher;

use crate::answer::polarity::is_negation;

/// A text as the set of its shingles (Broder 1997, "On the resemblance and containment of documents").
#[derive(Debug)]
pub(super) struct Shingles {
    hashes: Vec<u64>,
    /// A bit per shingle, of a hash's lowest twelve: most pairs of texts share nothing, and are told apart by these.
    bits: Box<[u64; 64]>,
    /// Words with a digit and negations.
    telling: Vec<u64>,
}

impl Shingles {
    /// Words per shingle: "a typical value used in the detection of near-duplicate web pages" (Manning, Raghavan and
    /// Schütze 2008, 19.6).
    const WORDS: usize = 4;
    /// Percent of a text's shingles that must be in the other one: the 0.9 of the same chapter, taken of the containment
    /// `|A and B| / |A|`, which is never less than the resemblance, and which also finds a chunk within another.
    const CONTAINED_PERCENT: usize = 90;

    /// The shingles of a text.
    pub(super) fn of(text: &str) -> Self {
        let mut words = Vec::with_capacity(text.len() / 5);
        let mut telling = Vec::new();
        for word in text.split_ascii_whitespace().filter_map(bare) {
            let before = words.len();
            hash_word(word, &mut words);
            if word.bytes().any(|byte| byte.is_ascii_digit()) || is_negation(word) {
                telling.extend(words.iter().skip(before));
            }
        }
        let size = Self::WORDS.min(words.len()).max(1);
        let hashes: Vec<u64> = words.windows(size).map(hash_shingle).collect();
        let mut bits = Box::new([0_u64; 64]);
        for hash in &hashes {
            let (at, bit) = place(*hash);
            if let Some(bits) = bits.get_mut(at) {
                *bits |= bit;
            }
        }
        Self { hashes, bits, telling }
    }

    /// Whether this text says what `other` says.
    pub(super) fn cover(&self, other: &Self) -> bool {
        let may_miss = other.hashes.len() * (100 - Self::CONTAINED_PERCENT) / 100;
        let too_many = |missing: &mut dyn Iterator<Item = &u64>| missing.nth(may_miss).is_some();
        // The bits err on one side only: what they have not is not there.
        if too_many(&mut other.hashes.iter().filter(|hash| !self.may_have(**hash))) {
            return false;
        }
        let own: HashSet<u64> = self.hashes.iter().copied().collect();
        let told = || other.telling.iter().all(|word| self.telling.contains(word));
        !too_many(&mut other.hashes.iter().filter(|hash| !own.contains(hash))) && told()
    }

    fn may_have(&self, hash: u64) -> bool {
        let (at, bit) = place(hash);
        self.bits.get(at).is_some_and(|bits| bits & bit != 0)
    }
}

/// Where a hash's bit is.
fn place(hash: u64) -> (usize, u64) {
    (usize::try_from((hash >> 6) & 63).unwrap_or_default(), 1 << (hash & 63))
}

/// A word without the punctuation and markup around it; operators stay, for they are what code differs in.
fn bare(word: &str) -> Option<&str> {
    let is_around = |byte: &u8| is_markup(*byte) || is_punctuation(*byte);
    let mut bytes = word.bytes();
    let Some(from) = bytes.position(|byte| !is_around(&byte)) else {
        return (!word.bytes().all(is_markup)).then_some(word);
    };
    let behind = word.bytes().rev().take_while(is_around).count();
    word.get(from..word.len() - behind)
}

fn is_markup(byte: u8) -> bool {
    matches!(byte, b'`' | b'*' | b'_' | b'#' | b'|')
}

fn is_punctuation(byte: u8) -> bool {
    matches!(
        byte,
        b'.' | b',' | b';' | b':' | b'!' | b'?' | b'"' | b'\'' | b'(' | b')' | b'[' | b']' | b'{' | b'}'
    )
}

/// Adds a word's hash, without regard to case; where words are not separated by spaces, the hash of each character.
fn hash_word(word: &str, hashes: &mut Vec<u64>) {
    let mut hash = Fnv::default();
    if word.is_ascii() {
        word.bytes().for_each(|byte| hash.write_u8(byte.to_ascii_lowercase()));
        hashes.push(hash.finish());
    } else if word.chars().any(stands_alone) {
        hashes.extend(word.chars().map(u64::from));
    } else {
        word.chars().flat_map(char::to_lowercase).for_each(|c| hash.write_u32(c.into()));
        hashes.push(hash.finish());
    }
}

/// Kana, Chinese characters, Thai, Lao, Khmer.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}')
}

fn hash_shingle(words: &[u64]) -> u64 {
    let mut hash = Fnv::default();
    for word in words {
        hash.write_u64(*word);
    }
    // The multiplications carry upwards only: the bits that choose a place must depend on all of them.
    hash.finish() ^ (hash.finish() >> 32)
}

/// FNV-1a by whole values: nobody gains by a collision here, and it is several times as fast as the standard hasher.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "A sensor is silent when the gateway has not heard from it for three hours. An alert tells \
        everybody who subscribed to the group that the sensor belongs to, by mail or by message, and is repeated \
        every day until somebody has acknowledged it or the sensor reports again.";

    fn cover(a: &str, b: &str) -> bool {
        Shingles::of(a).cover(&Shingles::of(b))
    }

    #[test]
    fn case_white_space_and_markup_make_no_other_text() {
        let again = PAGE.to_uppercase().replace(' ', "\n  ").replace("ALERT", "**ALERT**");
        assert!(cover(PAGE, &again) && cover(&again, PAGE));
    }

    #[test]
    fn a_text_covers_its_parts_and_not_its_whole() {
        let part = &PAGE[..150];
        assert!(cover(PAGE, part));
        assert!(!cover(part, PAGE));
    }

    #[test]
    fn a_changed_word_is_near_enough_and_four_are_not() {
        assert!(cover(PAGE, &PAGE.replace("subscribed", "listens")));
        let other =
            PAGE.replace("subscribed", "x").replace("mail", "y").replace("day", "z").replace("alert", "w");
        assert!(!cover(PAGE, &other));
    }

    #[test]
    fn a_changed_number_or_negation_is_another_text() {
        let long = format!("{PAGE} {} Listens on port 8080.", PAGE.replace("silent", "quiet"));
        assert!(cover(&long, &long));
        assert!(!cover(&long, &long.replace("8080", "9090")));
        let positive = long.replace("has not heard", "has heard");
        assert!(!cover(&positive, &long));
    }

    #[test]
    fn code_that_differs_in_an_operator_is_other_code() {
        assert!(!cover("if a == b { stop }", "if a != b { stop }"));
        assert!(!cover("x = 1", "x = -1"));
    }

    #[test]
    fn texts_without_spaces_are_compared_by_character() {
        let page = "当网关三个小时没有收到传感器的数据时传感器被视为静默密钥在九十天后过期之后必须更新";
        assert!(cover(&format!("{page}打开外壳会使保修失效"), page));
        assert!(!cover(page, "打开外壳会使保修失效并且传感器必须更换新的电池才能继续工作"));
    }

    #[test]
    fn short_and_empty_texts_are_compared_whole() {
        assert!(cover("Same.", "same"));
        assert!(!cover("one", "two"));
        assert!(!cover("one two three four five", "five"));
        assert!(cover("", ""));
    }
}
