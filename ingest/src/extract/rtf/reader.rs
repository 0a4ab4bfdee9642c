//! Follows the groups of an RTF file: where text goes, and what characters its bytes are.
//! Keeps one state for each open group, and no more groups open than any program nests.

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::extract::Document;
use crate::extract::fault::Fault;
use crate::extract::metadata::stated_title;
use crate::extract::rtf::body::Body;
use crate::extract::rtf::charset;
use crate::extract::rtf::control::{Destination, character, destination};
use crate::extract::rtf::info::Info;
use crate::extract::rtf::tokens::{Token, Tokens};

/// Word nests a dozen groups.
const DEEPEST: usize = 1_000;

/// What holds within a group.
#[derive(Debug, Clone, Copy)]
struct State {
    destination: Destination,
    /// Where the text around a group in two versions goes, of which the second is read.
    around: Destination,
    font: Option<i32>,
    is_hidden: bool,
    /// Characters that follow a Unicode escape for programs that do not know it.
    fallback: i32,
}

pub(super) struct Reader {
    body: Body,
    info: Info,
    states: Vec<State>,
    page: &'static Encoding,
    fonts: HashMap<i32, &'static Encoding>,
    /// The font being defined.
    defined: i32,
    /// Whether the group has just begun.
    is_new: bool,
    /// Whether it has just begun with `\*`.
    is_optional: bool,
    /// Bytes that are not decoded yet.
    bytes: Vec<u8>,
    /// Whether they end in the first half of a character.
    dangles: bool,
    /// The first half of a character outside the basic plane.
    half: Option<u16>,
    /// Characters left to leave out after a Unicode escape.
    skipped: i32,
    note: String,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            body: Body::default(),
            info: Info::default(),
            states: vec![State {
                destination: Destination::Text,
                around: Destination::Text,
                font: None,
                is_hidden: false,
                fallback: 1,
            }],
            page: WINDOWS_1252,
            fonts: HashMap::new(),
            defined: 0,
            is_new: false,
            is_optional: false,
            bytes: Vec::new(),
            dangles: false,
            half: None,
            skipped: 0,
            note: String::new(),
        }
    }
}

impl Reader {
    /// Reads a whole file.
    pub(super) fn read(mut self, bytes: &[u8]) -> Result<Document, Fault> {
        let mut tokens = Tokens::new(bytes);
        while let Some(token) = tokens.next() {
            if !matches!(token, Token::Byte(..)) {
                self.decode();
            }
            match token {
                Token::Open => self.open()?,
                Token::Close => self.close(),
                Token::Word(word, number) => self.word(word, number),
                Token::Symbol(symbol) => self.symbol(symbol),
                Token::Byte(byte, is_escaped) => self.byte(byte, is_escaped, &mut tokens),
            }
            self.is_new = token == Token::Open;
            // What follows the file's own group is no part of it.
            if self.states.len() <= 1 {
                break;
            }
        }
        self.decode();
        let outline = self.body.finish();
        let title = outline.title().map(str::to_owned).or_else(|| stated_title(&self.info.title));
        Ok(Document { title, metadata: self.info.metadata(), outline: Some(outline), ..Document::default() })
    }

    fn state(&mut self) -> Option<&mut State> {
        self.states.last_mut()
    }

    fn destination(&self) -> Destination {
        self.states.last().map_or(Destination::Nowhere, |state| state.destination)
    }

    fn open(&mut self) -> Result<(), Fault> {
        if self.states.len() > DEEPEST {
            return Err(Fault::Hostile(format!("it nests groups deeper than {DEEPEST}")));
        }
        self.skipped = 0;
        self.states.extend(self.states.last().copied());
        Ok(())
    }

    fn close(&mut self) {
        self.skipped = 0;
        self.is_optional = false;
        let closed = self.states.pop().map(|state| state.destination);
        if closed == Some(Destination::Note) && self.destination() != Destination::Note {
            let mark = self.body.add_note(std::mem::take(&mut self.note));
            self.text(&mark);
        }
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        let is_optional = std::mem::take(&mut self.is_optional);
        if self.skipped > 0 && word != "u" && word != "uc" {
            self.skipped -= 1;
        }
        if word == "upr" {
            self.set(|state| (state.around, state.destination) = (state.destination, Destination::Nowhere));
        } else if word == "ud" {
            self.set(|state| state.destination = state.around);
        } else if let Some(opened) = destination(word) {
            // Text boxes stand within what is left out.
            if self.destination() != Destination::Nowhere || word == "shptxt" {
                self.set_destination(opened);
            }
        } else if is_optional {
            self.set_destination(Destination::Nowhere);
        } else if let Some(c) = character(word) {
            self.text(c);
        } else {
            self.apply(word, number);
        }
    }

