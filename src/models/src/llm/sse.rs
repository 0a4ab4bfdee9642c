//! Decodes server-sent events (WHATWG HTML, section 9.2) from bytes that arrive in any pieces.
//! Never reads what the data means, and never holds more than one event.

/// Takes bytes, gives the data of each event that they complete.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte seen was CR: a LF that follows belongs to it.
    after_cr: bool,
    /// A line has ended, so that a byte order mark is no longer one.
    begun: bool,
}

/// Why bytes are not a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadStream {
    #[error("an event is longer than {} bytes", Decoder::LONGEST_EVENT)]
    TooLong,
    #[error("an event is not UTF-8")]
    NotText,
}

impl Decoder {
    /// Longest event: a thousand times what providers send per token, and small enough for a thousand streams.
    pub(super) const LONGEST_EVENT: usize = 1024 * 1024;

    /// The data of every event that ends in `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, BadStream> {
        let mut rest = match bytes {
            [] => return Ok(Vec::new()),
            [b'\n', rest @ ..] if self.after_cr => rest,
            all => all,
        };
        self.after_cr = false;
        let mut events = Vec::new();
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (head, tail) = rest.split_at(end);
            self.lengthen(head)?;
            events.extend(self.end_line()?);
            rest = match tail {
                [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
                [] => tail,
            };
            self.after_cr = tail == b"\r";
        }
        self.lengthen(rest)?;
        Ok(events)
    }

    fn lengthen(&mut self, piece: &[u8]) -> Result<(), BadStream> {
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held + piece.len() > Self::LONGEST_EVENT {
            return Err(BadStream::TooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Takes the finished line; gives the event's data when the line is the empty one that ends an event.
    fn end_line(&mut self) -> Result<Option<String>, BadStream> {
        let bytes = std::mem::take(&mut self.line);
        let line = str::from_utf8(&bytes).map_err(|_| BadStream::NotText)?;
        let line = if self.begun { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            return Ok(self.data.take());
        }
        // A line that begins with a colon is a comment: its field name is empty.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Vec<String> {
        Decoder::default().push(bytes).unwrap()
    }

    #[test]
    fn events_end_with_an_empty_line_whatever_the_line_ending() {
        for text in ["data: a\n\ndata: b\n\n", "data: a\r\n\r\ndata: b\r\n\r\n", "data:a\r\rdata:b\r\r"] {
            assert_eq!(whole(text.as_bytes()), ["a", "b"], "{text:?}");
        }
    }

    #[test]
    fn the_events_are_the_same_however_the_bytes_are_cut() {
        let text =
            "\u{feff}: hi\r\nevent: x\r\ndata: größe\r\ndata: 日本\r\nid: 7\r\n\r\ndata: b\n\ndata: c\r\r"
                .as_bytes();
        let expected = ["größe\n日本", "b", "c"];
        assert_eq!(whole(text), expected);
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let events: Vec<String> =
                text.chunks(size).flat_map(|piece| decoder.push(piece).unwrap()).collect();
            assert_eq!(events, expected, "pieces of {size}");
        }
    }

    #[test]
    fn comments_and_other_fields_make_no_event() {
        assert_eq!(whole(b": keep-alive\n\nevent: ping\nretry: 5\n\ndatax: 1\n\n"), Vec::<String>::new());
        assert_eq!(whole(b"data\n\n"), [""]);
        assert_eq!(whole(b"data:  two spaces\n\n"), [" two spaces"]);
    }

    #[test]
    fn an_event_without_its_end_is_not_delivered() {
        assert_eq!(whole(b"data: a\n\ndata: torn\n"), ["a"]);
    }

    #[test]
    fn an_endless_line_and_an_endless_event_are_refused() {
        let mut decoder = Decoder::default();
        let piece = vec![b'x'; 64 * 1024];
        assert_eq!((0..17).find_map(|_| decoder.push(&piece).err()), Some(BadStream::TooLong));
        let mut decoder = Decoder::default();
        let line = [b"data: ", &piece[..], b"\n"].concat();
        assert_eq!((0..17).find_map(|_| decoder.push(&line).err()), Some(BadStream::TooLong));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(Decoder::default().push(b"data: \xff\n\n"), Err(BadStream::NotText));
    }
}
