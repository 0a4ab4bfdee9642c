//! The supported formats: what each is called, which files are taken for it, and who reads them.
//! Never looks into a file: a name promises a format, and its reader finds out whether that holds.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::extract::{
    Document, Emit, Input, Unreadable, asciidoc, delimited, docx, epub, html, mail, markdown, odf, pdf,
    plain, pptx, records, rst, rtf, xlsx,
};

/// A supported document format.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(into = "&str", try_from = "String")]
pub struct Format(&'static Row);

/// How a format is read.
pub(super) enum Reader {
    /// A file is one document.
    One(fn(&Input<'_>) -> Result<Document, Unreadable>),
    /// A file holds many documents.
    Many(fn(&Input<'_>, &mut Emit<'_>) -> Result<(), Unreadable>),
}

struct Row {
    name: &'static str,
    /// Lower case, without the dot.
    extensions: &'static [&'static str],
    /// Whether its text has no markup.
    is_plain: bool,
    reader: Reader,
}

/// All that is known of each format; the order is that of help texts.
static FORMATS: &[Row] = &[
    Row {
        name: "markdown",
        extensions: &["md", "mdx", "markdown"],
        is_plain: false,
        reader: Reader::One(markdown::read),
    },
    Row { name: "html", extensions: &["html", "htm"], is_plain: false, reader: Reader::One(html::read) },
    Row { name: "rst", extensions: &["rst"], is_plain: false, reader: Reader::One(rst::read) },
    Row {
        name: "asciidoc",
        extensions: &["adoc", "asciidoc"],
        is_plain: false,
        reader: Reader::One(asciidoc::read),
    },
    Row { name: "csv", extensions: &["csv", "tsv"], is_plain: false, reader: Reader::One(delimited::read) },
    Row {
        name: "jsonl",
        extensions: &["jsonl", "ndjson"],
        is_plain: false,
        reader: Reader::Many(records::read_lines),
    },
    Row { name: "mail", extensions: &["eml"], is_plain: false, reader: Reader::Many(mail::read) },
    Row { name: "mbox", extensions: &["mbox"], is_plain: false, reader: Reader::Many(mail::mbox::read) },
    Row {
        name: "mhtml",
        extensions: &["mhtml", "mht"],
        is_plain: false,
        reader: Reader::One(mail::read_page),
    },
    Row { name: "json", extensions: &["json"], is_plain: false, reader: Reader::Many(records::read_value) },
    Row { name: "text", extensions: &["txt", "text"], is_plain: true, reader: Reader::One(plain::read) },
    Row { name: "pdf", extensions: &["pdf"], is_plain: false, reader: Reader::One(pdf::read) },
    Row { name: "docx", extensions: &["docx", "docm"], is_plain: false, reader: Reader::One(docx::read) },
    Row { name: "pptx", extensions: &["pptx", "pptm"], is_plain: false, reader: Reader::One(pptx::read) },
    Row { name: "xlsx", extensions: &["xlsx", "xlsm"], is_plain: false, reader: Reader::One(xlsx::read) },
    Row { name: "odt", extensions: &["odt"], is_plain: false, reader: Reader::One(odf::read) },
    Row { name: "rtf", extensions: &["rtf"], is_plain: false, reader: Reader::One(rtf::read) },
    Row { name: "epub", extensions: &["epub"], is_plain: false, reader: Reader::One(epub::read) },
];

/// There is no format of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format that is supported")]
pub struct UnknownFormat(String);

impl Format {
    /// The format of this name.
    pub fn parse(name: &str) -> Result<Self, UnknownFormat> {
        let found = FORMATS.iter().find(|row| row.name == name);
        found.map(Self).ok_or_else(|| UnknownFormat(name.to_owned()))
    }

    /// The format that a file's extension promises.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        FORMATS.iter().find(|row| row.extensions.contains(&extension.as_str())).map(Self)
    }

    /// The extensions of all formats, as help texts and refusals list them.
    pub fn extensions() -> String {
        let all: Vec<String> =
            FORMATS.iter().flat_map(|row| row.extensions).map(|extension| format!(".{extension}")).collect();
        all.join(" ")
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Whether its text has no markup, so that every character stands for itself.
    pub fn is_plain(self) -> bool {
        self.0.is_plain
    }

    pub(super) fn reader(self) -> &'static Reader {
        &self.0.reader
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Format {}

impl From<Format> for &str {
    fn from(format: Format) -> Self {
        format.name()
    }
}

impl TryFrom<String> for Format {
    type Error = UnknownFormat;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Format({})", self.name())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_extensions_are_of_one_format_each() {
        for row in FORMATS {
            assert_eq!(Format::parse(row.name).unwrap().name(), row.name);
            for extension in row.extensions {
                let path = format!("a.{}", extension.to_uppercase());
                assert_eq!(Format::of(Path::new(&path)).unwrap().name(), row.name);
            }
        }
        assert_eq!(Format::of(Path::new("a.bin")), None);
        assert_eq!(Format::parse("bin").unwrap_err().to_string(), "`bin` is no format that is supported");
    }
}
