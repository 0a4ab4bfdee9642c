//! Which documents one of several workers writes, and which build it belongs to.
//! Never knows what other workers do: that is in the registry.

use std::fmt;
use std::str::FromStr;

use lectern_schema::identifiers::{AliasName, ContentHash, DocumentId};
use serde::{Deserialize, Serialize};

/// Part `index` (from 0) of `of` parts that all documents fall into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partition {
    index: u32,
    of: u32,
}

/// The text names no partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no partition: write I/N, where N is 1 to {most} and I is 0 to N-1, as in 0/8 and 7/8", most = Partition::MOST)]
pub struct BadPartition(String);

impl Partition {
    /// Most partitions: as many pods as an Indexed Job may run at a time.
    pub const MOST: u32 = 100_000;

    /// The bytes of a source's name that count: a document whose name is too long keeps at least so many of its file's.
    const NAME_BYTES: usize = 900;

    /// Everything, in one part.
    pub const fn whole() -> Self {
        Self { index: 0, of: 1 }
    }

    /// Part `index` of `of`.
    pub fn new(index: u32, of: u32) -> Option<Self> {
        (index < of && of <= Self::MOST).then_some(Self { index, of })
    }

    /// Takes `I/N`, where I counts from 0, as Kubernetes does.
    pub fn parse(text: &str) -> Result<Self, BadPartition> {
        let numbers = text.split_once('/').and_then(|(index, of)| Some((number(index)?, number(of)?)));
        let partition = numbers.and_then(|(index, of)| Self::new(index, of));
        partition.ok_or_else(|| BadPartition(text.to_owned()))
    }

    /// All partitions of as many as there are, in order.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of })
    }

    /// Partitions as a sentence names them.
    pub fn named(partitions: &[Self]) -> String {
        /// As many as a line holds.
        const MOST_NAMED: usize = 16;
        let mut names: Vec<String> = partitions.iter().take(MOST_NAMED).map(Self::to_string).collect();
        let more = partitions.len().saturating_sub(MOST_NAMED);
        if 0 < more {
            names.push(format!("{more} more"));
        }
        match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
            _ => names.concat(),
        }
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether it is all there is.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether a document falls into this part; every document falls into one. All documents of a source fall into the same,
    /// since what counts is the name before the first `#`: the first 8 bytes of its [`ContentHash`], as a big-endian
    /// number, modulo the number of parts. The same in every process and version: what one worker wrote is found by the
    /// worker that takes its place.
    pub fn owns(self, document: &DocumentId) -> bool {
        self.owns_source(document.as_str())
    }

    /// Whether the source of this name falls into this part.
    pub fn owns_source(self, name: &str) -> bool {
        /// Hexadecimal digits of 8 bytes.
        const DIGITS: usize = 16;
        if self.is_whole() {
            return true;
        }
        let source = name.split_once('#').map_or(name, |(source, _)| source);
        let mut end = source.len().min(Self::NAME_BYTES);
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let hash = ContentHash::of(&[source.get(..end).unwrap_or(source)]);
        let first = hash.as_str().get(..DIGITS).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        first.unwrap_or_default() % u64::from(self.of) == u64::from(self.index)
    }
}

/// A number without a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Partition {
    type Err = BadPartition;

    fn from_str(text: &str) -> Result<Self, BadPartition> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Partition {
    type Error = BadPartition;

    fn try_from(text: String) -> Result<Self, BadPartition> {
        Self::parse(&text)
    }
}

impl From<Partition> for String {
    fn from(partition: Partition) -> Self {
        partition.to_string()
    }
}

/// Names one build of several workers; a name is used for one build only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobName(String);

/// The text names no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a job: 1 to {most} of A-Z, a-z, 0-9, -, _ and .", most = JobName::MAX_BYTES)]
pub struct BadJobName(String);

impl JobName {
    /// Longest name in bytes: what Kubernetes allows for a name.
    pub const MAX_BYTES: usize = 253;

    /// Takes 1 to [`Self::MAX_BYTES`] letters, digits, `-`, `_` and `.`.
    pub fn parse(text: &str) -> Result<Self, BadJobName> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !text.is_empty() && text.len() <= Self::MAX_BYTES && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadJobName(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobName {
    type Err = BadJobName;

    fn from_str(text: &str) -> Result<Self, BadJobName> {
        Self::parse(text)
    }
}

/// What one worker has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The alias that is built for.
    pub alias: AliasName,
    /// The build; `None` for the one without a name, of which there is one at a time.
    pub job: Option<JobName>,
    /// The worker's part.
    pub partition: Partition,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> DocumentId {
        DocumentId::parse(name).unwrap()
    }

    fn owner(name: &str, of: u32) -> u32 {
        let owners: Vec<Partition> = Partition::all(of).filter(|part| part.owns(&id(name))).collect();
        assert_eq!(owners.len(), 1, "{name}");
        owners[0].index()
    }

    #[test]
    fn a_partition_counts_from_nought_and_is_within_its_number() {
        let partition = Partition::parse("2/8").unwrap();
        assert_eq!((partition.index(), partition.of(), partition.to_string()), (2, 8, "2/8".to_owned()));
        for bad in ["3/3", "0/0", "1", "1/", "/3", "-1/3", "+1/3", "1/3/5", "a/b", "0/100001", " 0/1"] {
            assert!(Partition::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_document_falls_into_one_part_and_the_parts_are_alike_in_size() {
        let mut sizes = [0; 8];
        for n in 0..8_000 {
            sizes[usize::try_from(owner(&format!("docs/{n}.md"), 8)).unwrap()] += 1;
        }
        assert!(sizes.iter().all(|size| (850..1_150).contains(size)), "{sizes:?}");
    }

    #[test]
    fn all_documents_of_a_source_fall_into_the_same_part() {
        for n in 0..100 {
            let source = format!("docs/{n}.mbox");
            assert_eq!(owner(&source, 7), owner(&format!("{source}#17"), 7));
            assert_eq!(owner(&source, 7), owner(&format!("{source}#17#a.pdf"), 7));
        }
    }

    /// Worked out by hand with another program: `printf '\x09\0\0\0\0\0\0\0docs/a.md' | sha256sum`.
    #[test]
    fn the_part_of_a_document_never_changes() {
        assert_eq!(["docs/a.md", "docs/b.md"].map(|name| owner(name, 1_000)), [796, 449]);
    }

    #[test]
    fn the_whole_owns_everything() {
        assert!(Partition::whole().is_whole());
        assert!((0..100).all(|n| Partition::whole().owns(&id(&n.to_string()))));
    }

    #[test]
    fn a_job_has_a_name_of_plain_characters() {
        assert!(JobName::parse("f3b1c2d4-0000-4000-8000-1234567890ab").is_ok());
        for bad in ["", "a b", "a,b", "ä", "a/b"] {
            assert!(JobName::parse(bad).is_err(), "{bad}");
        }
        assert!(JobName::parse(&"a".repeat(254)).is_err());
    }
}
