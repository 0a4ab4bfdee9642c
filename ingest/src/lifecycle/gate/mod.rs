//! The gates that a generation passes before its alias moves: one file each, and what all of them speak in.
//! Reads no store and no clock: every gate judges what it is given. What they are given is measured in [`crate::examine`].

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod alike;
pub mod counts;
pub mod embedding;
pub mod fingerprint;
pub mod golden;
pub mod index;
pub mod latency;
pub mod paired;
pub mod section;
pub mod sources;
pub mod texts;
pub mod vectors;

/// What one gate says about a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the gate, in snake case.
    pub gate: String,
    /// Whether the generation may pass.
    pub passed: bool,
    /// What was compared with what, for people.
    pub detail: String,
    /// Whether an operator's reason can overrule a refusal. A generation that is not whole cannot be forced.
    pub forcible: bool,
}

impl Verdict {
    /// A verdict that can be overruled.
    pub(crate) fn new(gate: &str, passed: bool, detail: impl Into<String>) -> Self {
        Self { gate: gate.to_owned(), passed, detail: detail.into(), forcible: true }
    }

    /// The same, but beyond overruling.
    pub(crate) fn final_word(self) -> Self {
        Self { forcible: false, ..self }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed { "passed" } else { "refused" };
        write!(f, "{} {outcome}: {}", self.gate, self.detail)
    }
}

/// The live generation's side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Live<T> {
    /// Measured just now.
    Now(T),
    /// As it was recorded when the gates looked at the live generation, which cannot be looked at now.
    Recorded(T),
    /// Not known, and why.
    Unknown(String),
}

impl<T> Live<T> {
    /// There is no live generation.
    pub fn nothing() -> Self {
        Self::Unknown("nothing is live to compare with".to_owned())
    }

    /// What is known, with how the detail of a verdict calls the live generation; else the reason.
    pub(crate) fn known(&self) -> Result<(&T, &'static str), &str> {
        match self {
            Self::Now(known) => Ok((known, "live")),
            Self::Recorded(known) => Ok((known, "live (as recorded when it was examined)")),
            Self::Unknown(reason) => Err(reason),
        }
    }
}

/// A share in percent, at most 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u8")]
pub struct Percent(u8);

/// The number is above 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a share in percent: at most 100 is expected")]
pub struct BadPercent(u8);

impl Percent {
    /// Takes 0 to 100.
    pub fn parse(number: u8) -> Result<Self, BadPercent> {
        if number <= 100 { Ok(Self(number)) } else { Err(BadPercent(number)) }
    }

    /// Whether `part` is at least this share of `whole`.
    fn is_reached(self, part: u64, whole: u64) -> bool {
        u128::from(whole) * u128::from(self.0) <= u128::from(part) * 100
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

impl TryFrom<u8> for Percent {
    type Error = BadPercent;

    fn try_from(number: u8) -> Result<Self, BadPercent> {
        Self::parse(number)
    }
}

impl Default for Percent {
    /// Three quarters: sources lose and gain documents, but one that lost more than a quarter of them at once has more
    /// likely lost a folder.
    fn default() -> Self {
        Self(75)
    }
}

/// A number of things in memory, for shares and means.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// The mean, 0 of nothing.
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / number(values.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_above_the_whole_is_refused() {
        assert_eq!(Percent::parse(101), Err(BadPercent(101)));
        assert!(Percent::parse(100).unwrap().is_reached(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_verdict_reads_alone() {
        let verdict = Verdict::new("not_empty", false, "0 chunks");
        assert_eq!(verdict.to_string(), "not_empty refused: 0 chunks");
    }
}
