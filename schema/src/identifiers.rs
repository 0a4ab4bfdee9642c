//! The names of things: aliases, generations, documents, chunks, tenants. Each type has one fallible door, `parse`.
//! Never reads a clock: a generation is named from a time that the caller passes in.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Why a text is not the identifier that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct BadIdentifier {
    text: String,
    expected: &'static str,
}

impl BadIdentifier {
    /// Longest part of the offending text that is repeated in the message.
    const SHOWN_CHARS: usize = 80;

    fn new(text: &str, expected: &'static str) -> Self {
        let text = text.chars().take(Self::SHOWN_CHARS).flat_map(char::escape_debug).collect();
        Self { text, expected }
    }
}

/// Implements what all textual identifiers share: display, parsing, and serde through the same door.
macro_rules! textual {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = BadIdentifier;

            fn from_str(text: &str) -> Result<Self, BadIdentifier> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadIdentifier;

            fn try_from(text: String) -> Result<Self, BadIdentifier> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }
    };
}

fn is_name(text: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= longest && text.starts_with(plain) && text.chars().all(|c| plain(c) || c == '-' || c == '_')
}

/// The public name (`docs`) that points at the live generation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AliasName(String);

impl AliasName {
    /// Longest alias in bytes: leaves room for the rest of a generation's name in Qdrant's 255.
    pub const MAX_BYTES: usize = 64;

    /// Takes 1 to [`Self::MAX_BYTES`] of `a-z 0-9 - _`, starting with a letter or a digit.
    pub fn parse(text: &str) -> Result<Self, BadIdentifier> {
        if is_name(text, Self::MAX_BYTES) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadIdentifier::new(
                text,
                "an alias: 1 to 64 of a-z, 0-9, - and _, starting with a letter or a digit",
            ))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AliasName {
    /// The alias of whoever names none, `docs`.
    fn default() -> Self {
        Self("docs".to_owned())
    }
}

textual!(AliasName);

/// One built collection under an alias: `docs@20261121T101500Z`, and `docs@20261121T101500Z-2` for its first successor,
/// which is the same without erased documents. Orders by alias, then age.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GenerationId {
    text: String,
    alias: AliasName,
    named_at: Timestamp,
    ordinal: u32,
}

impl GenerationId {
    const TIME_FORMAT: &'static str = "%Y%m%dT%H%M%SZ";
    const EXPECTED: &'static str = "a generation: ALIAS@YYYYMMDDTHHMMSSZ, as `lectern-ingest list` prints it";

    /// Names the `ordinal`-th generation (from 1) of `alias` begun in the second of `now`.
    pub fn new(alias: &AliasName, now: Timestamp, ordinal: u32) -> Self {
        let mut text = format!("{alias}@{}", now.strftime(Self::TIME_FORMAT));
        if ordinal > 1 {
            text.push('-');
            text.push_str(&ordinal.to_string());
        }
        let named_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { text, alias: alias.clone(), named_at, ordinal: ordinal.max(1) }
    }

    /// Takes what [`Self::new`] makes, and nothing else.
    pub fn parse(text: &str) -> Result<Self, BadIdentifier> {
        let bad = || BadIdentifier::new(text, Self::EXPECTED);
        let (alias, rest) = text.split_once('@').ok_or_else(bad)?;
        let alias = AliasName::parse(alias)?;
        let (time, ordinal) = match rest.split_once('-') {
            None => (rest, 1),
            Some((time, ordinal)) => (time, ordinal.parse::<u32>().map_err(|_| bad())?),
        };
        let named_at = DateTime::strptime(Self::TIME_FORMAT, time)
            .and_then(|civil| civil.to_zoned(TimeZone::UTC))
            .map_err(|_| bad())?
            .timestamp();
        let parsed = Self::new(&alias, named_at, ordinal);
        if parsed.text == text { Ok(parsed) } else { Err(bad()) }
    }

    /// The name as text: also the name of the Qdrant collection and of the embedded directory.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The alias that the generation was built for.
    pub fn alias(&self) -> &AliasName {
        &self.alias
    }

    /// When the generation was named, to the second.
    pub fn named_at(&self) -> Timestamp {
        self.named_at
    }

    /// Whether this is the name of a generation that was derived from `other` without documents that were erased: it takes
    /// that one's place in the order of all.
    pub fn succeeds(&self, other: &Self) -> bool {
        (&self.alias, self.named_at) == (&other.alias, other.named_at) && other.ordinal < self.ordinal
    }

    /// The name of the next second, for another generation when this name is taken.
    #[must_use]
    pub fn later(&self) -> Self {
        let next = self.named_at.as_second().saturating_add(1);
        Self::new(&self.alias, Timestamp::from_second(next).unwrap_or(self.named_at), 1)
    }

    /// The name of a successor, or the one to try when that is taken.
    #[must_use]
    pub fn next(&self) -> Self {
        Self::new(&self.alias, self.named_at, self.ordinal.saturating_add(1))
    }
}

textual!(GenerationId);

impl PartialOrd for GenerationId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GenerationId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |id: &Self| (id.alias.clone(), id.named_at, id.ordinal);
        key(self).cmp(&key(other))
    }
}

