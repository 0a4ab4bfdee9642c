//! Reads what is attached to a message: files of all supported formats, and messages with what is attached to them.
//! Never goes deeper, and never reads more, than a bound.

use std::borrow::Cow;
use std::path::Path;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, Message, MessagePart, MimeHeaders, PartType};

use crate::extract::format::{Format, Reader};
use crate::extract::mail::{BadMail, document, is_left_over};
use crate::extract::names::Names;
use crate::extract::{Emit, Input, Unreadable};

/// Files around a file at most: a forwarded forward has three.
const MOST_DEPTH: usize = 5;
/// Extensions of the formats that mail programs name by their media type alone.
const MEDIA_TYPES: [(&str, &str); 18] = [
    ("application/epub+zip", "epub"),
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/rtf", "rtf"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("message/delivery-status", "txt"),
    ("message/rfc822", "eml"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("text/rfc822-headers", "txt"),
    ("text/rtf", "rtf"),
    ("text/tab-separated-values", "tsv"),
];

/// A message whose attachments are still to be read.
struct Pending<'x> {
    message: Message<'x>,
    /// What its documents' names begin with.
    name: Option<String>,
    depth: usize,
}

/// Reads all that is attached to the message of this name within the file, outer messages first.
pub(super) fn read(message: Message<'_>, name: Option<&str>, input: &Input<'_>, emit: &mut Emit<'_>) {
    let mut pending = std::collections::VecDeque::from([Pending {
        message,
        name: name.map(str::to_owned),
        depth: input.depth + 1,
    }]);
    let mut left = input.settings.max_expanded_bytes;
    while let Some(outer) = pending.pop_front() {
        let mut names = Names::default();
        let has_body = !outer.message.text_body.is_empty();
        for part in attached(&outer.message) {
            if !has_body && is_left_over(part) {
                continue;
            }
            let name = names.numbered(&name_of(part));
            let name = outer.name.as_ref().map_or_else(|| name.clone(), |outer| format!("{outer}#{name}"));
            if outer.depth > MOST_DEPTH {
                emit(Some(&name), Err(BadMail::TooDeep(MOST_DEPTH).into()));
            } else if let PartType::Message(message) = &part.body {
                emit(Some(&name), document(message, &Input { depth: outer.depth, ..*input }));
                pending.push_back(Pending {
                    message: message.clone(),
                    name: Some(name),
                    depth: outer.depth + 1,
                });
            } else if let Some(bytes) = afforded(&outer.message, part, &mut left) {
                let file = Input { name: &name, bytes: &bytes, depth: outer.depth, ..*input };
                read_file(&file, part, emit);
            } else {
                emit(Some(&name), Err(BadMail::TooMuch(input.settings.max_expanded_bytes).into()));
            }
        }
    }
}

fn attached<'m, 'x>(message: &'m Message<'x>) -> impl Iterator<Item = &'m MessagePart<'x>> {
    message.attachments.iter().filter_map(|id| message.part(*id))
}

/// The content, if there is room left for it.
fn afforded<'m>(
    message: &'m Message<'_>,
    part: &'m MessagePart<'_>,
    left: &mut u64,
) -> Option<Cow<'m, [u8]>> {
    let bytes = match &part.body {
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => Cow::Borrowed(&**bytes),
        // Its reader finds out how it is encoded.
        _ => Cow::Owned(transferred(message, part)?),
    };
    *left = left.checked_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
    Some(bytes)
}

/// A part as it was before it was encoded for its way.
pub(super) fn transferred(message: &Message<'_>, part: &MessagePart<'_>) -> Option<Vec<u8>> {
    let (from, to) = (usize::try_from(part.offset_body).ok()?, usize::try_from(part.offset_end).ok()?);
    let raw = message.raw_message.get(from..to)?;
    match part.encoding {
        Encoding::None => Some(raw.to_vec()),
        Encoding::Base64 => base64_decode(raw),
        Encoding::QuotedPrintable => quoted_printable_decode(raw),
    }
}

fn read_file(file: &Input<'_>, part: &MessagePart<'_>, emit: &mut Emit<'_>) {
    let Some(format) = format(part) else {
        return emit(Some(file.name), Err(BadMail::Unsupported(media_type(part)).into()));
    };
    let named = |document: Result<_, Unreadable>| {
        document.map(|document: crate::extract::Document| crate::extract::Document {
            format: document.format.or(Some(format)),
            ..document
        })
    };
    match format.reader() {
        Reader::One(read) => emit(Some(file.name), named(read(file))),
        Reader::Many(read) => {
            let result = read(file, &mut |within, document| {
                let name =
                    within.map_or_else(|| file.name.to_owned(), |within| format!("{}#{within}", file.name));
                emit(Some(&name), named(document));
            });
            if let Err(error) = result {
                emit(Some(file.name), Err(error));
            }
        }
    }
}

