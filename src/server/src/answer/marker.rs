//! Reads the forms in which models cite: `[1]`, `[1, 2]`, `[1-3]`, `[^1]`, `[source 1]`, `(source 1)`, `【1】`, `【1†source】`.
//! Never decides whether a number points at anything.

use std::ops::RangeInclusive;

/// What a text that begins with an opening bracket is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// A citation, of so many bytes.
    Whole {
        /// The cited numbers, in their order.
        numbers: Vec<RangeInclusive<u32>>,
        /// Length with both brackets.
        bytes: usize,
    },
    /// What may become a citation when more comes.
    Partial,
    /// Text.
    Other,
}

/// The characters that a citation can begin with.
pub(super) const OPENING: [char; 3] = ['[', '【', '('];

/// Longest citation in bytes, with its brackets: `[source 1, source 2, source 3]` and a little.
const MOST_BYTES: usize = 48;
/// Most digits of a number: four are more evidence than fits any prompt.
const MOST_DIGITS: usize = 4;

/// Reads a text that begins with one of [`OPENING`].
pub(super) fn read(text: &str) -> Reading {
    let mut cursor = Cursor { rest: text };
    match cursor.citation() {
        Ok(numbers) => Reading::Whole { numbers, bytes: text.len() - cursor.rest.len() },
        Err(Stop::Ended) if text.len() < MOST_BYTES => Reading::Partial,
        Err(_) => Reading::Other,
    }
}

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Ended,
    Text,
}

#[derive(Debug)]
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn citation(&mut self) -> Result<Vec<RangeInclusive<u32>>, Stop> {
        let open = self.next()?;
        let close = match open {
            '(' => ')',
            '【' => '】',
            _ => ']',
        };
        self.spaces();
        let is_labelled = self.label()?;
        if open == '(' && !is_labelled {
            return Err(Stop::Text);
        }
        let mut numbers = Vec::new();
        loop {
            numbers.push(self.numbers()?);
            self.spaces();
            let mark = self.next()?;
            if mark == close {
                return Ok(numbers);
            }
            match mark {
                ',' | ';' | '&' | '、' | '，' => {}
                'a' | 'A' => self.exactly("nd")?,
                '†' if open == '【' => return self.skip_to(close).map(|()| numbers),
                _ => return Err(Stop::Text),
            }
            self.spaces();
            self.label()?;
        }
    }

    /// `^`, `source`, `sources`, `#`.
    fn label(&mut self) -> Result<bool, Stop> {
        const WORDS: [&str; 3] = ["sources", "source", "^"];
        let mut is_labelled = false;
        for word in WORDS {
            if starts(self.rest, word) {
                self.rest = self.rest.get(word.len()..).unwrap_or_default();
                is_labelled = true;
                break;
            }
        }
        if !is_labelled && WORDS.iter().any(|word| starts(word, self.rest)) {
            return Err(Stop::Ended);
        }
        self.spaces();
        self.rest = self.rest.strip_prefix('#').unwrap_or(self.rest);
        Ok(is_labelled)
    }

    /// A number, or a range of them.
    fn numbers(&mut self) -> Result<RangeInclusive<u32>, Stop> {
        let first = self.number()?;
        let before = self.rest;
        self.spaces();
        let behind = self.rest.strip_prefix(['-', '–', '—', '‑', '~']);
        let Some(behind) = behind else {
            self.rest = before;
            return Ok(first..=first);
        };
        self.rest = behind;
        self.spaces();
        Ok(first..=self.number()?)
    }

    fn number(&mut self) -> Result<u32, Stop> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if self.rest.len() == digits && digits <= MOST_DIGITS {
            return Err(Stop::Ended);
        }
        if !(1..=MOST_DIGITS).contains(&digits) {
            return Err(Stop::Text);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().map_err(|_| Stop::Text)
    }

    fn next(&mut self) -> Result<char, Stop> {
        let mut characters = self.rest.chars();
        let next = characters.next().ok_or(Stop::Ended)?;
        self.rest = characters.as_str();
        Ok(next)
    }

    fn exactly(&mut self, word: &str) -> Result<(), Stop> {
        word.chars().try_for_each(|c| if self.next()? == c { Ok(()) } else { Err(Stop::Text) })
    }

    fn skip_to(&mut self, close: char) -> Result<(), Stop> {
        while self.next()? != close {}
        Ok(())
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }
}

fn starts(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Option<Vec<u32>> {
        match read(text) {
            Reading::Whole { numbers, bytes } if bytes == text.len() => {
                Some(numbers.into_iter().flatten().collect())
            }
            _ => None,
        }
    }

    #[test]
    fn every_form_of_citation_is_read() {
        for (text, expected) in [
            ("[1]", vec![1]),
            ("[12]", vec![12]),
            ("[1, 2]", vec![1, 2]),
            ("[1,2;3]", vec![1, 2, 3]),
            ("[1 and 2]", vec![1, 2]),
            ("[1-3]", vec![1, 2, 3]),
            ("[1 – 3, 7]", vec![1, 2, 3, 7]),
            ("[^4]", vec![4]),
            ("[^1, ^2]", vec![1, 2]),
            ("[source 1]", vec![1]),
            ("[Sources 1, 2]", vec![1, 2]),
            ("[Source 1, Source 2]", vec![1, 2]),
            ("(source 3)", vec![3]),
            ("(Sources #1 & #2)", vec![1, 2]),
            ("【1】", vec![1]),
            ("【2†guide.md】", vec![2]),
            ("[3-1]", vec![]),
        ] {
            assert_eq!(numbers(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn each_beginning_of_a_citation_may_become_one() {
        for whole in ["[12, 13]", "[1-3]", "[^4]", "(source 3)", "【2†guide】", "[1 and 2]", "[Sources 1]"]
        {
            for (end, _) in whole.char_indices().skip(1) {
                assert_eq!(read(&whole[..end]), Reading::Partial, "{}", &whole[..end]);
            }
        }
    }

    #[test]
    fn other_brackets_are_text() {
        for text in [
            "[docs]",
            "[]",
            "[12345]",
            "[1.5]",
            "(1)",
            "(s)",
            "(sour cream)",
            "[1, two]",
            "[-1]",
            "[1】",
            "[ x",
        ] {
            assert_eq!(read(text), Reading::Other, "{text}");
        }
        assert_eq!(read(&format!("【1†{}", "x".repeat(60))), Reading::Other);
    }
}
