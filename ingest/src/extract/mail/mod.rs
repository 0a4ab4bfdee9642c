//! Reads mail: a message with its heads and its text, and what is attached to it as documents of their own.
//! Never reads an attachment itself: the reader of the format that its name promises does.

use mail_parser::{Addr, Address, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde_json::{Map, Value};

use crate::extract::metadata::{self, field};
use crate::extract::outline::Outline;
use crate::extract::{Document, Emit, Input, Section, Unreadable, decode, html};

mod attachments;
pub(super) mod mbox;

/// Field with the sender's address, beside the name that is the author.
const FROM: &str = "from";

/// Why a message, or what is attached to it, is skipped.
#[derive(Debug, thiserror::Error)]
pub enum BadMail {
    /// No heads.
    #[error("is no mail message: it begins with none of the headers that messages have")]
    NotAMessage,
    /// Not an mbox.
    #[error("is no mbox: it does not begin with a line `From ...`")]
    NotAnMbox,
    /// No web page in an archive of one.
    #[error("is no archived web page: it has no HTML part")]
    NoPage,
    /// No reader.
    #[error("is attached in a format that is not supported ({0})")]
    Unsupported(String),
    /// A message in a message in a ...
    #[error("lies within more than {0} files")]
    TooDeep(usize),
    /// Everything that is attached is too much.
    #[error("is not read: what is attached has more than `ingest.max_expanded_bytes` = {0}")]
    TooMuch(u64),
}

/// A message, and what is attached to it.
pub(super) fn read(input: &Input<'_>, emit: &mut Emit<'_>) -> Result<(), Unreadable> {
    let message = parsed(input.bytes)?;
    emit(None, document(&message, input));
    attachments::read(message, None, input, emit);
    Ok(())
}

/// A web page with its pictures in one file, of which the page is read.
pub(super) fn read_page(input: &Input<'_>) -> Result<Document, Unreadable> {
    let message = parsed(input.bytes)?;
    let parts = std::iter::once(&message).chain(message.parts.iter().filter_map(MessagePart::message));
    let mut pages = parts.flat_map(|message| &message.parts).filter_map(|part| match &part.body {
        PartType::Html(_) => Some(text_of(&message, part)),
        _ => None,
    });
    let page = pages.next().ok_or(BadMail::NoPage)?;
    let mut document = html::page(&page);
    if let Some(date) = message.date() {
        metadata::note_time(&mut document.metadata, field::CREATED, &date.to_rfc3339());
    }
    Ok(document)
}

fn parsed(bytes: &[u8]) -> Result<Message<'_>, Unreadable> {
    let message = MessageParser::default().parse(bytes).ok_or(BadMail::NotAMessage)?;
    let is_known = |part: &MessagePart<'_>| part.headers.iter().any(|header| !header.name.is_other());
    if !message.parts.first().is_some_and(is_known) {
        return Err(BadMail::NotAMessage.into());
    }
    Ok(message)
}

/// A message without what is attached to it.
fn document(message: &Message<'_>, input: &Input<'_>) -> Result<Document, Unreadable> {
    let mut sections = Vec::new();
    for part in body(message) {
        match &part.body {
            PartType::Html(_) => {
                let mut outline = Outline::default();
                html::read_into(&mut outline, &text_of(message, part));
                sections.extend(outline.finish(""));
            }
            PartType::Text(_) => {
                sections.push(Section { text: text_of(message, part), ..Section::default() });
            }
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) if is_textual(part) => {
                sections.push(Section { text: (*decode::text(bytes)?).to_owned(), ..Section::default() });
            }
            _ => {}
        }
    }
    let heads = heads(message);
    if !heads.is_empty() {
        sections.insert(0, Section { text: heads, ..Section::default() });
    }
    let title = message.subject().map(str::to_owned);
    let format = (input.depth > 0).then(|| super::format::Format::parse("mail").ok()).flatten();
    Ok(Document { title, format, sections, metadata: fields(message), ..Document::default() })
}

/// The parts that are the message's text. Without any, the attached ones that have no name: what is left when the
/// structure of a message is broken.
fn body<'m, 'x>(message: &'m Message<'x>) -> Vec<&'m MessagePart<'x>> {
    let parts =
        |ids: &[u32]| -> Vec<&'m MessagePart<'x>> { ids.iter().filter_map(|id| message.part(*id)).collect() };
    let body = parts(&message.text_body);
    if body.is_empty() {
        let attached = parts(&message.attachments);
        return attached.into_iter().filter(|part| is_left_over(part)).collect();
    }
    body
}

/// Whether a part that counts as attached is text that lost its place.
fn is_left_over(part: &MessagePart<'_>) -> bool {
    part.attachment_name().is_none() && (part.is_text() || is_textual(part))
}

/// Whether it promises text, or parts whose borders were lost.
fn is_textual(part: &MessagePart<'_>) -> bool {
    part.content_type().is_some_and(|kind| matches!(kind.ctype(), "text" | "multipart"))
}

/// A part's text, in the encoding that it declares, or in the one that it has.
fn text_of(message: &Message<'_>, part: &MessagePart<'_>) -> String {
    let (PartType::Text(text) | PartType::Html(text)) = &part.body else { return String::new() };
    if text.contains(char::REPLACEMENT_CHARACTER)
        && let Some(bytes) = attachments::transferred(message, part)
    {
        let label = part.content_type().and_then(|kind| kind.attribute("charset"));
        if let Ok(text) = decode::labelled(&bytes, label) {
            return (*text).to_owned();
        }
    }
    text.to_string()
}