/// The format that the name promises, else the media type.
fn format(part: &MessagePart<'_>) -> Option<Format> {
    let by_name = part.attachment_name().and_then(|name| Format::of(Path::new(name)));
    by_name.or_else(|| Format::of(Path::new(&format!("a.{}", extension(part)?))))
}

fn extension(part: &MessagePart<'_>) -> Option<&'static str> {
    let kind = media_type(part);
    MEDIA_TYPES.iter().find(|(name, _)| *name == kind).map(|(_, extension)| *extension)
}

fn media_type(part: &MessagePart<'_>) -> String {
    part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase(),
    )
}

/// What it is called, else what kind it is of.
fn name_of(part: &MessagePart<'_>) -> String {
    let of_message =
        || part.message().map(|message| format!("{}.eml", message.subject().unwrap_or("message")));
    let of_kind =
        || extension(part).map_or_else(|| "part".to_owned(), |extension| format!("part.{extension}"));
    // A path in a name is none of ours.
    let name = part.attachment_name().and_then(|name| name.rsplit(['/', '\\']).next()).map(str::to_owned);
    name.filter(|name| !name.trim().is_empty()).or_else(of_message).unwrap_or_else(of_kind)
}

#[cfg(test)]
mod tests {
    use crate::extract::mail::read;
    use crate::extract::tests::{input, many};

    fn multipart(parts: &[&str]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
        format!(
            "Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
            parts.concat()
        )
    }

    fn found(mail: &str) -> Vec<(String, String)> {
        let shown = |document: Result<crate::extract::Document, String>| match document {
            Ok(document) => {
                let title = document.title.unwrap_or_default();
                let outlined = document.outline.map(|outline| outline.finish(&title)).unwrap_or_default();
                let sections = document.sections.iter().chain(&outlined);
                sections.map(|section| section.text.trim()).collect::<Vec<_>>().join("/")
            }
            Err(reason) => format!("! {reason}"),
        };
        let parts = many(read, &input("a.eml", mail.as_bytes()));
        parts.into_iter().map(|(name, document)| (name, shown(document))).collect()
    }

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[test]
    fn attachments_are_documents_of_the_formats_that_they_promise() {
        let mail = multipart(&[
            "Content-Type: text/plain\r\n\r\nbody",
            "Content-Type: application/octet-stream; name=\"a.md\"\r\nContent-Disposition: attachment; filename=\"../a.md\"\r\nContent-Transfer-Encoding: base64\r\n\r\nIyBUCgotIG9uZQo=",
            "Content-Disposition: attachment; filename=a.md\r\n\r\ntwo",
            "Content-Type: text/html\r\nContent-Disposition: attachment\r\n\r\n<p>page</p>",
            "Content-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\n\r\nx",
            "Content-Disposition: attachment; filename=r.jsonl\r\n\r\n{\"text\": \"rec\"}",
        ]);
        assert_eq!(
            found(&mail),
            [
                pair("", "body"),
                pair("a.md", "- one"),
                pair("a.md (2)", "two"),
                pair("part.html", "page"),
                pair("a.png", "! is attached in a format that is not supported (image/png)"),
                pair("r.jsonl#line 1", "rec"),
            ]
        );
    }

    #[test]
    fn a_message_within_a_message_has_its_own_attachments() {
        let inner =
            multipart(&["\r\ninner body", "Content-Disposition: attachment; filename=n.txt\r\n\r\nnote"])
                .replace("--b", "--i")
                .replace("boundary=b", "boundary=i");
        let mail = multipart(&["\r\nbody", &format!("Content-Type: message/rfc822\r\n\r\n{inner}")]);
        assert_eq!(
            found(&mail),
            [pair("", "body"), pair("outer.eml", "inner body"), pair("outer.eml#n.txt", "note")]
        );
    }

    #[test]
    fn depth_is_bounded_and_said() {
        let mut mail = "Subject: core\r\n\r\ndeep".to_owned();
        for depth in 0..12 {
            let head = format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n");
            mail = format!(
                "Subject: s{depth}\r\n{head}Content-Type: application/octet-stream; name=m.eml\r\n\r\n{mail}\r\n--b{depth}--\r\n"
            );
        }
        let found = found(&mail);
        assert!(found.len() < 10, "{}", found.len());
        assert_eq!(found.last().unwrap().1, "! lies within more than 5 files");
    }
}
