//! Cuts an RTF file into groups, control words and bytes of text.
//! Never knows what a control word means, but that `\bin` is followed by bytes that are none of these.

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A group begins.
    Open,
    /// A group ends.
    Close,
    /// A control word with its number.
    Word(&'a str, Option<i32>),
    /// A control symbol.
    Symbol(u8),
    /// A byte in the code page of its font, and whether it was escaped.
    Byte(u8, bool),
}

/// The pieces of a file.
pub(super) struct Tokens<'a>(&'a [u8]);

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte, whatever it would mean: the second one of a character.
    pub(super) fn take_byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn control(&mut self) -> Option<Token<'a>> {
        let letters = self.0.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, rest) = self.0.split_at_checked(letters)?;
        let Ok(word @ [_, ..]) = std::str::from_utf8(word).map(str::as_bytes) else {
            return self.symbol();
        };
        self.0 = rest;
        let number = self.number();
        if self.0.first() == Some(&b' ') {
            self.take_byte();
        }
        let word = std::str::from_utf8(word).unwrap_or_default();
        if word == "bin" {
            let length = number.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            self.0 = self.0.get(length..).unwrap_or_default();
        }
        Some(Token::Word(word, number))
    }

    fn number(&mut self) -> Option<i32> {
        let sign = usize::from(self.0.first() == Some(&b'-'));
        let digits = self.0.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let (number, rest) = self.0.split_at_checked(sign + digits)?;
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    fn symbol(&mut self) -> Option<Token<'a>> {
        let symbol = self.take_byte()?;
        if symbol != b'\'' {
            return Some(Token::Symbol(symbol));
        }
        let hex = self.0.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) => {
                self.0 = self.0.get(2..).unwrap_or_default();
                Some(Token::Byte(byte, true))
            }
            None => Some(Token::Symbol(b'\'')),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            return match self.take_byte()? {
                b'{' => Some(Token::Open),
                b'}' => Some(Token::Close),
                b'\\' => self.control(),
                b'\r' | b'\n' | 0 => continue,
                byte => Some(Token::Byte(byte, false)),
            };
        }
    }
}
