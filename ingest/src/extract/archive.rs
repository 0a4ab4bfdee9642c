//! Opens the ZIP archives that office documents and e-books are, within the bound of what may be expanded.
//! Never writes a part anywhere, and never believes the sizes that an archive claims.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::extract::Input;
use crate::extract::fault::Fault;

/// How the file of an old Office program begins, and that of an encrypted new one.
const COMPOUND_FILE: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";
/// The stream that holds an encrypted document, as it is named in a compound file: in UTF-16.
const ENCRYPTED_PACKAGE: &[u8] = b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";
/// What to do about a document with a password.
pub(super) const SAVE_WITHOUT_PASSWORD: &str = "save it without a password";

/// An archive whose parts are expanded on demand, all of them together within one bound.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Positions of the parts by name in lower case: the names of parts differ by more than case.
    parts: HashMap<String, usize>,
    left: u64,
    most: u64,
}

impl<'a> Archive<'a> {
    /// Opens a document that should be a `format`.
    pub(super) fn open(input: &Input<'a>, format: &'static str) -> Result<Self, Fault> {
        let zip = ZipArchive::new(Cursor::new(input.bytes)).map_err(|_| no_archive(input.bytes, format))?;
        let mut parts = HashMap::new();
        for index in 0..zip.len() {
            let name = zip.name_for_index(index).and_then(Result::ok).unwrap_or_default();
            if climbs_out(&name) {
                let reason = format!("it holds a part `{name}`, whose name climbs out of the archive");
                return Err(Fault::Hostile(reason));
            }
            parts.insert(folded(&name), index);
        }
        let most = input.settings.max_expanded_bytes;
        Ok(Self { zip, parts, left: most, most })
    }

    /// Whether there is such a part.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parts.contains_key(&folded(name))
    }

    /// The content of a part, if there is one of this name.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(index) = self.parts.get(&folded(name)) else { return Ok(None) };
        let damaged = |_| Fault::Damaged(format!("its part `{name}` cannot be unpacked"));
        let part = match self.zip.by_index(*index) {
            Ok(part) => part,
            Err(zip::result::ZipError::UnsupportedArchive(zip::result::ZipError::PASSWORD_REQUIRED)) => {
                return Err(Fault::Encrypted(SAVE_WITHOUT_PASSWORD));
            }
            Err(error) => return Err(damaged(std::io::Error::other(error))),
        };
        // A claim may be too small, but nobody claims too much.
        if part.size() > self.left {
            return Err(Fault::Expands(self.most));
        }
        let mut content = Vec::new();
        let read = part.take(self.left.saturating_add(1)).read_to_end(&mut content);
        let expanded = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if expanded > self.left {
            return Err(Fault::Expands(self.most));
        }
        read.map_err(damaged)?;
        self.left -= expanded;
        Ok(Some(content))
    }

    /// The content of a part without which the document is none.
    pub(super) fn needed(&mut self, name: &str, format: &'static str) -> Result<Vec<u8>, Fault> {
        let missing = || Fault::NotFormat { format, found: format!("its archive has no part `{name}`") };
        self.part(name)?.ok_or_else(missing)
    }
}

/// The name of a part that another part names relative to itself, without `.` and `..`.
pub(super) fn resolved(from: &str, target: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut steps: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    steps.retain(|step| !step.is_empty());
    steps.join("/")
}

fn no_archive(bytes: &[u8], format: &'static str) -> Fault {
    let found = if bytes.is_empty() {
        "it is empty"
    } else if bytes.starts_with(COMPOUND_FILE) {
        if bytes.windows(ENCRYPTED_PACKAGE.len()).any(|window| window == ENCRYPTED_PACKAGE) {
            return Fault::Encrypted(SAVE_WITHOUT_PASSWORD);
        }
        "it is a file of an old Office program, renamed: save it in the new format"
    } else if bytes.starts_with(b"PK") {
        return Fault::Damaged("its ZIP archive is cut off or broken".to_owned());
    } else {
        "it is no ZIP archive"
    };
    Fault::NotFormat { format, found: found.to_owned() }
}

fn climbs_out(name: &str) -> bool {
    name.split(['/', '\\']).any(|step| step == "..")
}

fn folded(name: &str) -> String {
    name.trim_start_matches('/').replace('\\', "/").to_lowercase()
}