/// Names a document across generations: for files, the ingested folder's name and the path below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(String);

impl DocumentId {
    /// Longest document id in bytes: room for deep paths, small enough for a payload index.
    pub const MAX_BYTES: usize = 1_024;

    /// Takes 1 to [`Self::MAX_BYTES`] without control characters.
    pub fn parse(text: &str) -> Result<Self, BadIdentifier> {
        let good =
            !text.trim().is_empty() && text.len() <= Self::MAX_BYTES && !text.chars().any(char::is_control);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadIdentifier::new(text, "a document id: 1 to 1024 bytes without control characters"))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

textual!(DocumentId);

/// Who owns a document, and on whose behalf a caller asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    /// Longest tenant id in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Takes 1 to [`Self::MAX_BYTES`] of `a-z 0-9 - _`, starting with a letter or a digit.
    pub fn parse(text: &str) -> Result<Self, BadIdentifier> {
        if is_name(text, Self::MAX_BYTES) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadIdentifier::new(
                text,
                "a tenant: 1 to 64 of a-z, 0-9, - and _, starting with a letter or a digit",
            ))
        }
    }

    /// The one tenant of a deployment without authentication, `public`.
    pub fn public() -> Self {
        Self("public".to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

textual!(TenantId);

/// SHA-256 of a text, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(String);

impl ContentHash {
    /// Hashes the parts, each with its length in front, so that moving a border changes the hash.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut text = String::with_capacity(64);
        for byte in hash.finalize() {
            // A string takes every write.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Takes 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, BadIdentifier> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if text.len() == 64 && text.chars().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadIdentifier::new(text, "a content hash: 64 lower-case hexadecimal digits"))
        }
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

textual!(ContentHash);

/// Names a chunk: the same document, position and content give the same id in every generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(Uuid);

impl ChunkId {
    /// Derives the id from what it names (UUID version 8, the first 128 bits of a SHA-256).
    pub fn derive(document: &DocumentId, position: u32, content: &ContentHash) -> Self {
        let mut hash = Sha256::new();
        hash.update(document.as_str().as_bytes());
        hash.update([0]);
        hash.update(position.to_le_bytes());
        hash.update(content.as_str().as_bytes());
        let mut first = [0_u8; 16];
        for (to, from) in first.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(Uuid::new_v8(first))
    }

    /// Takes a UUID in any of its textual forms.
    pub fn parse(text: &str) -> Result<Self, BadIdentifier> {
        Uuid::parse_str(text).map(Self).map_err(|_| BadIdentifier::new(text, "a chunk id: a UUID"))
    }

    /// The id as the UUID that vector stores want.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs() -> AliasName {
        AliasName::parse("docs").unwrap()
    }

    #[test]
    fn a_generation_is_named_by_alias_and_second() {
        let now: Timestamp = "2026-11-21T10:15:00.7Z".parse().unwrap();
        let first = GenerationId::new(&docs(), now, 1);
        assert_eq!(first.as_str(), "docs@20261121T101500Z");
        assert_eq!(first.next().as_str(), "docs@20261121T101500Z-2");
        assert_eq!(GenerationId::parse(first.next().as_str()), Ok(first.next()));
    }

    #[test]
    fn a_successor_stands_before_all_that_were_named_later() {
        let first = GenerationId::parse("docs@20261121T235959Z").unwrap();
        assert!(first.next().succeeds(&first) && first.next().next().succeeds(&first));
        assert!(!first.succeeds(&first.next()) && !first.later().succeeds(&first));
        assert!(first < first.next() && first.next() < first.later());
        assert_eq!(first.next().later().as_str(), "docs@20261122T000000Z");
    }

    #[test]
    fn generations_order_by_age_not_by_text() {
        let second = GenerationId::parse("docs@20261121T101500Z-2").unwrap();
        let tenth = GenerationId::parse("docs@20261121T101500Z-10").unwrap();
        assert!(second < tenth);
    }

    #[test]
    fn a_generation_has_one_spelling() {
        for text in [
            "docs",
            "docs@",
            "docs@2026",
            "docs@20261121T101500Z-1",
            "docs@20261121T101500Z-02",
            "Docs@20261121T101500Z",
            "docs@20261341T101500Z",
        ] {
            assert!(GenerationId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_alias_cannot_leave_its_directory() {
        for text in ["", "..", "a/b", ".hidden", "a\0", "A", &"a".repeat(65)] {
            assert!(AliasName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_chunk_id_depends_on_document_position_and_content() {
        let (a, b) = (DocumentId::parse("a").unwrap(), DocumentId::parse("b").unwrap());
        let (x, y) = (ContentHash::of(&["x"]), ContentHash::of(&["y"]));
        let id = ChunkId::derive(&a, 0, &x);
        assert_eq!(id, ChunkId::derive(&a, 0, &x));
        assert!(
            [ChunkId::derive(&b, 0, &x), ChunkId::derive(&a, 1, &x), ChunkId::derive(&a, 0, &y)]
                .iter()
                .all(|other| *other != id)
        );
    }

    #[test]
    fn a_content_hash_sees_where_the_parts_end() {
        assert_ne!(ContentHash::of(&["ab", "c"]), ContentHash::of(&["a", "bc"]));
    }
}
