//! Words in the one form that disguises fall back to: lower case, no accents, one script, no digits for letters.
//! A small fold, not Unicode's compatibility normalisation: full-width, mathematical and circled letters, accents of Latin
//! letters, Cyrillic and Greek letters within Latin words.

/// The folded words of a text.
#[derive(Debug, Default)]
pub(super) struct Folded {
    text: String,
    words: Vec<(usize, usize)>,
    /// Whether the text has characters of scripts that do not put spaces between words.
    pub(super) is_unspaced: bool,
}

impl Folded {
    /// The word that stands between sentences: no phrase reaches across it.
    pub(super) const END: &str = ".";

    /// Folds a text.
    pub(super) fn of(text: &str) -> Self {
        if text.is_ascii() { Self::of_ascii(text) } else { Self::of_any(text) }
    }

    /// The same as [`Self::of_any`], in a tenth of the time, for most texts of most collections.
    fn of_ascii(text: &str) -> Self {
        let mut bytes = text.replace('\'', "").into_bytes();
        bytes.make_ascii_lowercase();
        let mut words = Vec::with_capacity(bytes.len() / 5);
        let mut from = 0;
        for at in 0..=bytes.len() {
            let byte = bytes.get(at).copied().unwrap_or(b'\n');
            if byte.is_ascii_alphanumeric() {
                continue;
            }
            if let Some(word) = bytes.get_mut(from..at).filter(|word| !word.is_empty()) {
                unmask_ascii(word);
                words.push((from, at));
            }
            from = at + 1;
            if let (b'.' | b'!' | b'?' | b';', Some(mark)) = (byte, bytes.get_mut(at)) {
                *mark = b'.';
                words.push((at, from));
            }
        }
        Self { text: String::from_utf8(bytes).unwrap_or_default(), words, is_unspaced: false }
    }

    fn of_any(text: &str) -> Self {
        let mut folded = Self {
            text: String::with_capacity(text.len() + 8),
            words: Vec::with_capacity(text.len() / 5),
            is_unspaced: false,
        };
        let mut word = Word::default();
        for c in text.chars() {
            match fold(c) {
                _ if matches!(c, '\'' | '’') => {}
                Some(letter) => word.push(letter, &mut folded),
                None => folded.close(&mut word, c),
            }
        }
        folded.close(&mut word, '\n');
        folded
    }

    /// The words, in their order.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        (0..self.words.len()).filter_map(|at| self.word(at))
    }

    /// The word at a position.
    pub(super) fn word(&self, at: usize) -> Option<&str> {
        let (from, to) = self.words.get(at)?;
        self.text.get(*from..*to)
    }

    /// The text that the words stand in, where it is not ASCII with one space between two.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn close(&mut self, word: &mut Word, by: char) {
        if word.to > word.from {
            self.add(word.from, word);
        }
        *word = Word { from: self.text.len(), to: self.text.len(), ..Word::default() };
        if matches!(by, '.' | '!' | '?' | ';' | '。' | '！' | '？') {
            self.text.push_str(Self::END);
            self.words.push((word.from, self.text.len()));
            self.text.push(' ');
            word.from = self.text.len();
            word.to = word.from;
        }
    }

    fn add(&mut self, from: usize, word: &Word) {
        if word.has_latin && (word.has_digit || word.has_lookalike) {
            let clean: String =
                self.text.get(from..).unwrap_or_default().chars().map(|c| unmask(c).unwrap_or(c)).collect();
            self.text.truncate(from);
            self.text.push_str(&clean);
        }
        self.words.push((from, self.text.len()));
        self.text.push(' ');
    }
}

/// The word that is being read.
#[derive(Debug, Default)]
struct Word {
    from: usize,
    to: usize,
    has_latin: bool,
    has_digit: bool,
    has_lookalike: bool,
}

impl Word {
    fn push(&mut self, letter: char, folded: &mut Folded) {
        folded.text.push(letter);
        self.to = folded.text.len();
        self.has_latin |= letter.is_ascii_lowercase();
        self.has_digit |= letter.is_ascii_digit();
        if !letter.is_ascii() {
            self.has_lookalike |= unmask(letter).is_some();
            folded.is_unspaced |=
                matches!(letter, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}');
        }
    }
}