/// Archives that tests are made of.
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::extract::records::RecordFields;
    use crate::extract::{Document, Extracted, Settings, Source, Unreadable};
    use lectern_schema::identifiers::DocumentId;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    /// An archive of these parts.
    pub(in crate::extract) fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// What a reader makes of a file.
    pub(in crate::extract) fn extracted(
        read: impl Fn(&Input<'_>) -> Result<Document, Unreadable>,
        bytes: &[u8],
    ) -> Result<Extracted, String> {
        let settings = Settings {
            max_file_bytes: 1 << 20,
            max_expanded_bytes: 1 << 20,
            records: RecordFields::default(),
        };
        let source = Source {
            document_id: DocumentId::parse("a").unwrap(),
            uri: "a".into(),
            path: "a".into(),
            format: crate::extract::format::Format::parse("text").unwrap(),
        };
        read(&Input { name: "file", bytes, settings: &settings, depth: 0 })
            .and_then(|document| crate::extract::extracted(&source, "file", document))
            .map_err(|error| error.to_string())
    }

    fn opened(bytes: &[u8], most: u64) -> Result<Vec<u8>, String> {
        let settings =
            Settings { max_file_bytes: 0, max_expanded_bytes: most, records: RecordFields::default() };
        let input = Input { name: "a.docx", bytes, settings: &settings, depth: 0 };
        let mut archive = Archive::open(&input, "a DOCX file").map_err(|fault| fault.to_string())?;
        let content = archive.needed("A/b.xml", "a DOCX file").map_err(|fault| fault.to_string())?;
        archive.needed("c.xml", "a DOCX file").map_err(|fault| fault.to_string())?;
        Ok(content)
    }

    #[test]
    fn parts_are_found_whatever_the_case_of_their_names() {
        assert_eq!(opened(&archive(&[("a/B.xml", "x"), ("/c.xml", "")]), 10).unwrap(), b"x");
    }

    #[test]
    fn all_parts_together_have_one_bound() {
        let parts = archive(&[("a/b.xml", "123456"), ("c.xml", "12345")]);
        assert_eq!(opened(&parts, 11).unwrap(), b"123456");
        let refused = opened(&parts, 10).unwrap_err();
        assert_eq!(refused, "expands to more than `ingest.max_expanded_bytes` = 10");
    }

    #[test]
    fn an_archive_that_claims_too_little_is_found_out() {
        let whole = archive(&[("a/b.xml", &"x".repeat(5_000)), ("c.xml", "")]);
        let (size, claim) = (5_000_u32.to_le_bytes(), 5_u32.to_le_bytes());
        let mut lying = whole.clone();
        for at in 0..whole.len() - 4 {
            if whole[at..at + 4] == size {
                lying[at..at + 4].copy_from_slice(&claim);
            }
        }
        assert_ne!(lying, whole);
        assert_eq!(opened(&lying, 100).unwrap_err(), "is damaged: its part `A/b.xml` cannot be unpacked");
    }

    #[test]
    fn what_is_no_archive_says_what_it_is() {
        let whole = archive(&[("a/b.xml", "x")]);
        let encrypted = [COMPOUND_FILE, ENCRYPTED_PACKAGE].concat();
        for (bytes, reason) in [
            (&b""[..], "is not a DOCX file: it is empty"),
            (b"text", "is not a DOCX file: it is no ZIP archive"),
            (
                COMPOUND_FILE,
                "is not a DOCX file: it is a file of an old Office program, renamed: save it in the new format",
            ),
            (&encrypted, "is encrypted: save it without a password"),
            (&whole[..whole.len() - 30], "is damaged: its ZIP archive is cut off or broken"),
            (&whole, "is not a DOCX file: its archive has no part `c.xml`"),
            (
                &archive(&[("x/../../y", "")]),
                "is refused: it holds a part `x/../../y`, whose name climbs out of the archive",
            ),
        ] {
            assert_eq!(opened(bytes, 10).unwrap_err(), reason);
        }
    }

    #[test]
    fn names_are_resolved_against_the_part_that_names_them() {
        assert_eq!(resolved("ppt/slides/slide1.xml", "../notes/n.xml"), "ppt/notes/n.xml");
        assert_eq!(resolved("ppt/slides/slide1.xml", "/word/document.xml"), "word/document.xml");
        assert_eq!(resolved("", "word/document.xml"), "word/document.xml");
        assert_eq!(resolved("a/b", "../../../c"), "c");
    }
}