    fn apply(&mut self, word: &str, number: Option<i32>) {
        let value = number.unwrap_or(1);
        match (self.destination(), word) {
            (Destination::Nowhere | Destination::Properties, _) => {}
            (Destination::Fonts, "f") => self.defined = value,
            (Destination::Fonts, "fcharset") => {
                self.fonts.extend(charset::of_font(value).map(|encoding| (self.defined, encoding)));
            }
            (Destination::Fonts, "cpg") => {
                self.fonts.insert(self.defined, charset::of_page(value));
            }
            (Destination::Info(field), word) => {
                if word == "u" {
                    self.unicode(value);
                } else {
                    self.info.number(field, word, value);
                }
            }
            (_, "ansicpg") => self.page = charset::of_page(value),
            (_, "mac") => self.page = charset::of_page(10_000),
            (_, "deflang") => self.info.language(value),
            (_, "u") => self.unicode(value),
            _ => self.format(word, number),
        }
    }

    fn format(&mut self, word: &str, number: Option<i32>) {
        let is_on = number != Some(0);
        match word {
            "f" => self.set(|state| state.font = number),
            "uc" => self.set(|state| state.fallback = number.unwrap_or(1)),
            "v" | "deleted" => self.set(|state| state.is_hidden = is_on),
            "plain" => self.set(|state| (state.is_hidden, state.font) = (false, None)),
            "par" | "sect" | "page" => self.end_paragraph(),
            "line" if self.destination() == Destination::Text => self.body.outline.line_break(),
            "line" => self.text(" "),
            // The mark of an item has a paragraph of its own.
            word if self.destination() == Destination::Text => self.body.format(word, number),
            _ => {}
        }
    }

    fn set(&mut self, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.state() {
            change(state);
        }
    }

    fn set_destination(&mut self, destination: Destination) {
        self.set(|state| state.destination = destination);
    }

    fn symbol(&mut self, symbol: u8) {
        match symbol {
            b'*' => self.is_optional = self.is_new,
            b'~' | b'\t' => self.text(" "),
            b'_' => self.text("-"),
            b'{' => self.text("{"),
            b'}' => self.text("}"),
            b'\\' => self.text("\\"),
            b'\r' | b'\n' if self.destination() == Destination::Text => self.end_paragraph(),
            _ => {}
        }
    }

    fn byte(&mut self, byte: u8, is_escaped: bool, tokens: &mut Tokens<'_>) {
        self.is_optional = false;
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        if matches!(self.destination(), Destination::Nowhere | Destination::Properties | Destination::Fonts) {
            return;
        }
        self.bytes.push(byte);
        self.dangles = !self.dangles && charset::is_lead(self.encoding(), byte);
        // The second byte may look like markup when it is not escaped.
        if self.dangles && !is_escaped {
            self.bytes.extend(tokens.take_byte());
            self.dangles = false;
        }
    }

    fn encoding(&self) -> &'static Encoding {
        let font = self.states.last().and_then(|state| state.font);
        font.and_then(|font| self.fonts.get(&font)).copied().unwrap_or(self.page)
    }

    fn decode(&mut self) {
        self.dangles = false;
        if !self.bytes.is_empty() {
            self.half = None;
            let bytes = std::mem::take(&mut self.bytes);
            let (text, _) = self.encoding().decode_without_bom_handling(&bytes);
            self.text(&text);
        }
    }

    fn unicode(&mut self, value: i32) {
        self.skipped = self.states.last().map_or(1, |state| state.fallback.max(0));
        let Ok(unit) = u16::try_from(value.rem_euclid(1 << 16)) else { return };
        let units = [self.half.take().unwrap_or(unit), unit];
        if (0xD800..0xDC00).contains(&unit) {
            self.half = Some(unit);
            return;
        }
        let from = usize::from(units == [unit, unit]);
        let text = String::from_utf16_lossy(units.get(from..).unwrap_or_default());
        self.text(&text);
    }

    fn text(&mut self, text: &str) {
        let Some(state) = self.states.last() else { return };
        if state.is_hidden {
            return;
        }
        match state.destination {
            Destination::Text => self.body.text(text),
            Destination::Mark => self.body.paragraph.mark.push_str(text),
            Destination::Note => self.note.push_str(text),
            Destination::Info(field) => self.info.text(field, text),
            Destination::Nowhere | Destination::Properties | Destination::Fonts => {}
        }
    }

    fn end_paragraph(&mut self) {
        match self.destination() {
            Destination::Text => self.body.end_paragraph(),
            Destination::Note => self.note.push(' '),
            _ => {}
        }
    }
}
