//! What is wrong with a configuration, in words: the key, the reason, the place.
//! Never repeats a value that may be a secret.

use std::fmt;

use super::setting::Origin;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The full key, e.g. `store.api_key`; empty when the fault is not one key's.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// Where it was written.
    pub origin: Option<Origin>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key)?;
        }
        f.write_str(&self.reason)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration; at least one fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// `None` when there is none.
    pub(super) fn of(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The faults, in the order in which they were found.
    pub fn all(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// Says that `word` is no `noun`, which known word is nearest, or else which there are.
pub(super) fn unknown<'a>(noun: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    /// The similarity from which command lines (clap) suggest, too.
    const NEAR: f64 = 0.7;
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, candidate)) => format!("is an unknown {noun}: did you mean `{candidate}`?"),
        None if known.is_empty() => format!("is an unknown {noun}"),
        None => format!("is an unknown {noun}: known are {}", quoted(&known)),
    }
}

/// The words in back quotes, with commas.
pub(super) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