/// A letter or digit in its plain form; `None` for what ends a word.
fn fold(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase());
    }
    let plain = match c {
        '\u{FF10}'..='\u{FF5E}' => shifted(c, 0xFF10, '0'),
        '\u{1D400}'..='\u{1D6A3}' => in_alphabet(c, 0x1D400, 52),
        '\u{24B6}'..='\u{24E9}' => in_alphabet(c, 0x24B6, 26),
        _ => c.to_lowercase().next().map(without_accent),
    }?;
    plain.is_alphanumeric().then(|| plain.to_ascii_lowercase())
}

fn shifted(c: char, from: u32, to: char) -> Option<char> {
    char::from_u32(u32::from(c) - from + u32::from(to))
}

/// The letter of alphabets of `size` that follow each other from `from`.
fn in_alphabet(c: char, from: u32, size: u32) -> Option<char> {
    char::from_u32(u32::from('a') + (u32::from(c) - from) % size % 26)
}

fn without_accent(c: char) -> char {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' | 'ă' | 'ā' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' | 'ē' => 'e',
        'ì' | 'í' | 'î' | 'ï' | 'ı' | 'ī' => 'i',
        'ł' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' => 'o',
        'ś' | 'š' | 'ş' => 's',
        'ù' | 'ú' | 'û' | 'ü' | 'ů' | 'ū' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ğ' => 'g',
        other => other,
    }
}

/// The digits of a word that has letters, too, as letters.
fn unmask_ascii(word: &mut [u8]) {
    let has_digit = word.iter().any(u8::is_ascii_digit);
    if has_digit && word.iter().any(u8::is_ascii_lowercase) {
        for byte in word {
            *byte = unmask(char::from(*byte)).and_then(|letter| u8::try_from(letter).ok()).unwrap_or(*byte);
        }
    }
}

/// The Latin letter that a digit, a Cyrillic or a Greek letter stands for within a Latin word.
fn unmask(c: char) -> Option<char> {
    Some(match c {
        '0' | 'о' | 'ο' | 'օ' => 'o',
        '1' | 'і' | 'ι' => 'i',
        '3' | 'е' | 'ε' => 'e',
        '4' | 'а' | 'α' => 'a',
        '5' | 'ѕ' => 's',
        '7' | 'т' | 'τ' => 't',
        'р' | 'ρ' => 'p',
        'с' => 'c',
        'у' | 'υ' => 'y',
        'х' | 'χ' => 'x',
        'ј' => 'j',
        'ո' => 'n',
        'ν' => 'v',
        'к' | 'κ' => 'k',
        'м' => 'm',
        'һ' | 'н' => 'h',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Folded::of(text).words().map(str::to_owned).collect()
    }

    #[test]
    fn disguises_fall_back_to_plain_words() {
        for disguised in
            ["Ignore", "IGNORE", "ｉｇｎｏｒｅ", "іgnоrе", "1gn0r3", "𝐢𝐠𝐧𝐨𝐫𝐞", "ⓘⓖⓝⓞⓡⓔ", "ígnörê"]
        {
            assert_eq!(words(disguised), ["ignore"], "{disguised}");
        }
    }

    #[test]
    fn ascii_folds_the_same_on_both_ways() {
        let text = "Don't 1gn0re v2.0!  The 8080 (port)... x_y-z; 'quoted' e117\n#end";
        let of = |folded: Folded| folded.words().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of(Folded::of_ascii(text)), of(Folded::of_any(text)));
    }

    #[test]
    fn words_of_other_scripts_and_plain_numbers_stay() {
        assert_eq!(words("все 8080 3.5 порт"), ["все", "8080", "3", ".", "5", "порт"]);
    }

    #[test]
    fn sentences_end_in_a_word_of_their_own() {
        assert_eq!(
            words("Don't stop! Go-on_now, (please)."),
            ["dont", "stop", ".", "go", "on", "now", "please", "."]
        );
    }
}
