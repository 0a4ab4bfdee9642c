//! Reads mailboxes of many messages in one file (mbox).
//! Never holds more than one message besides the file: each is cut out, read and handed on.

use std::borrow::Cow;

use crate::extract::mail::{BadMail, attachments, document, parsed};
use crate::extract::names::Names;
use crate::extract::{Document, Emit, Input, Section, Unreadable, decode};

/// What a message begins with.
const START: &[u8] = b"From ";

/// All messages, and what is attached to them, named by their Message-ID or their number.
pub(in crate::extract) fn read(input: &Input<'_>, emit: &mut Emit<'_>) -> Result<(), Unreadable> {
    let content = input.bytes.trim_ascii_start();
    if content.is_empty() {
        return Err(Unreadable::Empty);
    }
    if !content.starts_with(START) {
        return Err(BadMail::NotAnMbox.into());
    }
    let mut names = Names::default();
    for (index, raw) in Messages(content).enumerate() {
        let raw = unquoted(raw);
        let place = format!("message {}", index + 1);
        match parsed(&raw) {
            Ok(message) => {
                let name = names.numbered(message.message_id().unwrap_or(&place));
                emit(Some(&name), document(&message, input));
                attachments::read(message, Some(&name), input, emit);
            }
            // The line before it says that it is a message, be it one without heads.
            Err(_) => emit(Some(&names.numbered(&place)), plain(&raw)),
        }
    }
    Ok(())
}

fn plain(raw: &[u8]) -> Result<Document, Unreadable> {
    let text = (*decode::text(raw)?).to_owned();
    Ok(Document { sections: vec![Section { text, ..Section::default() }], ..Document::default() })
}

/// The messages without the line that begins each.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let start = line_end(self.0);
        let mut at = start;
        let mut after_empty = false;
        while at < self.0.len() {
            let rest = self.0.get(at..)?;
            if after_empty && rest.starts_with(START) {
                break;
            }
            let length = line_end(rest);
            after_empty = rest.get(..length)?.trim_ascii().is_empty();
            at += length;
        }
        let (message, rest) = self.0.split_at_checked(at)?;
        self.0 = rest;
        message.get(start..)
    }
}

/// Length of the first line, its end included.
fn line_end(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1)
}

/// The text without the marks that keep its lines from beginning a message.
fn unquoted(message: &[u8]) -> Cow<'_, [u8]> {
    const QUOTED: &[u8] = b"\n>From ";
    if !message.windows(QUOTED.len()).any(|window| window == QUOTED) {
        return Cow::Borrowed(message);
    }
    let mut out = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(if line.starts_with(b">From ") { line.get(1..).unwrap_or(line) } else { line });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::tests::{input, many};

    #[test]
    fn messages_are_named_by_id_or_number_and_repeated_ones_numbered() {
        let mbox = "From a@e.org Sun Mar  1 12:00:00 2026\nMessage-ID: <1@e.org>\nSubject: One\n\nFirst.\n>From here on.\nFrom is a word.\n\nFrom b@e.org Sun Mar  1 12:00:00 2026\nSubject: Two\n\nSecond.\n\nFrom c@e.org Sun Mar  1 12:00:00 2026\nMessage-ID: <1@e.org>\nSubject: Three\n\nThird.\n\nFrom d\n\nno heads\n";
        let found = many(read, &input("a.mbox", mbox.as_bytes()));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["1@e.org", "message 2", "1@e.org (2)", "message 4"]);
        let first = found[0].1.as_ref().unwrap();
        assert_eq!(first.sections[0].text.trim(), "First.\nFrom here on.\nFrom is a word.");
        assert_eq!(found[3].1.as_ref().unwrap().sections[0].text.trim(), "no heads");
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        let error = read(&input("a.mbox", b"Subject: x\n\ny"), &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().starts_with("is no mbox"));
    }
}
