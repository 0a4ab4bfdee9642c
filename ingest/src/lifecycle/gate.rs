//! The counts gate: whether a generation is whole and large enough to replace the live one.
//! Reads no store and no clock: it judges what it is given. Further gates add verdicts of their own.

use std::fmt;

use lectern_schema::generation::Counts;
use serde::{Deserialize, Serialize};

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

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.passed { "passed" } else { "refused" };
        write!(f, "{} {outcome}: {}", self.gate, self.detail)
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

impl TryFrom<u8> for Percent {
    type Error = BadPercent;

    fn try_from(number: u8) -> Result<Self, BadPercent> {
        Self::parse(number)
    }
}

impl Default for Percent {
    /// Half: sources lose and gain documents, but one that lost half of them has more likely lost a folder.
    fn default() -> Self {
        Self(50)
    }
}

/// What the counts gate compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// What the store holds in the generation.
    pub candidate: Counts,
    /// What the registry recorded of its build, `None` when that was lost.
    pub recorded: Option<Counts>,
    /// What the live generation holds, `None` before the first publish.
    pub live: Option<Counts>,
}

/// Whether the counts allow a generation to go live: not empty, as recorded, not shrunk below `smallest` of the live one.
pub fn counts(measured: &Measured, smallest: Percent) -> Vec<Verdict> {
    let Measured { candidate, recorded, live } = measured;
    vec![not_empty(*candidate), as_recorded(*candidate, *recorded), not_shrunk(*candidate, *live, smallest)]
}

fn not_empty(candidate: Counts) -> Verdict {
    let detail = format!("{} chunks of {} documents", candidate.chunks, candidate.documents);
    Verdict { gate: "not_empty".to_owned(), passed: 0 < candidate.chunks, detail, forcible: true }
}

fn as_recorded(candidate: Counts, recorded: Option<Counts>) -> Verdict {
    let found = format!("{} chunks of {} documents", candidate.chunks, candidate.documents);
    let detail = match recorded {
        None => format!("the store holds {found}; the registry has no record of the build"),
        Some(recorded) => format!(
            "the store holds {found}; the registry recorded {} of {}",
            recorded.chunks, recorded.documents
        ),
    };
    let passed = recorded.is_none_or(|recorded| recorded == candidate);
    Verdict { gate: "counts_as_recorded".to_owned(), passed, detail, forcible: false }
}

fn not_shrunk(candidate: Counts, live: Option<Counts>, smallest: Percent) -> Verdict {
    let detail = match live {
        None => "nothing is live to compare with".to_owned(),
        Some(live) => format!(
            "{} chunks where {} are live; at least {} % are required",
            candidate.chunks, live.chunks, smallest.0
        ),
    };
    let passed = live.is_none_or(|live| smallest.is_reached(candidate.chunks, live.chunks));
    Verdict { gate: "not_shrunk".to_owned(), passed, detail, forcible: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunks: u64) -> Counts {
        Counts { documents: chunks.min(3), chunks }
    }

    fn refusing(measured: Measured) -> Vec<String> {
        let verdicts = counts(&measured, Percent::default());
        verdicts.into_iter().filter(|verdict| !verdict.passed).map(|verdict| verdict.gate).collect()
    }

    #[test]
    fn an_empty_generation_is_refused() {
        let measured = Measured { candidate: chunks(0), recorded: Some(chunks(0)), live: None };
        assert_eq!(refusing(measured), ["not_empty"]);
    }

    #[test]
    fn a_generation_that_holds_something_else_than_was_recorded_is_refused_and_cannot_be_forced() {
        let measured = Measured { candidate: chunks(9), recorded: Some(chunks(10)), live: None };
        assert_eq!(refusing(measured), ["counts_as_recorded"]);
        let verdicts = counts(&measured, Percent::default());
        assert!(verdicts.iter().any(|verdict| !verdict.passed && !verdict.forcible));
    }

    #[test]
    fn a_lost_record_does_not_hold_up_a_whole_generation() {
        assert!(
            refusing(Measured { candidate: chunks(9), recorded: None, live: Some(chunks(9)) }).is_empty()
        );
    }

    #[test]
    fn half_of_the_live_chunks_pass_and_one_less_does_not() {
        let of = |candidate| Measured {
            candidate: chunks(candidate),
            recorded: Some(chunks(candidate)),
            live: Some(chunks(100)),
        };
        assert!(refusing(of(50)).is_empty());
        assert_eq!(refusing(of(49)), ["not_shrunk"]);
    }

    #[test]
    fn a_share_above_the_whole_is_refused() {
        assert_eq!(Percent::parse(101), Err(BadPercent(101)));
        assert!(Percent::parse(100).unwrap().is_reached(u64::MAX, u64::MAX));
    }
}