/// Who wrote to whom and when, as readers see it above the text.
fn heads(message: &Message<'_>) -> String {
    let people = |address: Option<&Address<'_>>| {
        let people = address.into_iter().flat_map(Address::iter).map(shown);
        people.filter(|person| !person.is_empty()).take(MOST_SHOWN).collect::<Vec<_>>().join(", ")
    };
    let date = message.date().map(mail_parser::DateTime::to_rfc822).unwrap_or_default();
    let heads = [
        ("From", people(message.from())),
        ("To", people(message.to())),
        ("Cc", people(message.cc())),
        ("Date", date),
    ];
    let heads = heads.into_iter().filter(|(_, value)| !value.is_empty());
    heads.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
}

/// Most people of a head that are shown: more are a mailing, and would be all that a search finds of it.
const MOST_SHOWN: usize = 16;

fn shown(person: &Addr<'_>) -> String {
    match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    }
}

fn fields(message: &Message<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    let addresses = |address: Option<&Address<'_>>| {
        let people = address.into_iter().flat_map(Address::iter);
        people.filter_map(|person| person.address().map(str::to_owned)).collect::<Vec<_>>()
    };
    if let Some(sender) = message.from().and_then(Address::first) {
        metadata::note(&mut fields, field::AUTHOR, sender.name().or(sender.address()).unwrap_or_default());
        metadata::note(&mut fields, FROM, sender.address().unwrap_or_default());
    }
    metadata::note_all(&mut fields, field::TO, addresses(message.to()).into_iter());
    metadata::note_all(&mut fields, field::CC, addresses(message.cc()).into_iter());
    if let Some(date) = message.date() {
        metadata::note_time(&mut fields, field::CREATED, &date.to_rfc3339());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::tests::{input, many};

    fn mail(text: &str) -> Vec<(String, Result<Document, String>)> {
        many(read, &input("a.eml", text.as_bytes()))
    }

    fn texts(document: &Document) -> Vec<&str> {
        document.sections.iter().map(|section| section.text.trim()).collect()
    }

    #[test]
    fn a_message_is_its_text_below_its_heads() {
        let parts = mail(
            "From: =?utf-8?q?Ada_L=C3=B6we?= <ada@e.org>\r\nTo: Bob <bob@e.org>, c@e.org\r\nSubject: Pumps\r\nDate: Sun, 01 Mar 2026 13:00:00 +0100\r\n\r\nSee below.\r\n\r\n> quoted\r\n-- \r\nAda\r\n",
        );
        let document = parts[0].1.as_ref().unwrap();
        assert_eq!((parts.len(), parts[0].0.as_str(), document.title.as_deref()), (1, "", Some("Pumps")));
        assert_eq!(
            texts(document),
            [
                "From: Ada Löwe <ada@e.org>\nTo: Bob <bob@e.org>, c@e.org\nDate: Sun, 1 Mar 2026 13:00:00 +0100",
                "See below.\r\n\r\n> quoted\r\n-- \r\nAda"
            ]
        );
        assert_eq!(
            Value::Object(document.metadata.clone()),
            serde_json::json!({"author": "Ada Löwe", "from": "ada@e.org", "to": ["bob@e.org", "c@e.org"],
                "created": "2026-03-01T12:00:00Z"})
        );
    }

    #[test]
    fn html_is_read_where_there_is_no_plain_text() {
        let html =
            mail("Subject: x\r\nContent-Type: text/html\r\n\r\n<p>One <b>two</b></p><script>f()</script>");
        assert_eq!(texts(html[0].1.as_ref().unwrap()), ["One two"]);
        let both = mail(
            "Subject: x\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n",
        );
        assert_eq!(texts(both[0].1.as_ref().unwrap()), ["plain"]);
    }

    #[test]
    fn a_legacy_encoding_is_read_declared_or_not() {
        for declaration in ["Content-Type: text/plain; charset=iso-8859-7\r\n", ""] {
            let text =
                if declaration.is_empty() { &b"Die Gr\xF6\xDFe der R\xE4ume"[..] } else { b"\xE1\xE2\xE3" };
            let bytes = [b"Subject: x\r\n", declaration.as_bytes(), b"\r\n", text].concat();
            let parts = many(read, &input("a.eml", &bytes));
            let expected = if declaration.is_empty() { "Die Größe der Räume" } else { "αβγ" };
            assert_eq!(texts(parts[0].1.as_ref().unwrap()), [expected]);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b""[..], b"just words\n", b"\x89PNG\r\n\x1a\n\0\0"] {
            let error = read(&input("a.eml", bytes), &mut |_, _| {}).unwrap_err().to_string();
            assert!(error.starts_with("is no mail message"), "{error}");
        }
    }

    #[test]
    fn an_archived_page_is_read_as_a_page() {
        let page = "From: <Saved by a browser>\r\nSubject: S\r\nDate: Sun, 01 Mar 2026 13:00:00 +0000\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<title>T</title><nav>menu</nav><p>=C3=A9 word\r\n--b--\r\n";
        let document = read_page(&input("a.mhtml", page.as_bytes())).unwrap();
        assert_eq!(document.title.as_deref(), Some("T"));
        assert_eq!(document.metadata["created"], "2026-03-01T13:00:00Z");
        assert_eq!(document.outline.unwrap().finish("T")[0].text, "é word");
    }
}
